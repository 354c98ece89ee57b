//! pcapng: sections of blocks (draft-ietf-opsawg-pcapng).
//!
//! In: the bytes from a section header on. Out: the packets of enhanced, simple and obsolete packet blocks;
//! every other block is skipped without being held. Each block moves the input on by at least 12 bytes, or ends
//! the file as damaged.

use super::input::Input;
use super::record::{Fault, MAX_CAPTURED, Order, Record};

/// First bytes of a pcapng file, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Block type, length, and the length again at the end.
const SMALLEST_BLOCK: usize = 12;
/// A block that is read: a packet with its options.
const LARGEST_READ: usize = MAX_CAPTURED + (64 << 10);
/// A block that is skipped: name tables, decryption secrets, what an application keeps for itself.
const LARGEST_SKIPPED: usize = 64 << 20;
/// Interfaces of one section.
const MAX_INTERFACES: usize = 4096;

/// What an interface description says.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u32,
    /// Units of its timestamps in one second.
    units: u64,
    /// Seconds to add to its timestamps.
    offset: i64,
    /// Longest packet captured, bytes; 0 is no limit.
    snap: u32,
}

/// What is in force in the current section.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
}

impl Pcapng {
    /// Before the first section header.
    pub(super) fn new() -> Pcapng {
        Pcapng { order: Order::Little, interfaces: Vec::new() }
    }

    /// The next packet; `None` at the end of the file.
    pub(super) fn next<'a>(&mut self, input: &'a mut Input) -> Result<Option<Record<'a>>, Fault> {
        loop {
            let at = input.offset();
            let Some((kind, len)) = self.block(input, at)? else {
                return Ok(None);
            };
            match kind {
                SECTION_HEADER | INTERFACE => {
                    let body = whole_block(self.order, input, at, len)?;
                    if kind == INTERFACE {
                        self.add_interface(body, at)?;
                    }
                }
                OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    let body = whole_block(self.order, input, at, len)?;
                    return self.packet(kind, body, at).map(Some);
                }
                _ => skip_block(self.order, input, at, len)?,
            }
        }
    }

    /// Type and length of the block at the input, checked; `None` at the end of the file.
    fn block(&mut self, input: &mut Input, at: u64) -> Result<Option<(u32, usize)>, Fault> {
        let head = input.peek(SMALLEST_BLOCK).map_err(|error| Fault::read(at, error))?;
        if head.is_empty() {
            return Ok(None);
        }
        if head.len() < SMALLEST_BLOCK {
            return Err(Fault::damaged(at, "the file ends inside a block header"));
        }
        if head.starts_with(&MAGIC) {
            // A section says its own byte order, and forgets the interfaces of the one before.
            self.order = match head[8..12] {
                [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
                [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
                _ => {
                    return Err(Fault::damaged(at, "a section header without its byte-order magic"));
                }
            };
            self.interfaces.clear();
        }
        let (kind, len) = (self.order.u32(head, 0), self.order.u32(head, 4) as usize);
        let largest = match kind {
            SECTION_HEADER | INTERFACE | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET => LARGEST_READ,
            _ => LARGEST_SKIPPED,
        };
        if len < SMALLEST_BLOCK || len > largest || !len.is_multiple_of(4) {
            let what = format!("a block of type {kind:#x} claims a length of {len} bytes");
            return Err(Fault::damaged(at, what));
        }
        Ok(Some((kind, len)))
    }

    fn add_interface(&mut self, body: &[u8], at: u64) -> Result<(), Fault> {
        if body.len() < 8 {
            return Err(Fault::damaged(at, "an interface description is too short"));
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Fault::damaged(at, format!("more than {MAX_INTERFACES} interfaces in one section")));
        }
        let mut interface = Interface {
            link_type: u32::from(self.order.u16(body, 0)),
            units: 1_000_000,
            offset: 0,
            snap: self.order.u32(body, 4),
        };
        let mut options = &body[8..];
        // Every option is at least 4 bytes long; a broken list ends the search, not the file.
        while options.len() >= 4 {
            let (code, len) = (self.order.u16(options, 0), usize::from(self.order.u16(options, 2)));
            let Some(value) = options.get(4..4 + len) else {
                break;
            };
            match (code, value) {
                (0, _) => break,
                (9, &[exponent]) => {
                    interface.units = units(exponent).ok_or_else(|| {
                        Fault::damaged(at, format!("an interface with time resolution {exponent:#x}"))
                    })?;
                }
                (14, value) => {
                    if let Some(&bytes) = value.first_chunk::<8>() {
                        interface.offset = match self.order {
                            Order::Little => i64::from_le_bytes(bytes),
                            Order::Big => i64::from_be_bytes(bytes),
                        };
                    }
                }
                _ => {}
            }
            options = options.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn packet<'a>(&self, kind: u32, body: &'a [u8], at: u64) -> Result<Record<'a>, Fault> {
        let word = |index: usize| self.order.u32(body, index * 4);
        let (header, id) = match kind {
            SIMPLE_PACKET => (4, 0),
            OBSOLETE_PACKET => (20, usize::from(self.order.u16(body, 0))),
            _ => (20, word(0) as usize),
        };
        if body.len() < header {
            return Err(Fault::damaged(at, "a packet block is too short for its header"));
        }
        let Some(interface) = self.interfaces.get(id) else {
            return Err(Fault::damaged(at, format!("a packet of interface {id}, which was not described")));
        };
        let (time, captured, wire_len) = if kind == SIMPLE_PACKET {
            let wire_len = word(0);
            let snap = if interface.snap == 0 { u32::MAX } else { interface.snap };
            // The block has no captured length: it is what the limit, the packet and the block allow.
            let captured = (wire_len.min(snap) as usize).min(body.len() - header);
            (None, captured, wire_len)
        } else {
            let stamp = (u64::from(word(1)) << 32) | u64::from(word(2));
            (Some(interface.nanoseconds(stamp)), word(3) as usize, word(4))
        };
        if captured > MAX_CAPTURED {
            let what = format!("a packet claims {captured} captured bytes, more than {MAX_CAPTURED}");
            return Err(Fault::damaged(at, what));
        }
        let Some(frame) = body.get(header..header + captured) else {
            return Err(Fault::damaged(at, format!("a packet of {captured} bytes is longer than its block")));
        };
        Ok(Record { time, wire_len, link_type: interface.link_type, frame })
    }
}

