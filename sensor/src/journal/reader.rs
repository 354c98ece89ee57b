//! Reads a journal, also while it is being written: windows in order, and what could not be read.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder;
use super::record::{Layout, Window};
use super::segment::{Found, Segment};
use super::writer::JournalError;
use crate::telemetry::printable;

/// More are counted, not kept.
const MOST_NOTES: usize = 100;

/// Which windows are wanted: those that end after `since` and start before `until`, nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not before.
    pub since: u64,
    /// Not after.
    pub until: u64,
}

impl Span {
    /// All time.
    pub const ALL: Span = Span { since: 0, until: u64::MAX };

    fn holds(&self, window: &Window) -> bool {
        window.end > self.since && window.start < self.until
    }
}

/// A window with what its rows consist of.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What its rows consist of.
    pub layout: Arc<Layout>,
    /// The window.
    pub window: Window,
}

/// The windows of a journal; holds one segment at a time.
#[derive(Debug)]
pub struct Reader {
    segments: VecDeque<PathBuf>,
    span: Span,
    waiting: VecDeque<Entry>,
    /// What could not be read, in words.
    pub notes: Vec<String>,
    /// Bytes that are no window; at the end of the last segment they are one that is being written.
    pub damaged: u64,
}

impl Reader {
    /// Finds the segments in which such windows may be.
    pub fn open(folder: &Path, span: Span) -> Result<Reader, JournalError> {
        let failed = |source| JournalError::Folder { path: folder.to_owned(), source };
        let files = folder::list(folder).map_err(failed)?;
        let paths: Vec<PathBuf> = files.iter().map(|file| folder::path(folder, file.number)).collect();
        let starts: Vec<Option<u64>> =
            paths.iter().map(|path| folder::header(path).map(|header| header.start)).collect();
        let outside = |at: usize| {
            // A segment ends where the next one begins, unless the clock was set back meanwhile.
            let (start, next) = (starts[at], starts.get(at + 1).copied().flatten());
            let over = start.zip(next).is_some_and(|(start, next)| start <= next && next <= span.since);
            over || start.is_some_and(|start| start >= span.until)
        };
        let segments = paths.iter().enumerate().filter(|(at, _)| !outside(*at)).map(|(_, path)| path.clone());
        Ok(Reader {
            segments: segments.collect(),
            span,
            waiting: VecDeque::new(),
            notes: Vec::new(),
            damaged: 0,
        })
    }

    /// End of the latest window, if there is one.
    pub fn latest(folder: &Path) -> Result<Option<u64>, JournalError> {
        let mut reader = Reader::open(folder, Span::ALL)?;
        // Nearly always the last segment has one.
        while let Some(path) = reader.segments.pop_back() {
            reader.load(&path, true);
            if let Some(entry) = reader.waiting.pop_back() {
                return Ok(Some(entry.window.end));
            }
        }
        Ok(None)
    }

    fn note(&mut self, path: &Path, what: &str) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(format!("{}: {what}", printable(&path.display().to_string(), 200)));
        }
    }

    /// Takes the windows of a segment.
    fn load(&mut self, path: &Path, is_last: bool) {
        let bytes = match folder::read(path) {
            Ok(bytes) => bytes,
            // It made room meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.note(path, &error.to_string()),
        };
        let segment = match Segment::open(&bytes) {
            Ok(segment) => segment,
            Err(error) => return self.note(path, &error.to_string()),
        };
        let layout = Arc::new(segment.header.layout.clone());
        for found in segment {
            match found {
                Found::Window(window) if self.span.holds(&window) => {
                    self.waiting.push_back(Entry { layout: layout.clone(), window });
                }
                Found::Window(_) => {}
                Found::Damage { at, bytes: count } => {
                    self.damaged += count as u64;
                    if !is_last || at + count < bytes.len() {
                        self.note(path, &format!("{count} bytes at {at} are damaged: passed over"));
                    }
                }
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                return Some(entry);
            }
            let path = self.segments.pop_front()?;
            let is_last = self.segments.is_empty();
            self.load(&path, is_last);
        }
    }
}
