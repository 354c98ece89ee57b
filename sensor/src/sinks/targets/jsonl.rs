//! Messages to a file, one JSON object a line.

use std::path::PathBuf;
use std::time::Duration;

use super::files::LineFile;
use super::{Message, Outcome, Target, together};

/// Lines written at once.
const BATCH: usize = 256;

/// The file.
#[derive(Debug)]
pub struct JsonLines(LineFile);

impl JsonLines {
    /// Nothing is opened yet.
    pub fn new(path: PathBuf, rotate_bytes: u64) -> JsonLines {
        JsonLines(LineFile::new(path, rotate_bytes))
    }
}

impl Target for JsonLines {
    fn deliver(&mut self, messages: &[Message], _timeout: Duration) -> Vec<Outcome> {
        let outcome = match self.0.append(messages.iter().map(|message| &*message.json)) {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::Retry { error, after: None },
        };
        together(outcome, messages.len())
    }

    fn batch(&self) -> usize {
        BATCH
    }
}
