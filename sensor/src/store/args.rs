//! The command line of `vesper alerts`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `vesper alerts`.
#[derive(Args, Clone, Debug)]
pub struct AlertsArgs {
    /// Configuration file [default: /etc/vesper/vesper.toml, if there is one].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: AlertsCommand,
}

/// What to do with alerts.
#[derive(Clone, Debug, Subcommand)]
pub enum AlertsCommand {
    /// List them, the newest first.
    List {
        /// Which.
        #[command(flatten)]
        filter: FilterArgs,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show everything about one: what was seen, who did what, who was told, sampled packets.
    Show {
        /// As in THREAT_20261121_001.
        threat_id: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Write the sampled packets here, for Wireshark.
        #[arg(long, value_name = "FILE")]
        pcapng: Option<PathBuf>,
    },
    /// Prove that no alert was changed, removed or moved, or say which.
    Verify {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Try again what a sink did not take: of one sink, or of all.
    Retry {
        /// Its label.
        sink: Option<String>,
    },
    /// Send a test message to a sink, and say what came back.
    Test {
        /// Its label, as in `jsonl` or `webhook_1`.
        sink: String,
    },
}

/// Which alerts.
#[derive(Args, Clone, Debug, Default)]
pub struct FilterArgs {
    /// Only of this type: PortScan, DoS, ...
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Only this severe: low, medium, high, critical.
    #[arg(long)]
    pub severity: Option<String>,
    /// Only open, acknowledged or resolved ones.
    #[arg(long)]
    pub state: Option<String>,
    /// Only from this address.
    #[arg(long, value_name = "IP")]
    pub source: Option<IpAddr>,
    /// Only to this address.
    #[arg(long, value_name = "IP")]
    pub destination: Option<IpAddr>,
    /// Only from or to this address.
    #[arg(long, value_name = "IP")]
    pub host: Option<IpAddr>,
    /// Only with these words.
    #[arg(long, value_name = "WORDS")]
    pub words: Option<String>,
    /// Stored at or after: 2026-11-21T08:00:00Z, 2026-11-21, or 90m for so long ago.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Stored at or before, likewise.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only with this score or more.
    #[arg(long, value_name = "SCORE")]
    pub min_score: Option<f64>,
}
