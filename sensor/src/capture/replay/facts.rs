//! What the headers of a packet say, for statistics over every packet: lengths and window.
//!
//! In: a record whose packet was parsed. Out: its facts. Lengths are those of the headers, not of the frame: a frame
//! may be padded (Ethernet's 60 bytes), or cut off by the capture.

use sensor_ebpf::flow::proto;
use sensor_ebpf::parse::Packet;

use super::record::Record;
use crate::capture::{Link, PacketFacts};

/// What the packet of a record says.
pub(super) fn facts(link: Link, record: &Record<'_>, packet: &Packet, time: u64) -> PacketFacts {
    let (header, window) = transport(record.frame, packet);
    let end = end_of_ip(record.frame, network(link, record.frame, packet)).unwrap_or(record.wire_len);
    PacketFacts {
        time,
        key: packet.key,
        payload: end.min(record.wire_len).saturating_sub(u32::from(packet.payload_at)),
        header,
        window,
        tcp_flags: packet.tcp_flags,
        reverse: packet.reverse,
    }
}

/// Where the network header starts; in a tunnel the outer one, whose end is the inner packet's too.
fn network(link: Link, frame: &[u8], packet: &Packet) -> usize {
    if packet.key.tunnel != 0 {
        return usize::from(packet.outer_at);
    }
    match link {
        Link::Network { at, .. } => usize::from(at),
        _ => {
            let tags = [12, 16].into_iter().take_while(|at| is_vlan(read_u16(frame, *at))).count();
            14 + 4 * tags
        }
    }
}

/// The tags that the parser looks through.
fn is_vlan(kind: Option<u16>) -> bool {
    matches!(kind, Some(0x8100 | 0x88a8 | 0x9100))
}

/// Where an IP packet ends, by its own length; `None` where that is 0, as in segments that a NIC is yet to cut.
fn end_of_ip(frame: &[u8], at: usize) -> Option<u32> {
    let (length, header) = match frame.get(at)? >> 4 {
        4 => (read_u16(frame, at + 2)?, 0),
        _ => (read_u16(frame, at + 4)?, 40),
    };
    (length != 0).then(|| at as u32 + header + u32::from(length))
}

/// Length of the transport header, and the TCP window.
fn transport(frame: &[u8], packet: &Packet) -> (u16, u16) {
    match packet.key.proto {
        _ if packet.later_fragment => (0, 0),
        proto::TCP => tcp(frame, packet).unwrap_or((0, 0)),
        proto::UDP | proto::ICMP | proto::ICMPV6 => (8, 0),
        proto::SCTP => (12, 0),
        _ => (0, 0),
    }
}

/// The parser says where the payload starts. The header before it is the one that has these ports and this length.
fn tcp(frame: &[u8], packet: &Packet) -> Option<(u16, u16)> {
    let (a, b) = (packet.key.port_a, packet.key.port_b);
    let (src, dst) = if packet.reverse { (b, a) } else { (a, b) };
    (0..16u16).find_map(|words| {
        let at = usize::from(packet.payload_at.checked_sub(words * 4)?);
        let is = frame.get(at + 12)? >> 4 == words as u8
            && read_u16(frame, at) == Some(src)
            && read_u16(frame, at + 2) == Some(dst);
        is.then(|| (words * 4, read_u16(frame, at + 14).unwrap_or(0)))
    })
}

fn read_u16(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensor_tests::frames::{self, Tcp, ethernet, ethertype, flag, tagged};
    use sensor_tests::tunnels;
    use std::net::IpAddr;

    const A: [u8; 4] = [10, 0, 0, 1];
    const B: [u8; 4] = [10, 0, 0, 2];

    fn of(link: Link, frame: &[u8], wire_len: usize) -> (u32, u16, u16) {
        let record = Record { time: None, wire_len: wire_len as u32, link_type: 1, frame };
        let facts = facts(link, &record, &link.parse(frame).unwrap(), 7);
        (facts.payload, facts.header, facts.window)
    }

    #[test]
    fn lengths_are_those_of_the_headers() {
        let (a, b) = (IpAddr::from(A), IpAddr::from(B));
        let header = Tcp { src: 40_000, dst: 80, flags: flag::A, seq: 1, ack: 1 };
        let tcp = |payload: &[u8]| frames::tcp(a, b, header, payload);
        // Data offset 8: twelve bytes of options.
        let mut segment = frames::tcp_segment(a, b, header, &[[1; 12].as_slice(), b"data"].concat());
        segment[12] = 0x80;
        segment[14..16].copy_from_slice(&512u16.to_be_bytes());
        let options = frames::ip(a, b, frames::proto::TCP, &segment);
        let six = |last: u16| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]);
        let udp6 = frames::udp((six(1), 5000), (six(2), 53), b"query");
        let padded = [tcp(b""), vec![0; 6]].concat();
        let bare = tcp(b"four")[14..].to_vec();
        let mut offloaded = tcp(&[0; 3000]);
        offloaded[16..18].fill(0);
        for (name, link, frame, expected) in [
            ("tcp", Link::Ethernet, tcp(b"hello"), (5, 20, 0xffff)),
            ("acknowledgement in a padded frame", Link::Ethernet, padded, (0, 20, 0xffff)),
            ("options", Link::Ethernet, options, (4, 32, 512)),
            ("vlan", Link::Ethernet, tagged(ethertype::VLAN, 5, &tcp(b"hello")), (5, 20, 0xffff)),
            ("udp", Link::Ethernet, frames::udp((a, 5000), (b, 53), b"query"), (5, 8, 0)),
            ("ipv6", Link::Ethernet, udp6, (5, 8, 0)),
            ("no link layer", Link::Network { ethertype: 0x0800, at: 0 }, bare, (4, 20, 0xffff)),
            ("length to be filled in by the NIC", Link::Ethernet, offloaded, (3000, 20, 0xffff)),
            ("icmp", Link::Ethernet, frames::icmp(a, b, 8, 0, b"ping"), (4, 8, 0)),
            (
                "vxlan",
                Link::Ethernet,
                tunnels::vxlan((b, a), tunnels::VXLAN, 7, &tcp(b"hello")),
                (5, 20, 0xffff),
            ),
            ("another protocol", Link::Ethernet, frames::ip(a, b, 89, b"hello"), (5, 0, 0)),
        ] {
            assert_eq!(of(link, &frame, frame.len()), expected, "{name}");
        }
        let fragment = frames::ipv4(A.into(), B.into(), frames::proto::UDP, &[], 0x00b9, &[0; 100]);
        assert_eq!(
            of(Link::Ethernet, &ethernet(ethertype::IPV4, &fragment), 134),
            (100, 0, 0),
            "later fragment"
        );
        let whole = tcp(&[0; 1000]);
        assert_eq!(
            of(Link::Ethernet, &whole[..54], whole.len()),
            (1000, 20, 0xffff),
            "cut off by the capture"
        );
    }
}
