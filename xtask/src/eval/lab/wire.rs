//! Frames with right lengths and checksums, put on a wire that exists on paper.

use std::net::Ipv4Addr;

use super::super::capture::{Packet, nanoseconds};
use crate::bench::frame::{folded, sum};
use crate::random::Random;

/// Any day will do, but always the same: seconds since the Unix epoch.
pub const BEGIN: f64 = 1_780_000_000.0;
/// Data of a full segment.
pub const SEGMENT: usize = 1448;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const LEAST_FRAME: usize = 60;

/// A side of a flow.
pub type End = (Ipv4Addr, u16);

/// Packets in the order in which they were made; times are seconds since [`BEGIN`].
pub struct Wire {
    /// What was sent.
    pub packets: Vec<Packet>,
    /// Chance.
    pub random: Random,
    /// Flows that were begun.
    pub flows: u64,
    ident: u16,
}

/// The address of a host's interface; hosts outside are behind the router.
pub fn mac(host: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = host.octets();
    match a {
        10 => [2, 0x5a, a, b, c, d],
        224..=239 => [1, 0, 0x5e, b & 0x7f, c, d],
        255 => [0xff; 6],
        _ => mac(super::ROUTER),
    }
}

impl Wire {
    /// Nothing was sent yet.
    pub fn new(random: Random) -> Wire {
        Wire { packets: Vec::new(), random, flows: 0, ident: 0 }
    }

    /// A port that a client would take.
    pub fn port(&mut self) -> u16 {
        32_768 + self.random.below(28_000) as u16
    }

    /// A TCP segment of `length` bytes, of which `data` was captured and the rest is zeros.
    pub fn tcp(
        &mut self,
        time: f64,
        ends: [End; 2],
        flags: u8,
        numbers: [u32; 2],
        data: &[u8],
        length: usize,
    ) {
        let mut segment = Vec::with_capacity(20 + data.len());
        segment.extend_from_slice(&ends[0].1.to_be_bytes());
        segment.extend_from_slice(&ends[1].1.to_be_bytes());
        segment.extend_from_slice(&numbers[0].to_be_bytes());
        segment.extend_from_slice(&numbers[1].to_be_bytes());
        segment.extend_from_slice(&[0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        segment.extend_from_slice(data);
        self.ip(time, [ends[0].0, ends[1].0], TCP, segment, 20 + length.max(data.len()));
    }

    /// A datagram of `length` bytes of data.
    pub fn udp(&mut self, time: f64, ends: [End; 2], data: &[u8], length: usize) {
        let length = length.max(data.len()) + 8;
        let mut datagram = Vec::with_capacity(8 + data.len());
        datagram.extend_from_slice(&ends[0].1.to_be_bytes());
        datagram.extend_from_slice(&ends[1].1.to_be_bytes());
        datagram.extend_from_slice(&(length as u16).to_be_bytes());
        datagram.extend_from_slice(&[0, 0]);
        datagram.extend_from_slice(data);
        self.ip(time, [ends[0].0, ends[1].0], UDP, datagram, length);
    }

    /// An echo request and its answer.
    pub fn ping(&mut self, time: f64, from: Ipv4Addr, to: Ipv4Addr, number: u16) {
        for (kind, ends, time) in [(8, [from, to], time), (0, [to, from], time + 0.0006)] {
            let mut message = vec![kind, 0, 0, 0, 0x12, 0x34];
            message.extend_from_slice(&number.to_be_bytes());
            message.extend_from_slice(&[0x61; 48]);
            let checksum = folded(sum(&message));
            message[2..4].copy_from_slice(&checksum.to_be_bytes());
            self.ip(time, ends, ICMP, message, 56);
        }
    }

    /// An ARP request or answer (RFC 826): `sender` says that it has `address`.
    pub fn arp(
        &mut self,
        time: f64,
        sender: [u8; 6],
        address: Ipv4Addr,
        target: ([u8; 6], Ipv4Addr),
        ask: bool,
    ) {
        let mut frame = Vec::with_capacity(LEAST_FRAME);
        frame.extend_from_slice(if ask { &[0xff; 6] } else { &target.0 });
        frame.extend_from_slice(&sender);
        frame.extend_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, if ask { 1 } else { 2 }]);
        frame.extend_from_slice(&sender);
        frame.extend_from_slice(&address.octets());
        frame.extend_from_slice(if ask { &[0; 6] } else { &target.0 });
        frame.extend_from_slice(&target.1.octets());
        frame.resize(LEAST_FRAME, 0);
        self.put(time, frame, LEAST_FRAME);
    }

    /// `body` with an IPv4 and an Ethernet header; `length` is what the body was on the wire.
    fn ip(&mut self, time: f64, ends: [Ipv4Addr; 2], protocol: u8, mut body: Vec<u8>, length: usize) {
        let addresses = sum(&ends[0].octets()) + sum(&ends[1].octets());
        let total = addresses + u32::from(protocol) + length as u32 + sum(&body);
        match protocol {
            TCP => body[16..18].copy_from_slice(&folded(total).to_be_bytes()),
            // 0 would mean that there is none (RFC 768).
            UDP => body[6..8].copy_from_slice(&folded(total).max(1).to_be_bytes()),
            _ => {}
        }
        let mut frame = Vec::with_capacity(34 + body.len());
        frame.extend_from_slice(&mac(ends[1]));
        frame.extend_from_slice(&mac(ends[0]));
        frame.extend_from_slice(&[0x08, 0x00, 0x45, 0]);
        frame.extend_from_slice(&((20 + length) as u16).to_be_bytes());
        self.ident = self.ident.wrapping_add(1);
        frame.extend_from_slice(&self.ident.to_be_bytes());
        let hops = if ends[0].octets()[0] == 10 { 64 } else { 52 };
        frame.extend_from_slice(&[0x40, 0, hops, protocol, 0, 0]);
        frame.extend_from_slice(&ends[0].octets());
        frame.extend_from_slice(&ends[1].octets());
        let checksum = folded(sum(&frame[14..34]));
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        frame.extend_from_slice(&body);
        self.put(time, frame, 34 + length);
    }

    fn put(&mut self, time: f64, mut data: Vec<u8>, wire: usize) {
        if wire < LEAST_FRAME {
            data.resize(LEAST_FRAME, 0);
        }
        let time = nanoseconds(BEGIN) + nanoseconds(time.max(0.0));
        self.packets.push(Packet { time, wire: wire.max(LEAST_FRAME) as u32, data });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_verify_also_where_data_was_not_captured() {
        let mut wire = Wire::new(Random::new(1, "wire"));
        let ends = [(Ipv4Addr::new(10, 1, 2, 3), 40_000), (Ipv4Addr::new(198, 18, 0, 1), 443)];
        wire.tcp(1.0, ends, PSH | ACK, [7, 9], b"hello", 1448);
        wire.udp(2.0, ends, b"question", 8);
        for (packet, protocol, wire) in [(&wire.packets[0], 6, 1502), (&wire.packets[1], 17, 60)] {
            let data = &packet.data;
            assert_eq!((folded(sum(&data[14..34])), packet.wire), (0, wire));
            let length = u16::from_be_bytes([data[16], data[17]]) - 20;
            let total = sum(&data[26..34]) + protocol + u32::from(length) + sum(&data[34..]);
            assert_eq!(folded(total), 0);
        }
    }
}
