//! One packet record of a capture file, and what can be wrong with the file.

use std::io;

use super::input::ReadError;

/// Captured bytes of one packet that are believed; libpcap's and Wireshark's limit for all link types in use here.
pub(super) const MAX_CAPTURED: usize = 256 << 10;

/// A packet as the file holds it.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// Nanoseconds since the Unix epoch; `None` where the format has no time (simple packet blocks).
    pub(super) time: Option<u64>,
    /// Length on the wire, bytes.
    pub(super) wire_len: u32,
    /// LINKTYPE number.
    pub(super) link_type: u32,
    /// The captured bytes.
    pub(super) frame: &'a [u8],
}

/// Records that are counted together, so that the cache misses of their flows are taken together.
pub(super) const AT_ONCE: usize = 16;

/// Up to [`AT_ONCE`] records, in the order of the file.
pub(super) struct Batch<'a> {
    records: [Record<'a>; AT_ONCE],
    len: usize,
}

impl<'a> Batch<'a> {
    /// Without records.
    pub(super) fn new() -> Batch<'a> {
        Batch { records: [Record { time: None, wire_len: 0, link_type: 0, frame: &[] }; AT_ONCE], len: 0 }
    }

    /// Adds a record, which there is room for.
    pub(super) fn push(&mut self, record: Record<'a>) {
        self.records[self.len] = record;
        self.len += 1;
    }

    /// Those that are in it.
    pub(super) fn records(&self) -> &[Record<'a>] {
        &self.records[..self.len]
    }
}

/// Why the records stop.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file is cut off or broken; the records before were good.
    Damaged {
        /// Where the broken record begins, bytes into the (decompressed) file.
        at: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system says no.
    Io(io::Error),
}

impl Fault {
    /// Damage at `at`.
    pub(super) fn damaged(at: u64, what: impl Into<String>) -> Fault {
        Fault::Damaged { at, what: what.into() }
    }

    /// A read that failed while the record at `at` was wanted.
    pub(super) fn read(at: u64, error: ReadError) -> Fault {
        match error {
            ReadError::Damaged(what) => Fault::Damaged { at, what },
            ReadError::Io(error) => Fault::Io(error),
        }
    }
}

/// Integers of a file in its writer's byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The 16-bit integer at `at`; 0 past the end, which callers rule out.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let two = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        match self {
            Order::Little => u16::from_le_bytes(two),
            Order::Big => u16::from_be_bytes(two),
        }
    }

    /// The 32-bit integer at `at`; 0 past the end, which callers rule out.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let four = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        match self {
            Order::Little => u32::from_le_bytes(four),
            Order::Big => u32::from_be_bytes(four),
        }
    }
}
