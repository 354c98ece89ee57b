//! A file that lines are appended to. It is rotated at a size, and opened anew when somebody else (logrotate) moved
//! or removed it: the path is looked at before each batch, so no signal is needed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file, opened when the first line is written and again after an error.
#[derive(Debug)]
pub struct LineFile {
    path: PathBuf,
    rotate_bytes: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    inode: u64,
}

impl LineFile {
    /// Nothing is opened yet.
    pub fn new(path: PathBuf, rotate_bytes: u64) -> LineFile {
        LineFile { path, rotate_bytes, open: None }
    }

    /// Appends lines, each without its newline; the system has them when this returns.
    pub fn append<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let written = self.try_append(lines);
        if written.is_err() {
            self.open = None;
        }
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn try_append<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> std::io::Result<()> {
        let moved =
            |open: &Open| std::fs::metadata(&self.path).map_or(true, |found| found.ino() != open.inode);
        let mut open = match self.open.take() {
            Some(open) if !moved(&open) => open,
            _ => opened(&self.path)?,
        };
        for line in lines {
            if open.size >= self.rotate_bytes {
                let mut old = self.path.clone().into_os_string();
                old.push(".1");
                std::fs::rename(&self.path, old)?;
                open = opened(&self.path)?;
            }
            // One write, so that a line is whole or its end is missing, never interleaved.
            let line = format!("{line}\n");
            open.file.write_all(line.as_bytes())?;
            open.size += line.len() as u64;
        }
        self.open = Some(open);
        Ok(())
    }
}

/// Opens for appending and ends a line that an earlier crash or full disk tore.
fn opened(path: &Path) -> std::io::Result<Open> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o640).open(path)?;
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
    let inode = file.metadata()?.ino();
    Ok(Open { file, size, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_torn_lines_and_rotates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        std::fs::write(&path, "{\"torn\":").unwrap();
        let mut lines = LineFile::new(path.clone(), 20);
        lines.append(["{\"a\":1}"].into_iter()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"torn\":\n{\"a\":1}\n");
        lines.append(["{\"b\":2}", "{\"c\":3}"].into_iter()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"c\":3}\n");
        let old = std::fs::read_to_string(folder.path().join("alerts.jsonl.1")).unwrap();
        assert_eq!(old, "{\"torn\":\n{\"a\":1}\n{\"b\":2}\n");
    }

    #[test]
    fn follows_the_path_when_the_file_was_moved_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        let mut lines = LineFile::new(path.clone(), 1 << 20);
        lines.append(["a"].into_iter()).unwrap();
        std::fs::rename(&path, folder.path().join("eve.json.2026")).unwrap();
        lines.append(["b"].into_iter()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b\n");
        std::fs::remove_file(&path).unwrap();
        lines.append(["c"].into_iter()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "c\n");
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let error = LineFile::new(PathBuf::from("/dev/full"), 1 << 20).append(["a"].into_iter()).unwrap_err();
        assert!(error.starts_with("/dev/full: No space"), "{error}");
    }
}
