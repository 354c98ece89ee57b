//! Alerts to a file, one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use std::time::Duration;

use super::{Message, Outcome, Target};

/// The file, opened when the first line is written and again after an error.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    rotate_bytes: u64,
    open: Option<(File, u64)>,
}

impl JsonLines {
    /// The file at `path`; with `rotate_bytes` it becomes `<path>.1` and a new one begins.
    pub fn new(path: PathBuf, rotate_bytes: u64) -> JsonLines {
        JsonLines { path, rotate_bytes, open: None }
    }

    /// Appends a line; the system has it when this returns.
    fn append(&mut self, json: &str) -> Outcome {
        match self.try_append(json) {
            Ok(()) => Outcome::Delivered,
            Err(error) => {
                self.open = None;
                Outcome::Retry { error: format!("{}: {error}", self.path.display()), after: None }
            }
        }
    }

    fn try_append(&mut self, json: &str) -> std::io::Result<()> {
        let (mut file, mut size) = match self.open.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        if size >= self.rotate_bytes {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            (file, size) = open(&self.path)?;
        }
        // One write, so that a line is whole or its end is missing, never interleaved.
        let line = format!("{json}\n");
        file.write_all(line.as_bytes())?;
        size += line.len() as u64;
        self.open = Some((file, size));
        Ok(())
    }
}

impl Target for JsonLines {
    fn deliver(&mut self, messages: &[Message], _timeout: Duration) -> Vec<Outcome> {
        messages.iter().map(|message| self.append(&message.json)).collect()
    }

    fn batch(&self) -> usize {
        100
    }
}

/// Opens for appending and ends a line that an earlier crash or full disk tore.
fn open(path: &Path) -> std::io::Result<(File, u64)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut size = file.seek(SeekFrom::End(0))?;
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != [b'\n'] {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_torn_lines_and_rotates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        std::fs::write(&path, "{\"torn\":").unwrap();
        let mut lines = JsonLines::new(path.clone(), 20);
        assert!(matches!(lines.append("{\"a\":1}"), Outcome::Delivered));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"torn\":\n{\"a\":1}\n");
        for json in ["{\"b\":2}", "{\"c\":3}"] {
            assert!(matches!(lines.append(json), Outcome::Delivered));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"c\":3}\n");
        let old = std::fs::read_to_string(folder.path().join("alerts.jsonl.1")).unwrap();
        assert_eq!(old, "{\"torn\":\n{\"a\":1}\n{\"b\":2}\n");
    }

    #[test]
    fn a_full_disk_is_retried() {
        let mut lines = JsonLines::new(PathBuf::from("/dev/full"), 1 << 20);
        assert!(matches!(lines.append("{}"), Outcome::Retry { .. }));
    }
}
