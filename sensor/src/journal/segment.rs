//! Reads the bytes of one segment: whole blocks, and what lies between them.

use super::record::{FORMAT, FRAME, Framed, HEAD, Header, MAGIC, MARK, RecordError, Window, framed};

/// A segment is looked through for the next whole block at most so many times its own size, so that a file made of
/// nothing but beginnings of blocks is given up soon.
const PATIENCE: usize = 8;

/// The bytes of a segment whose head was right.
#[derive(Debug)]
pub struct Segment<'a> {
    /// What its rows consist of.
    pub header: Header,
    bytes: &'a [u8],
    at: usize,
    /// Where the latest whole block ended.
    good: usize,
    patience: usize,
}

/// What stands in a segment, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A window.
    Window(Window),
    /// Bytes that are no window: from there, so many.
    Damage {
        /// Where.
        at: usize,
        /// How many.
        bytes: usize,
    },
}

impl<'a> Segment<'a> {
    /// Reads the head.
    pub fn open(bytes: &'a [u8]) -> Result<Segment<'a>, RecordError> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(RecordError::NotOne)?;
        let (magic, format) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(RecordError::NotOne);
        }
        let found = format.first_chunk().map_or(0, |format| u32::from_le_bytes(*format));
        if found != FORMAT {
            return Err(RecordError::Format { found });
        }
        let Framed::Whole(body) = framed(rest) else { return Err(RecordError::Header) };
        let header = decode::<Header>(body).ok_or(RecordError::Header)?;
        let at = HEAD + FRAME + body.len();
        Ok(Segment { header, bytes, at, good: at, patience: bytes.len().saturating_mul(PATIENCE) })
    }

    /// Where the latest whole block ended: what comes after may be cut off.
    pub fn good(&self) -> usize {
        self.good
    }

    /// The window at `at`, and where it ends.
    fn window_at(&mut self, at: usize) -> Option<(Window, usize)> {
        let body = match framed(self.bytes.get(at..)?) {
            Framed::Whole(body) => body,
            Framed::Broken(size) => {
                self.patience = self.patience.saturating_sub(size);
                return None;
            }
            Framed::Nothing => return None,
        };
        self.patience = self.patience.saturating_sub(body.len());
        let window = decode::<Window>(body).filter(|window| self.fits(window))?;
        Some((window, at + FRAME + body.len()))
    }

    /// Whether every row has the features that the header promises.
    fn fits(&self, window: &Window) -> bool {
        let (features, members) = (&self.header.layout.features, &self.header.layout.members);
        window.rows.iter().all(|row| {
            let kind = row.key.kind();
            row.features.len() == features[kind].len() && row.members.len() <= members[kind].len()
        })
    }

    /// The next place after `from` where a block may begin.
    fn next_mark(&self, from: usize) -> Option<usize> {
        let rest = self.bytes.get(from..)?;
        rest.windows(MARK.len()).position(|four| four == MARK).map(|offset| from + offset)
    }
}

impl Iterator for Segment<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let from = self.at;
        if let Some((window, end)) = self.window_at(from) {
            (self.at, self.good) = (end, end);
            return Some(Found::Window(window));
        }
        // Up to the next whole block, if there is one.
        let mut mark = self.next_mark(from + 1);
        while let Some(at) = mark.filter(|_| self.patience > 0) {
            if self.window_at(at).is_some() {
                self.at = at;
                return Some(Found::Damage { at: from, bytes: at - from });
            }
            mark = self.next_mark(at + 1);
        }
        self.at = self.bytes.len();
        Some(Found::Damage { at: from, bytes: self.at - from })
    }
}

/// All of `body`, or nothing.
fn decode<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    postcard::take_from_bytes(body).ok().filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}
