//! Why a replay ends early.

use std::io;

/// Why a replay ends early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file is not there, or may not be read.
    #[error("cannot open capture {file}: {source}")]
    Open {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The operating system failed half-way.
    #[error("cannot read capture {file}: {source}; what was read before is lost: analyse a copy of the file")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// Neither pcap nor pcapng.
    #[error("{file} is not a capture: it {begins}; {remedy}")]
    NotCapture {
        /// The file.
        file: String,
        /// How it begins.
        begins: String,
        /// What to do.
        remedy: String,
    },
    /// Settings that cannot work.
    #[error("{name} = {value} cannot be used for a replay: it must be at least 1")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u64,
    },
}
