//! Reading bytes that anybody may have sent: nothing here can fail but by saying that there are no more.

use crate::features::sketch::mix;
use std::fmt;

/// Takes fields off the front of what is left.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { left: bytes }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.left
    }

    /// The next `n` bytes; `None`, and nothing is taken, when there are fewer.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(n)?;
        self.left = left;
        Some(taken)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// The next two bytes, big-endian.
    pub fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A field behind its length of one byte.
    pub fn field8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A field behind its length of two bytes.
    pub fn field16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

/// Hashes bytes, the same in every run.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let fold = |state: u64, chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(state, u64::from_le_bytes(word))
    };
    bytes.chunks(8).fold(mix(seed, bytes.len() as u64), fold)
}

/// Entropy of the bytes of a short text, bits per byte.
pub fn text_entropy(bytes: &[u8]) -> f32 {
    let bytes = &bytes[..bytes.len().min(255)];
    let mut counts = [0u8; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let total = bytes.len() as f32;
    let part = |&count: &u8| f32::from(count) * f32::from(count).log2();
    let sum: f32 = counts.iter().filter(|&&count| count > 1).map(part).sum();
    if bytes.is_empty() { 0.0 } else { (total.log2() - sum / total).max(0.0) }
}

/// The beginning of a text from a packet, in place. Shown, everything that is not printable ASCII is escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    /// As much of it as there is room for.
    pub fn of(bytes: &[u8]) -> Text<N> {
        let len = bytes.len().min(N).min(usize::from(u8::MAX));
        let mut text = Text { bytes: [0; N], len: len as u8 };
        text.bytes[..len].copy_from_slice(&bytes[..len]);
        text
    }

    /// As it was.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Text::of(&[])
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_past_the_end_takes_nothing() {
        let mut reader = Reader::new(&[0, 2, 7, 8, 9]);
        assert_eq!(reader.field16(), Some(&[7, 8][..]));
        assert_eq!((reader.u16(), reader.u8(), reader.u8()), (None, Some(9), None));
        assert_eq!(Reader::new(&[4, 1]).field8(), None);
    }

    #[test]
    fn text_is_cut_and_escaped() {
        let text: Text<8> = Text::of(b"a\"\x1b[2J\xff and more");
        assert_eq!(text.to_string(), "a\\\"\\x1b[2J\\xff ");
        assert_eq!(Text::<4>::default().to_string(), "");
    }

    #[test]
    fn entropy_of_text() {
        assert_eq!(text_entropy(b""), 0.0);
        assert_eq!(text_entropy(b"aaaa"), 0.0);
        assert!((text_entropy(b"abcd") - 2.0).abs() < 1e-6);
        assert!(text_entropy(&[b'x'; 4000]).abs() < 1e-4);
    }
}
