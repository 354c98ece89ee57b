//! The command line of `vesper incidents`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::record::Written;
use crate::alert::Severity;

/// `vesper incidents`.
#[derive(Args, Clone, Debug)]
pub struct IncidentsArgs {
    /// Configuration file [default: /etc/vesper/vesper.toml, if there is one].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: IncidentsCommand,
}

/// What to do with incidents.
#[derive(Clone, Debug, Subcommand)]
pub enum IncidentsCommand {
    /// The newest ones.
    List {
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Those that hold the words, best first.
    Search {
        /// Words.
        #[arg(required = true, value_name = "WORDS")]
        words: Vec<String>,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 10)]
        limit: usize,
    },
    /// Add one: by these flags, or, without them, as a JSON object on standard input.
    Add(WrittenArgs),
    /// Add what is in a file: .json, .jsonl or .csv; docs/incidents.md says what it may hold.
    Import {
        /// The file.
        file: PathBuf,
    },
}

/// An incident in flags.
#[derive(Args, Clone, Debug)]
pub struct WrittenArgs {
    /// What was seen.
    #[arg(long, requires = "action")]
    pub symptom: Option<String>,
    /// What was done.
    #[arg(long, requires = "symptom")]
    pub action: Option<String>,
    /// One line; the beginning of the symptom, if absent.
    #[arg(long, default_value = "", requires = "symptom", hide_default_value = true)]
    pub title: String,
    /// A type of alert (PortScan), or the error_type of another system's anomaly (database_timeout).
    #[arg(long = "type", value_name = "TYPE", default_value = "Anomaly", requires = "symptom")]
    pub threat_type: String,
    /// low, medium, high or critical.
    #[arg(long, default_value = "medium", value_parser = severity, requires = "symptom")]
    pub severity: Severity,
    /// Why it happened.
    #[arg(long, value_name = "TEXT", default_value = "", requires = "symptom", hide_default_value = true)]
    pub root_cause: String,
    /// What came of it.
    #[arg(long, default_value = "", requires = "symptom", hide_default_value = true)]
    pub outcome: String,
    /// Destination port of the service concerned.
    #[arg(long, requires = "symptom")]
    pub port: Option<u16>,
}

fn severity(text: &str) -> Result<Severity, String> {
    serde_json::from_value(serde_json::Value::from(text))
        .map_err(|_unknown| "write low, medium, high or critical".to_owned())
}

impl WrittenArgs {
    /// The incident; `None` when no flag was given.
    pub fn written(&self) -> Option<Written> {
        Some(Written {
            symptom: self.symptom.clone()?,
            action: self.action.clone()?,
            title: self.title.clone(),
            threat_type: self.threat_type.clone(),
            severity: Some(self.severity),
            root_cause: self.root_cause.clone(),
            outcome: self.outcome.clone(),
            port: self.port,
            ..Written::default()
        })
    }
}
