//! Bytes of a capture, from a file, a pipe or any reader, decompressed where they are gzip.
//!
//! In: a reader. Out: a window of at least so many bytes, and how far it has come. One fixed buffer, whatever the
//! size of the capture. Never decides what the bytes mean.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::ReplayError;
use super::ahead::Ahead;

/// Bytes the window can hold: the longest record that is accepted, and room to read ahead.
const BUFFER: usize = 1 << 20;
/// Every gzip member begins so (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why bytes stopped coming before their end.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The compressed data is broken or cut off.
    Damaged(String),
    /// The operating system says no.
    Io(io::Error),
}

/// A window that moves over the bytes of a capture.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    compressed: bool,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    failed: Option<ReadError>,
}

impl Input {
    /// Opens a file, or standard input for `-`. `read` counts the bytes that leave the disk.
    /// `ahead`: on a thread of its own.
    pub(super) fn open(path: &Path, read: &Arc<AtomicU64>, ahead: bool) -> Result<Input, ReplayError> {
        let failed = |source| ReplayError::Open { file: path.display().to_string(), source };
        if path == Path::new("-") {
            return Input::new(io::stdin(), read, ahead).map_err(failed);
        }
        let file = File::open(path).map_err(failed)?;
        Input::new(file, read, ahead).map_err(failed)
    }

    /// Takes any reader; gzip is known by its first bytes, not by a name.
    pub(super) fn new(
        reader: impl Read + Send + 'static,
        read: &Arc<AtomicU64>,
        ahead: bool,
    ) -> io::Result<Input> {
        let mut counted = Counted { reader, read: Arc::clone(read) };
        let mut head = [0; 2];
        let got = read_some(&mut counted, &mut head)?;
        let whole = io::Cursor::new(head).take(got as u64).chain(counted);
        let compressed = got == head.len() && head == GZIP_MAGIC;
        let mut reader: Box<dyn Read + Send> = if compressed {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(128 << 10, whole)))
        } else {
            Box::new(whole)
        };
        if ahead {
            reader = Box::new(Ahead::new(reader)?);
        }
        Ok(Input {
            reader,
            compressed,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
            failed: None,
        })
    }

    /// Offset of the window in the (decompressed) capture, bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes: at least `want` of them, fewer only where the capture ends.
    #[inline]
    pub(super) fn peek(&mut self, want: usize) -> Result<&[u8], ReadError> {
        if self.end - self.start < want {
            self.fill(want)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Moves on by `len` bytes that were peeked at, and gives them.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let len = len.min(self.end - self.start);
        let taken = self.start..self.start + len;
        self.start += len;
        self.offset += len as u64;
        &self.buffer[taken]
    }

    /// Moves on by `len` bytes without holding them; fewer where the capture ends. Says how many.
    pub(super) fn skip(&mut self, len: u64) -> Result<u64, ReadError> {
        let mut left = len;
        while left > 0 {
            let here = self.peek(1)?.len() as u64;
            if here == 0 {
                break;
            }
            let step = here.min(left);
            self.take(step as usize);
            left -= step;
        }
        Ok(len - left)
    }

    /// Reads until the window holds `want` bytes. What was read before a failure is given first.
    fn fill(&mut self, want: usize) -> Result<(), ReadError> {
        debug_assert!(want <= BUFFER, "callers check lengths first");
        if self.start + want > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < want && !self.ended && self.failed.is_none() {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(got) => self.end += got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(self.explain(error)),
            }
        }
        if self.end - self.start < want
            && let Some(error) = self.failed.take()
        {
            self.ended = true;
            return Err(error);
        }
        Ok(())
    }

    fn explain(&self, error: io::Error) -> ReadError {
        use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.kind() {
            UnexpectedEof if self.compressed => ReadError::Damaged("the gzip data ends too early".to_owned()),
            InvalidData | InvalidInput if self.compressed => {
                ReadError::Damaged(format!("the gzip data is broken: {error}"))
            }
            _ => ReadError::Io(error),
        }
    }
}

/// A reader that says how much was read from it.
struct Counted<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(into)?;
        // Relaxed: a figure for a progress bar, it orders nothing.
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// Fills `into` as far as the reader goes.
fn read_some(reader: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match reader.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
