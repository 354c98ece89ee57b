//! Where results go: a file, or standard output for `-`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::alert::report::protocol;
use crate::analysis::ScoredWindow;
use crate::capture::replay::ReplayError;
use crate::journal::JournalError;
use crate::score::ScoreError;

/// Why an analysis fails.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The captures.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The model.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The summary cannot be printed.
    #[error("cannot write to standard output: {0}")]
    Print(#[from] io::Error),
    /// A result cannot be written.
    #[error("cannot write {}: {source}; check that the folder exists and has room", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The model cannot be read or used.
    #[error("cannot use the model {}: {why}; without --model the analysis learns from the capture itself", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The process cannot be limited.
    #[error("cannot limit the analysis of an upload ({what}): {source}")]
    Limits {
        /// What could not be set.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// An upload is too large.
    #[error(
        "the capture has more than {packets} packets: send a part of it, or use `vesper analyze` on the sensor"
    )]
    TooMuch {
        /// The limit.
        packets: u64,
    },
    /// Two results in one file would be mixed.
    #[error("two results go to {}: give each a file of its own ('-' and --json both mean standard output)", path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
}

/// A result that is written as it comes.
pub(super) struct OutputFile {
    path: PathBuf,
    writer: Box<dyn Write + Send>,
}

impl OutputFile {
    /// Creates the file; an old one is replaced.
    pub(super) fn create(path: &Path) -> Result<OutputFile, AnalyzeError> {
        let writer: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            let file =
                File::create(path).map_err(|source| AnalyzeError::Write { path: path.to_owned(), source })?;
            Box::new(BufWriter::with_capacity(64 << 10, file))
        };
        Ok(OutputFile { path: path.to_owned(), writer })
    }

    /// Writes one line of JSON.
    pub(super) fn json_line(&mut self, value: &impl serde::Serialize) -> Result<(), AnalyzeError> {
        let written = serde_json::to_writer(&mut self.writer, value)
            .map_err(io::Error::from)
            .and_then(|()| self.writer.write_all(b"\n"));
        self.check(written)
    }

    /// Writes text as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), AnalyzeError> {
        let written = self.writer.write_all(text.as_bytes());
        self.check(written)
    }

    /// Everything that was written is in the file.
    pub(super) fn finish(mut self) -> Result<(), AnalyzeError> {
        let written = self.writer.flush();
        self.check(written)
    }

    fn check(&self, written: io::Result<()>) -> Result<(), AnalyzeError> {
        written.map_err(|source| AnalyzeError::Write { path: self.path.clone(), source })
    }
}

/// Refuses two results in one place; `json` is the summary on standard output.
pub(super) fn refuse_same_file(paths: &[&Path], json: bool) -> Result<(), AnalyzeError> {
    let stdout = json.then_some(Path::new("-"));
    let all: Vec<&Path> = paths.iter().copied().chain(stdout).collect();
    for (index, path) in all.iter().enumerate() {
        if all[..index].contains(path) {
            return Err(AnalyzeError::SameFile { path: (*path).to_owned() });
        }
    }
    Ok(())
}

/// Prints text; a reader that closed its end, such as `head`, has had enough and is no error.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Seconds with microseconds: `1767225600.000000`. Not a float, which has no room for both.
pub(super) fn seconds(time: u64) -> String {
    format!("{}.{:06}", time / 1_000_000_000, time / 1_000 % 1_000_000)
}

/// The columns that say which window of which flow a row is about.
pub(super) const KEY_COLUMNS: &str = "window_start,window_end,src_ip,src_port,dst_ip,dst_port,proto,packets_fwd,\
                                      packets_rev,bytes_fwd,bytes_rev";

/// The cells of [`KEY_COLUMNS`].
pub(super) fn key_cells(row: &ScoredWindow) -> String {
    let ([packets_fwd, packets_rev], [bytes_fwd, bytes_rev]) = (row.packets, row.bytes);
    format!(
        "{},{},{},{},{},{},{},{packets_fwd},{packets_rev},{bytes_fwd},{bytes_rev}",
        seconds(row.window_start),
        seconds(row.window_end),
        row.src,
        row.src_port,
        row.dst,
        row.dst_port,
        protocol(row.proto),
    )
}
