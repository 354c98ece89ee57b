//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::analyze::AnalyzeOptions;
use crate::api::token::Scope;
use crate::capture::Mode;
use crate::config::Overrides;
use crate::incidents::IncidentsArgs;
use crate::journal::JournalArgs;
use crate::store::AlertsArgs;

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
    /// Take the program of a sensor that was stopped off its interface, and put the interface back.
    Detach(DetachArgs),
    /// Watch captures instead of an interface: same stages, same alerts, memory that does not grow with the file.
    Analyze(AnalyzeArgs),
    /// Look at what was learned, go back to an earlier state, exchange it with other sensors, train another.
    Model(ModelArgs),
    /// Look at stored alerts, prove that none was changed, try notifications again, test them.
    Alerts(AlertsArgs),
    /// Print scored windows from the journal: what did this host do, and what was unusual?
    Journal(JournalArgs),
    /// What happened before and what worked: list, search, add, import.
    Incidents(IncidentsArgs),
    /// Print the settings that are in force, or all there are with their defaults.
    Config(ConfigShowArgs),
    /// Make tokens for the API: who may look, change, administer.
    Token(TokenArgs),
    /// Say whether everything is in place, why it matters and what mends it: kernel, interface, clock, GPU, disk, sinks.
    Check(CheckArgs),
    /// Opens the GPU and lets it prove itself: the sensor does so before it opens the GPU itself.
    #[command(name = crate::score::device::PROBE_COMMAND, hide = true)]
    GpuProbe {
        /// Which GPU, counted from 0.
        index: usize,
    },
    /// Write man pages and shell completions, for packages.
    #[command(hide = true)]
    Manual {
        /// The folder.
        folder: PathBuf,
    },
}

/// Which configuration, and what is set beside it.
#[derive(Args, Clone, Debug, Default)]
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
            journal: self.journal.clone(),
            json: self.json,
            model: self.model.clone(),
            save_model: self.save_model.clone(),
            types: self.types.clone(),
            threads: self.threads,
            bounded: self.bounded,
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
    /// Take the program off the interface at SIGTERM too. Else it stays and counts on for the next sensor, where
    /// capture.pin_dir can be used; SIGINT (Ctrl-C) always takes it off.
    #[arg(long)]
    pub detach_on_exit: bool,
}

/// `vesper detach`.
#[derive(Args, Clone, Debug)]
pub struct DetachArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
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
    /// Keep scored windows in this journal, for `vesper journal`.
    #[arg(long, value_name = "FOLDER")]
    pub journal: Option<PathBuf>,
    /// Write one row for each flow here, with the columns of CICFlowMeter (CICIDS2017); docs/flows.md says what they are.
    #[arg(long, value_name = "FILE.csv")]
    pub flows: Option<PathBuf>,
    /// Print one JSON summary on standard output.
    #[arg(long)]
    pub json: bool,
    /// Begin with what was learned before: `model` in the state folder of `vesper run`, or --save-model.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Say what alerts without a rule look like by this file: `types.json` in the state folder of `vesper run`.
    #[arg(long, value_name = "FILE")]
    pub types: Option<PathBuf>,
    /// Write what was learned here, for --model.
    #[arg(long, value_name = "FILE")]
    pub save_model: Option<PathBuf>,
    /// 1: read, count and analyse in turn. 2: count packets on a thread of its own. 3 or more: read and unpack on another.
    /// The results are the same.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Within limits: for captures that came by the API.
    #[arg(long, hide = true)]
    pub bounded: bool,
}

/// `vesper model`.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// Configuration file [default: /etc/vesper/vesper.toml, if there is one].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: ModelCommand,
}

/// What to do with models.
#[derive(Clone, Debug, Subcommand)]
pub enum ModelCommand {
    /// List the models and snapshots there are: state, generation, age, threshold, features.
    Info {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make a model live: the candidate, or this file. A running sensor is asked to take it up.
    Promote {
        /// A model file.
        file: Option<PathBuf>,
    },
    /// Go back to a snapshot: this one, or the latest that differs from the live model.
    Rollback {
        /// Its name, as `info` lists it.
        snapshot: Option<String>,
    },
    /// Write the live model to a file.
    Export {
        /// The file.
        file: PathBuf,
    },
    /// Make a file the candidate, if it fits this sensor's features and settings.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Train a candidate from captures, or from the journal, and compare it with the live model.
    Train {
        /// Captures in the order of their time.
        #[arg(value_name = "FILE", required_unless_present = "journal", conflicts_with = "journal")]
        files: Vec<PathBuf>,
        /// Train on what the journal kept.
        #[arg(long)]
        journal: bool,
        /// Train what looks like what instead: this file says which attacks the captures hold; see docs/types.md.
        #[arg(long, value_name = "LABELS.csv", conflicts_with = "journal", requires = "files")]
        labels: Option<PathBuf>,
        /// What to call it, in alerts.
        #[arg(long, value_name = "NAME", requires = "labels", default_value = "own")]
        name: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// `vesper config`.
#[derive(Args, Clone, Debug)]
pub struct ConfigShowArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with settings.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings in force: defaults, file and environment together, without secrets.
    Show {
        /// Print every setting with its default and what it means instead: a configuration file to begin with.
        #[arg(long)]
        defaults: bool,
        /// Configuration.
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// `vesper token`.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// Configuration file [default: /etc/vesper/vesper.toml, if there is one].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What to do with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, print it once, and add its hash to api.tokens_file. To take it back, remove its line there.
    New {
        /// Who will have it; the audit log names them so.
        name: String,
        /// What they may do; each includes those before.
        #[arg(long, value_enum, default_value = "read")]
        scope: Scope,
    },
}

/// `vesper check`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "Exit codes: 0 the sensor will run (with warnings, perhaps less well), 1 something stops it, 2 usage,\n\
    78 bad configuration. What each line means: docs/check.md."
)]
pub struct CheckArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Mend what is safe, and look again: set a mirror port up, promiscuous, its offloads off; mount bpffs; switch the
    /// BPF JIT on; make folders. Each command is printed. Needs root.
    #[arg(long)]
    pub fix: bool,
    /// Leave out what is ok.
    #[arg(long, short)]
    pub quiet: bool,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