impl Interface {
    /// A timestamp in nanoseconds since the Unix epoch; what lies outside of 64 bits is moved to their edge.
    fn nanoseconds(&self, stamp: u64) -> u64 {
        let seconds = i128::from(stamp / self.units) + i128::from(self.offset);
        let fraction = u128::from(stamp % self.units) * 1_000_000_000 / u128::from(self.units);
        let time = seconds * 1_000_000_000 + fraction as i128;
        u64::try_from(time.max(0)).unwrap_or(u64::MAX)
    }
}

/// Units in one second by `if_tsresol`: a power of ten, or of two where the top bit is set.
fn units(exponent: u8) -> Option<u64> {
    let power = u32::from(exponent & 0x7f);
    if exponent & 0x80 == 0 { 10u64.checked_pow(power) } else { 1u64.checked_shl(power) }
}

/// Takes a block from the input and gives its body.
fn whole_block(order: Order, input: &mut Input, at: u64, len: usize) -> Result<&[u8], Fault> {
    if input.peek(len).map_err(|error| Fault::read(at, error))?.len() < len {
        return Err(Fault::damaged(at, "the file ends inside a block"));
    }
    let block = input.take(len);
    check_trailer(order, &block[len - 4..], at, len)?;
    Ok(&block[8..len - 4])
}

/// Moves the input past a block of no interest, which may be longer than the buffer.
fn skip_block(order: Order, input: &mut Input, at: u64, len: usize) -> Result<(), Fault> {
    let body = len as u64 - 4;
    let failed = |error| Fault::read(at, error);
    if input.skip(body).map_err(failed)? < body || input.peek(4).map_err(failed)?.len() < 4 {
        return Err(Fault::damaged(at, "the file ends inside a block"));
    }
    check_trailer(order, input.take(4), at, len)
}

/// A block ends with its length: where it does not, no later block can be trusted either.
fn check_trailer(order: Order, trailer: &[u8], at: u64, len: usize) -> Result<(), Fault> {
    let again = order.u32(trailer, 0) as usize;
    if again == len {
        return Ok(());
    }
    Err(Fault::damaged(at, format!("a block begins with length {len} and ends with {again}")))
}
