//! Writes segments: one after the other, and never more of them than there is room for.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::config::JournalConfig;
use super::folder;
use super::record::{Header, Layout, RecordError, Window, encode_header, encode_window};
use super::segment::{Found, Segment};
use crate::telemetry::printable;

/// Segments are of this size, so that one fits into memory easily and making room loses little.
const SEGMENT: u64 = 8 << 20;
/// A small file still takes so much.
const LEAST_ON_DISK: u64 = 4096;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the folder.
    pub max_bytes: u64,
    /// Of a segment, unless a single window is larger.
    pub segment_bytes: u64,
    /// Nanoseconds.
    pub max_age: u64,
}

impl Limits {
    /// As the configuration has it.
    pub fn of(config: &JournalConfig) -> Limits {
        Limits {
            max_bytes: config.max_bytes,
            segment_bytes: SEGMENT.min(config.max_bytes / 8),
            max_age: u64::try_from(config.max_age.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// What happened, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Segments that made room.
    pub removed_size: u64,
    /// Segments that were too old.
    pub removed_age: u64,
    /// Bytes that were no window, cut off when the journal was opened.
    pub torn_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    number: u64,
    bytes: u64,
    /// Of its first window; absent where its head cannot be read.
    start: Option<u64>,
}

impl Known {
    fn on_disk(&self) -> u64 {
        self.bytes.max(LEAST_ON_DISK)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    limits: Limits,
    layout: Layout,
    /// The oldest first; the last one is being written while there is a file.
    segments: VecDeque<Known>,
    file: Option<File>,
    next: u64,
    /// See [`Done`].
    pub done: Done,
    /// What a person should know about the opening.
    pub notices: Vec<String>,
}

impl Writer {
    /// Opens the journal in `folder`, which is made if need be, to go on behind its last whole window.
    pub fn open(folder: &Path, limits: Limits, layout: &Layout) -> Result<Writer, JournalError> {
        let failed = |source| JournalError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let files = folder::list(folder).map_err(failed)?;
        let known = |file: &folder::SegmentFile| Known {
            number: file.number,
            bytes: file.bytes,
            start: folder::header(&folder::path(folder, file.number)).map(|header| header.start),
        };
        let mut writer = Writer {
            folder: folder.to_owned(),
            limits,
            layout: layout.clone(),
            segments: files.iter().map(known).collect(),
            file: None,
            next: files.last().map_or(1, |file| file.number.saturating_add(1)),
            done: Done::default(),
            notices: Vec::new(),
        };
        if let Some(last) = files.last() {
            writer.take_up(last.number).map_err(failed)?;
        }
        Ok(writer)
    }

    /// Cuts off what is torn at the end of the last segment, and goes on with it if it holds the same kind of rows.
    fn take_up(&mut self, number: u64) -> io::Result<()> {
        let path = folder::path(&self.folder, number);
        let shown = printable(&path.display().to_string(), 200);
        let bytes = folder::read(&path)?;
        let mut segment = match Segment::open(&bytes) {
            Ok(segment) => segment,
            Err(error) => {
                self.notices.push(format!("{shown}: {error}; it stays until its room is needed"));
                return Ok(());
            }
        };
        let damaged: usize = segment
            .by_ref()
            .map(|found| if let Found::Damage { bytes, .. } = found { bytes } else { 0 })
            .sum();
        let good = segment.good();
        let torn = bytes.len() - good;
        if damaged > torn {
            let within = damaged - torn;
            self.notices.push(format!("{shown}: {within} bytes between its windows are damaged"));
        }
        let file = OpenOptions::new().write(true).open(&path)?;
        if torn > 0 {
            file.set_len(good as u64)?;
            file.sync_all()?;
            self.done.torn_bytes += torn as u64;
            self.notices.push(format!(
                "{shown}: the last {torn} bytes are no whole window (a crash, or a full disk): cut off"
            ));
        }
        if let Some(last) = self.segments.back_mut() {
            last.bytes = good as u64;
        }
        if segment.header.layout == self.layout {
            (&file).seek(SeekFrom::Start(good as u64))?;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Segments on disk.
    pub fn segments(&self) -> u64 {
        self.segments.len() as u64
    }

    /// Writes a window; the system has it when this returns. On an error it is not in the journal, and a later one may
    /// be tried.
    pub fn append(&mut self, window: &Window) -> Result<(), JournalError> {
        let block = encode_window(window)?;
        let length = block.len() as u64;
        let full = |last: &Known| last.bytes.saturating_add(length) > self.limits.segment_bytes;
        if self.file.is_none() || self.segments.back().is_none_or(full) {
            self.begin(window.start, length)?;
        }
        self.make_room(length, window.end)?;
        let (Some(file), Some(last)) = (&mut self.file, self.segments.back_mut()) else {
            return Err(self.failed(io::Error::other("it was removed while it was written")));
        };
        if let Err(error) = file.write_all(&block) {
            // What was written of it would be damage between two windows.
            let cut = file.set_len(last.bytes).and_then(|()| file.seek(SeekFrom::Start(last.bytes)));
            if cut.is_err() {
                self.file = None;
            }
            return Err(self.failed(error));
        }
        last.bytes += length;
        Ok(())
    }

    /// Begins a segment whose first window is as long as `length`.
    fn begin(&mut self, start: u64, length: u64) -> Result<(), JournalError> {
        self.sync()?;
        self.file = None;
        let head = encode_header(&Header { start, layout: self.layout.clone() })?;
        let bytes = head.len() as u64;
        self.make_room(bytes.saturating_add(length).max(LEAST_ON_DISK), start)?;
        let path = folder::path(&self.folder, self.next);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|source| JournalError::Write { path: path.clone(), source })?;
        // Its number is taken, whatever happens next.
        self.segments.push_back(Known { number: self.next, bytes, start: Some(start) });
        self.next = self.next.saturating_add(1);
        if let Err(source) = file.write_all(&head) {
            // On a full disk there would be one such file for each window.
            if fs::remove_file(&path).is_ok() {
                self.segments.pop_back();
            }
            return Err(JournalError::Write { path, source });
        }
        self.file = Some(file);
        Ok(())
    }

    /// Removes segments until `length` more bytes fit, and those that are too old at `now`.
    fn make_room(&mut self, length: u64, now: u64) -> Result<(), JournalError> {
        let oldest_wanted = now.saturating_sub(self.limits.max_age);
        loop {
            let taken: u64 = self.segments.iter().map(Known::on_disk).sum();
            let too_large = taken.saturating_add(length) > self.limits.max_bytes;
            // A segment ends where the next one begins.
            let ended = self.segments.get(1).and_then(|next| next.start);
            let too_old = ended.is_some_and(|ended| ended < oldest_wanted);
            let Some(first) = self.segments.front().copied().filter(|_| too_large || too_old) else {
                return Ok(());
            };
            let path = folder::path(&self.folder, first.number);
            match fs::remove_file(&path) {
                Ok(()) => {}
                // Somebody else did.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(JournalError::Write { path, source }),
            }
            self.segments.pop_front();
            if self.segments.is_empty() {
                self.file = None;
            }
            if too_large { self.done.removed_size += 1 } else { self.done.removed_age += 1 }
        }
    }

    /// What was written survives a crash of the machine when this returns.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        match self.file.as_ref().map(File::sync_data) {
            Some(Err(error)) => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, source: io::Error) -> JournalError {
        let number = self.segments.back().map_or(self.next, |segment| segment.number);
        JournalError::Write { path: folder::path(&self.folder, number), source }
    }
}

/// The journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Its folder.
    #[error("the journal in {} cannot be opened: {source}; check journal.path", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A segment.
    #[error("cannot write {}: {source}; check that its disk has room", path.display())]
    Write {
        /// The segment.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A window.
    #[error(transparent)]
    Record(#[from] RecordError),
}
