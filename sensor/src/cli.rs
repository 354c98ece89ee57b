//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::analyze::AnalyzeOptions;
use crate::capture::Mode;
use crate::config::Overrides;

/// Exit code of success.
pub const EXIT_DONE: u8 = 0;
/// Exit code of failure.
pub const EXIT_FAILED: u8 = 1;
/// Exit code of a bad configuration (EX_CONFIG of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Counts every packet, learns what is normal on this network, and says what is not.
#[derive(Debug, Parser)]
#[command(name = "vesper", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 78 bad configuration.\n\
    Not sure where to start? `vesper check --interface IF` says what is missing and how to get it.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch an interface until stopped (SIGINT or SIGTERM).
    Run(RunArgs),
    /// Watch captures instead of an interface: same stages, same alerts, memory that does not grow with the file.
    Analyze(AnalyzeArgs),
    /// Say whether everything is in place: configuration, kernel, interface, GPU, sinks; changes nothing.
    Check(CheckArgs),
}

/// Which configuration, and what is set beside it.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// Configuration file [default: /etc/vesper/vesper.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Interface to watch; overrides capture.interface.
    #[arg(long, short, value_name = "IF")]
    pub interface: Option<String>,
    /// mirror: the interface only receives copies. host: it is this machine's own. Overrides capture.mode.
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
}

impl AnalyzeArgs {
    /// What to analyse, and where the results go.
    pub fn options(&self) -> AnalyzeOptions {
        AnalyzeOptions {
            files: self.files.clone(),
            alerts: self.alerts.clone(),
            eve: self.eve.clone(),
            flows: self.flows.clone(),
            scores: self.scores.clone(),
            rows: self.rows.clone(),
            json: self.json,
            model: self.model.clone(),
            save_model: self.save_model.clone(),
            threads: self.threads,
        }
    }
}

impl ConfigArgs {
    /// What the command line sets.
    pub fn overrides(&self) -> Overrides {
        Overrides { interface: self.interface.clone(), mode: self.mode }
    }
}

/// `vesper run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print one JSON summary on standard output when stopped.
    #[arg(long)]
    pub json: bool,
}

/// `vesper analyze`.
#[derive(Args, Clone, Debug)]
pub struct AnalyzeArgs {
    /// Captures in the order of their time: pcap, pcapng, either with .gz; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Configuration file [default: /etc/vesper/vesper.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write alerts here, one JSON object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub alerts: Option<PathBuf>,
    /// Write alerts and flows here under the field names of Suricata's EVE JSON, one object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub eve: Option<PathBuf>,
    /// Write one row for each scored window here, in time order.
    #[arg(long, value_name = "FILE.csv")]
    pub scores: Option<PathBuf>,
    /// Write the features of each scored window here, each between 0 and 1, for models of your own.
    #[arg(long, value_name = "FILE.csv")]
    pub rows: Option<PathBuf>,
    /// Write one row for each flow here, with the columns of CICFlowMeter (CICIDS2017); docs/flows.md says what they are.
    #[arg(long, value_name = "FILE.csv")]
    pub flows: Option<PathBuf>,
    /// Print one JSON summary on standard output.
    #[arg(long)]
    pub json: bool,
    /// Begin with what was learned before: `model` in the state folder of `vesper run`, or --save-model.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Write what was learned here, for --model.
    #[arg(long, value_name = "FILE")]
    pub save_model: Option<PathBuf>,
    /// 1: read, count and analyse in turn. 2: count packets on a thread of its own. 3 or more: read and unpack on another.
    /// The results are the same.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
}

/// `vesper check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the lines as one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lines_as_in_the_design() {
        for line in [
            "vesper run",
            "vesper run --config f.toml --interface eth0 --mode host --json",
            "vesper analyze a.pcap b.pcapng.gz - --alerts a.jsonl --scores s.csv --rows r.csv --flows f.csv --eve e.jsonl --json",
            "vesper analyze a.pcap --model m --save-model n --threads 4",
            "vesper check --config f.toml --interface eth0",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in ["vesper", "vesper analyze", "vesper run --mode tap", "vesper runn"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
