//! Real frames with valid lengths and checksums.
//!
//! In: addresses, ports, payload. Out: bytes as they stand on the wire, without FCS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use sensor_ebpf::flow::proto;

/// TCP flag bits, also in short.
pub mod flag {
    pub use sensor_ebpf::flow::tcp::*;
    pub use sensor_ebpf::flow::tcp::{ACK as A, FIN as F, PSH as P, RST as R, SYN as S};
}

/// EtherType numbers.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad outer tag.
    pub const QINQ: u16 = 0x88a8;
}

/// What a TCP segment says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Flag bits.
    pub flags: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
}

/// An Ethernet II frame; short ones are not padded, as a capture of what a host sends shows them.
pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Puts a VLAN tag behind the addresses of an Ethernet frame.
pub fn tagged(tag_type: u16, vlan: u16, frame: &[u8]) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    out.extend(tag_type.to_be_bytes());
    out.extend(vlan.to_be_bytes());
    out.extend(&frame[12..]);
    out
}

/// Puts the headers of a PPPoE session and of PPP (RFC 2516) before the IP packet of an Ethernet frame.
pub fn in_session(frame: &[u8]) -> Vec<u8> {
    let protocol: u16 = if frame[12..14] == ethertype::IPV4.to_be_bytes() { 0x0021 } else { 0x0057 };
    let length = (frame.len() - 14 + 2) as u16;
    let mut out = frame[..12].to_vec();
    out.extend([0x88, 0x64, 0x11, 0, 0, 7]);
    out.extend(length.to_be_bytes());
    out.extend(protocol.to_be_bytes());
    out.extend(&frame[14..]);
    out
}

/// An Ethernet frame with an IP packet of either version; both addresses are of the same one.
pub fn ip(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            ethernet(ethertype::IPV4, &ipv4(src, dst, protocol, &[], 0, payload))
        }
        (src, dst) => ethernet(ethertype::IPV6, &ipv6(v6(src), v6(dst), protocol, payload)),
    }
}

/// A TCP segment in IP in Ethernet.
pub fn tcp(src: IpAddr, dst: IpAddr, header: Tcp, payload: &[u8]) -> Vec<u8> {
    ip(src, dst, proto::TCP, &tcp_segment(src, dst, header, payload))
}

/// A UDP datagram in IP in Ethernet.
pub fn udp(src: (IpAddr, u16), dst: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    ip(src.0, dst.0, proto::UDP, &udp_datagram(src, dst, payload))
}

/// An ICMP or ICMPv6 message, by the address family.
pub fn icmp(src: IpAddr, dst: IpAddr, kind: u8, code: u8, payload: &[u8]) -> Vec<u8> {
    let protocol = if src.is_ipv4() { proto::ICMP } else { proto::ICMPV6 };
    let mut message = vec![kind, code, 0, 0, 0, 1, 0, 1];
    message.extend(payload);
    let sum =
        if src.is_ipv4() { checksum(&[&message]) } else { transport_checksum(src, dst, protocol, &message) };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(src, dst, protocol, &message)
}

/// An SCTP packet with one chunk.
pub fn sctp(src: (IpAddr, u16), dst: (IpAddr, u16), chunk: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(src.1.to_be_bytes());
    packet.extend(dst.1.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    packet.extend(chunk);
    let sum = crc32c(&packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
    ip(src.0, dst.0, proto::SCTP, &packet)
}

/// An ARP request.
pub fn arp(sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
    body.extend(sender.octets());
    body.extend([0; 6]);
    body.extend(target.octets());
    ethernet(ethertype::ARP, &body)
}

/// An IPv4 packet. `options` is a multiple of 4 bytes; `fragment` holds the flags and the offset field.
pub fn ipv4(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    options: &[u8],
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    let header_len = 20 + options.len();
    let mut packet = vec![0x40 | (header_len / 4) as u8, 0];
    packet.extend(((header_len + payload.len()) as u16).to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(options);
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IPv6 packet; `next` is the protocol of the payload, which may begin with extension headers.
pub fn ipv6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(payload);
    packet
}

/// IPv6 extension headers before a payload: each is (number, body), whose length fits the header's own unit.
pub fn extension_headers(headers: &[(u8, Vec<u8>)], protocol: u8, payload: &[u8]) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    for (index, (_, body)) in headers.iter().enumerate() {
        out.push(headers.get(index + 1).map_or(protocol, |(next, _)| *next));
        out.extend(body);
    }
    out.extend(payload);
    (headers.first().map_or(protocol, |(first, _)| *first), out)
}

/// A TCP segment with its checksum.
pub fn tcp_segment(src: IpAddr, dst: IpAddr, header: Tcp, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + payload.len());
    segment.extend(header.src.to_be_bytes());
    segment.extend(header.dst.to_be_bytes());
    segment.extend(header.seq.to_be_bytes());
    segment.extend(header.ack.to_be_bytes());
    segment.extend([0x50, header.flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    let sum = transport_checksum(src, dst, proto::TCP, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// A UDP datagram with its checksum.
pub fn udp_datagram(src: (IpAddr, u16), dst: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(8 + payload.len());
    datagram.extend(src.1.to_be_bytes());
    datagram.extend(dst.1.to_be_bytes());
    datagram.extend(((8 + payload.len()) as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    // 0 means none (RFC 768): a sum of 0 is sent as its other form.
    let sum = match transport_checksum(src.0, dst.0, proto::UDP, &datagram) {
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    }
}

fn transport_checksum(src: IpAddr, dst: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let mut pseudo = Vec::with_capacity(40);
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            pseudo.extend(src.octets());
            pseudo.extend(dst.octets());
        }
        (src, dst) => {
            pseudo.extend(v6(src).octets());
            pseudo.extend(v6(dst).octets());
        }
    }
    pseudo.extend((segment.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    checksum(&[&pseudo, segment])
}

/// The Internet checksum (RFC 1071) over parts of even length, the last of which may be odd.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// CRC-32C (RFC 9260, appendix A), bit by bit: tests do not need speed here.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right() {
        // RFC 1071, section 3, and the check value of CRC-32C.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let frame = udp((a, 1000), (b, 53), b"odd");
        assert_eq!(checksum(&[&frame[14..34]]), 0, "IPv4 header");
        assert_eq!(transport_checksum(a, b, proto::UDP, &frame[34..]), 0, "UDP");
    }
}
