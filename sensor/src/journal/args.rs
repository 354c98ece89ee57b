//! The command line of `vesper journal`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::JournalOptions;
use crate::config::Config;

/// `vesper journal`.
#[derive(Args, Clone, Debug)]
pub struct JournalArgs {
    /// The journal [default: the one of the configuration].
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Configuration file [default: /etc/vesper/vesper.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only what this host took part in, with a table of the services used.
    #[arg(long, value_name = "IP")]
    pub host: Option<IpAddr>,
    /// Not before: 2026-11-21T08:00:00Z, 2026-11-21, or 90m for so long before the latest window.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Not after, likewise.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only unusual rows, all of which are in the journal; of ordinary ones there is a sample.
    #[arg(long)]
    pub unusual: bool,
    /// One JSON object a row, with the features.
    #[arg(long)]
    pub json: bool,
}

impl JournalArgs {
    /// What is wanted; `config` says where the journal is.
    pub fn options(&self, config: &Config) -> JournalOptions {
        let folder = || config.state_dir.join(&config.journal.path);
        JournalOptions {
            folder: self.folder.clone().unwrap_or_else(folder),
            host: self.host,
            since: self.since.clone(),
            until: self.until.clone(),
            unusual: self.unusual,
            json: self.json,
        }
    }
}
