//! Captures: packets to the bytes of a pcap or pcapng file.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A packet and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// The frame, from its link-layer header on.
    pub frame: Vec<u8>,
}

/// How a file writes its integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// The variants of classic pcap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraction {
    /// Microseconds.
    Micro,
    /// Nanoseconds.
    Nano,
    /// Microseconds, and 8 more bytes in a record.
    Kuznetzov,
}

/// Ethernet.
pub const ETHERNET: u32 = 1;

impl Order {
    /// Four bytes.
    pub fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    /// Two bytes.
    pub fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }
}

/// A classic pcap file.
pub fn pcap(packets: &[Packet], order: Order, fraction: Fraction, link_type: u32) -> Vec<u8> {
    let mut file = Vec::new();
    write_pcap(&mut file, packets, order, fraction, link_type).expect("a vector takes every byte");
    file
}

/// Writes a classic pcap file to anything.
pub fn write_pcap<'a>(
    out: &mut impl Write,
    packets: impl IntoIterator<Item = &'a Packet>,
    order: Order,
    fraction: Fraction,
    link_type: u32,
) -> std::io::Result<()> {
    out.write_all(&pcap_header(order, fraction, link_type))?;
    for packet in packets {
        out.write_all(&pcap_record(packet, order, fraction))?;
        out.write_all(&packet.frame)?;
    }
    Ok(())
}

/// The header of a classic pcap file.
pub fn pcap_header(order: Order, fraction: Fraction, link_type: u32) -> Vec<u8> {
    let magic = match fraction {
        Fraction::Micro => 0xa1b2_c3d4,
        Fraction::Nano => 0xa1b2_3c4d,
        Fraction::Kuznetzov => 0xa1b2_cd34,
    };
    let mut header = order.u32(magic).to_vec();
    header.extend(order.u16(2));
    header.extend(order.u16(4));
    header.extend([0; 8]);
    header.extend(order.u32(262_144));
    header.extend(order.u32(link_type));
    header
}

/// The header of a record.
pub fn pcap_record(packet: &Packet, order: Order, fraction: Fraction) -> Vec<u8> {
    let unit = if fraction == Fraction::Nano { 1 } else { 1_000 };
    let len = packet.frame.len() as u32;
    let mut record = Vec::with_capacity(24);
    record.extend(order.u32((packet.time / 1_000_000_000) as u32));
    record.extend(order.u32((packet.time % 1_000_000_000 / unit) as u32));
    record.extend(order.u32(len));
    record.extend(order.u32(len));
    if fraction == Fraction::Kuznetzov {
        record.extend([0; 8]);
    }
    record
}

/// A pcapng file: one section, one interface with nanoseconds, enhanced packet blocks.
pub fn pcapng(packets: &[Packet], order: Order, link_type: u32) -> Vec<u8> {
    let mut file = section(order);
    file.extend(interface(order, link_type as u16, &option(order, 9, &[9])));
    for packet in packets {
        file.extend(enhanced_packet(order, 0, packet.time, &packet.frame));
    }
    file
}

/// A pcapng block: type, length, padded body, length.
pub fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len().next_multiple_of(4) + 12) as u32;
    let mut block = order.u32(kind).to_vec();
    block.extend(order.u32(len));
    block.extend(body);
    block.resize(len as usize - 4, 0);
    block.extend(order.u32(len));
    block
}

/// A section header.
pub fn section(order: Order) -> Vec<u8> {
    let mut body = order.u32(0x1a2b_3c4d).to_vec();
    body.extend(order.u16(1));
    body.extend(order.u16(0));
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &body)
}

/// An interface description; `options` come from [`option`].
pub fn interface(order: Order, link_type: u16, options: &[u8]) -> Vec<u8> {
    let mut body = order.u16(link_type).to_vec();
    body.extend([0; 2]);
    body.extend(order.u32(0));
    body.extend(options);
    block(order, 1, &body)
}

/// An option of a block.
pub fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = order.u16(code).to_vec();
    option.extend(order.u16(value.len() as u16));
    option.extend(value);
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

/// An enhanced packet block; `stamp` is in the interface's units.
pub fn enhanced_packet(order: Order, interface: u32, stamp: u64, frame: &[u8]) -> Vec<u8> {
    let mut body = order.u32(interface).to_vec();
    body.extend(order.u32((stamp >> 32) as u32));
    body.extend(order.u32(stamp as u32));
    body.extend(order.u32(frame.len() as u32));
    body.extend(order.u32(frame.len() as u32));
    body.extend(frame);
    block(order, 6, &body)
}

/// A simple packet block.
pub fn simple_packet(order: Order, frame: &[u8]) -> Vec<u8> {
    let mut body = order.u32(frame.len() as u32).to_vec();
    body.extend(frame);
    block(order, 3, &body)
}

/// The same bytes, compressed.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}
