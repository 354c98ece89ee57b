//! Classic pcap: a file header, then records.
//!
//! In: the bytes behind a known magic number. Out: records, each of which moves the input on by at least its
//! header, so that no file, however broken, holds the reader up.

use super::input::Input;
use super::record::{AT_ONCE, Batch, Fault, MAX_CAPTURED, Order, Record};

/// Length of the file header, bytes.
const FILE_HEADER: usize = 24;
/// The low bits hold the LINKTYPE number, those above say whether frames end in an FCS.
const LINK_TYPE_BITS: u32 = 0x03ff_ffff;

/// What the file header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in one unit of the fraction of a second.
    fraction: u64,
    record_header: usize,
    link_type: u32,
    lengths: Lengths,
}

/// Old libpcap wrote the two lengths of a record the other way round; version 2.3 did either.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    Unsure,
}

impl Pcap {
    /// Whether a file begins like this, and how it is to be read.
    fn layout(magic: [u8; 4]) -> Option<(Order, u64, usize)> {
        // Micro- and nanoseconds, and Kuznetzov's format with 8 more bytes (interface, protocol, type) a record.
        match magic {
            [0xa1, 0xb2, 0xc3, 0xd4] => Some((Order::Big, 1_000, 16)),
            [0xd4, 0xc3, 0xb2, 0xa1] => Some((Order::Little, 1_000, 16)),
            [0xa1, 0xb2, 0x3c, 0x4d] => Some((Order::Big, 1, 16)),
            [0x4d, 0x3c, 0xb2, 0xa1] => Some((Order::Little, 1, 16)),
            [0xa1, 0xb2, 0xcd, 0x34] => Some((Order::Big, 1_000, 24)),
            [0x34, 0xcd, 0xb2, 0xa1] => Some((Order::Little, 1_000, 24)),
            _ => None,
        }
    }

    /// Whether these are the first bytes of a pcap file.
    pub(super) fn recognises(magic: [u8; 4]) -> bool {
        Pcap::layout(magic).is_some()
    }

    /// Reads the file header.
    pub(super) fn open(input: &mut Input) -> Result<Pcap, Fault> {
        let at = input.offset();
        let have = input.peek(FILE_HEADER).map_err(|error| Fault::read(at, error))?.len();
        if have < FILE_HEADER {
            return Err(Fault::damaged(at, "the file ends inside the pcap file header"));
        }
        let header = input.take(FILE_HEADER);
        let magic = header.first_chunk().copied().unwrap_or_default();
        let Some((order, fraction, record_header)) = Pcap::layout(magic) else {
            return Err(Fault::damaged(at, "no pcap magic number"));
        };
        let (major, minor) = (order.u16(header, 4), order.u16(header, 6));
        let lengths = match (major, minor) {
            (2, 3) => Lengths::Unsure,
            (2, 0..3) => Lengths::WireFirst,
            _ => Lengths::CapturedFirst,
        };
        let link_type = order.u32(header, 20) & LINK_TYPE_BITS;
        Ok(Pcap { order, fraction, record_header, link_type, lengths })
    }

    /// The next records: those that are in memory as a whole, else one; none at the end of the file.
    pub(super) fn read<'a>(&self, input: &'a mut Input, batch: &mut Batch<'a>) -> Result<(), Fault> {
        let at = input.offset();
        let failed = |error| Fault::read(at, error);
        let window = input.peek(self.record_header).map_err(failed)?;
        if window.is_empty() {
            return Ok(());
        }
        let (mut records, mut whole) = (0, 0);
        while records < AT_ONCE
            && let Some(head) = window.get(whole..whole + self.record_header)
        {
            let captured = self.lengths(head).0 as usize;
            if captured > MAX_CAPTURED || window.len() - whole - self.record_header < captured {
                break;
            }
            whole += self.record_header + captured;
            records += 1;
        }
        if records == 0 {
            whole = self.one(input, at)?;
        }
        let mut bytes = input.take(whole);
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(self.record_header);
            let (captured, wire_len) = self.lengths(head);
            let (frame, rest) = rest.split_at(captured as usize);
            let seconds = u64::from(self.order.u32(head, 0));
            let fraction = u64::from(self.order.u32(head, 4));
            let time = Some(seconds * 1_000_000_000 + fraction * self.fraction);
            batch.push(Record { time, wire_len, link_type: self.link_type, frame });
            bytes = rest;
        }
        Ok(())
    }

    /// Length of the next record with its header, once it is in memory.
    #[cold]
    fn one(&self, input: &mut Input, at: u64) -> Result<usize, Fault> {
        let failed = |error| Fault::read(at, error);
        let head = input.peek(self.record_header).map_err(failed)?;
        if head.len() < self.record_header {
            return Err(Fault::damaged(at, "the file ends inside a record header"));
        }
        let captured = self.lengths(head).0 as usize;
        if captured > MAX_CAPTURED {
            let what = format!("a record claims {captured} captured bytes, more than {MAX_CAPTURED}");
            return Err(Fault::damaged(at, what));
        }
        let len = self.record_header + captured;
        if input.peek(len).map_err(failed)?.len() < len {
            return Err(Fault::damaged(at, "the file ends inside a packet"));
        }
        Ok(len)
    }

    /// Captured bytes of a record, and those on the wire.
    #[inline]
    fn lengths(&self, head: &[u8]) -> (u32, u32) {
        let (first, second) = (self.order.u32(head, 8), self.order.u32(head, 12));
        match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::Unsure => (first.min(second), first.max(second)),
        }
    }
}
