//! The header parser on hand-made frames: every protocol, every reason, and what may never happen.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use sensor_ebpf::counter::Reason;
use sensor_ebpf::flow::pack_vlan;
use sensor_ebpf::parse::{Packet, parse_ethernet, parse_ip};
use sensor_tests::frames::{self, Tcp, ethertype, flag, proto};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

fn tcp(src: IpAddr, dst: IpAddr, ports: (u16, u16), flags: u8) -> Vec<u8> {
    frames::tcp(src, dst, Tcp { src: ports.0, dst: ports.1, flags, seq: 1, ack: 1 }, b"payload")
}

fn udp_in_v4(options: &[u8], fragment: u16) -> Vec<u8> {
    let datagram = frames::udp_datagram((A.into(), 1000), (B.into(), 53), b"payload");
    frames::ethernet(ethertype::IPV4, &frames::ipv4(A, B, proto::UDP, options, fragment, &datagram))
}

/// UDP behind extension headers; each body fits the unit of its header.
fn udp_in_v6(headers: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let datagram = frames::udp_datagram((A6.into(), 1000), (B6.into(), 53), b"payload");
    let (next, payload) = frames::extension_headers(headers, proto::UDP, &datagram);
    frames::ethernet(ethertype::IPV6, &frames::ipv6(A6, B6, next, &payload))
}

fn fragment_header(offset: u16, more: bool) -> (u8, Vec<u8>) {
    let [high, low] = ((offset << 3) | u16::from(more)).to_be_bytes();
    (44, vec![0, high, low, 0, 0, 0, 9])
}

/// A hop-by-hop, routing or destination header of 8 bytes.
fn options_header(kind: u8) -> (u8, Vec<u8>) {
    (kind, vec![0, 1, 4, 0, 0, 0, 0])
}

#[test]
fn packets_with_a_flow() {
    let (v4, v6) = ((IpAddr::from(A), IpAddr::from(B)), (IpAddr::from(A6), IpAddr::from(B6)));
    let plain = udp_in_v4(&[], 0);
    // (name, frame, ports, VLAN tags, TCP flags, payload offset)
    let table = [
        ("tcp", tcp(v4.0, v4.1, (1000, 80), flag::SYN), (1000, 80), (0, 0), flag::SYN, 54),
        ("tcp6", tcp(v6.0, v6.1, (1000, 80), flag::ACK), (1000, 80), (0, 0), flag::ACK, 74),
        ("udp", plain.clone(), (1000, 53), (0, 0), 0, 42),
        ("sctp", frames::sctp((v4.0, 7), (v4.1, 8), &[0; 16]), (7, 8), (0, 0), 0, 46),
        ("ip options", udp_in_v4(&[1; 40], 0), (1000, 53), (0, 0), 0, 82),
        ("vlan", frames::tagged(ethertype::VLAN, 0x6fff, &plain), (1000, 53), (0xfff, 0), 0, 46),
        (
            "qinq",
            frames::tagged(ethertype::QINQ, 100, &frames::tagged(ethertype::VLAN, 200, &plain)),
            (1000, 53),
            (100, 200),
            0,
            50,
        ),
        ("pppoe", frames::in_session(&plain), (1000, 53), (0, 0), 0, 50),
        ("pppoe, v6", frames::in_session(&tcp(v6.0, v6.1, (1000, 80), 0)), (1000, 80), (0, 0), 0, 82),
        (
            "pppoe in a vlan",
            frames::tagged(ethertype::VLAN, 9, &frames::in_session(&plain)),
            (1000, 53),
            (9, 0),
            0,
            54,
        ),
        ("first fragment", udp_in_v4(&[], 0x2000), (1000, 53), (0, 0), 0, 42),
        ("later fragment", udp_in_v4(&[], 0x2001), (0, 0), (0, 0), 0, 34),
        ("last fragment", udp_in_v4(&[], 185), (0, 0), (0, 0), 0, 34),
        ("other protocol", frames::ip(v4.0, v4.1, 47, &[0; 8]), (0, 0), (0, 0), 0, 34),
        ("other protocol, empty", frames::ip(v6.0, v6.1, 59, &[]), (0, 0), (0, 0), 0, 54),
        ("v6 chain", udp_in_v6(&[0, 60, 43].map(options_header)), (1000, 53), (0, 0), 0, 86),
        (
            "v6 six headers",
            udp_in_v6(&[0, 60, 43, 60, 0, 60].map(options_header)),
            (1000, 53),
            (0, 0),
            0,
            110,
        ),
        // AH counts in words of 4 bytes, less two: 24 bytes.
        ("v6 ah", udp_in_v6(&[(51, [vec![4], vec![0; 22]].concat())]), (1000, 53), (0, 0), 0, 86),
        ("v6 first fragment", udp_in_v6(&[fragment_header(0, true)]), (1000, 53), (0, 0), 0, 70),
        ("v6 later fragment", udp_in_v6(&[fragment_header(5, true)]), (0, 0), (0, 0), 0, 62),
        ("icmp echo", frames::icmp(v4.0, v4.1, 8, 0, b"ping"), (8, 0), (0, 0), 0, 42),
        ("icmp unreachable", frames::icmp(v4.0, v4.1, 3, 1, &[0; 28]), (3, 1), (0, 0), 0, 42),
        ("icmpv6 echo", frames::icmp(v6.0, v6.1, 128, 0, b"ping"), (128, 129), (0, 0), 0, 62),
    ];
    for (name, frame, (port_a, port_b), (outer, inner), flags, payload_at) in table {
        let packet = parse_ethernet(frame.as_slice()).unwrap_or_else(|reason| panic!("{name}: {reason:?}"));
        assert_eq!((packet.key.port_a, packet.key.port_b), (port_a, port_b), "{name}: ports");
        assert_eq!(packet.key.vlan, pack_vlan(outer, inner), "{name}: vlan");
        assert_eq!((packet.key.vlan_outer(), packet.key.vlan_inner()), (outer, inner), "{name}: vlan ids");
        assert_eq!(packet.tcp_flags, flags, "{name}: flags");
        assert_eq!(packet.payload_at, payload_at, "{name}: payload");
        assert_eq!(
            packet.later_fragment,
            name.starts_with("later") || name.starts_with("last") || name.contains("later"),
            "{name}: fragment"
        );
        assert!(!packet.reverse, "{name}: from the lower address");
        if outer == 0 && !name.starts_with("pppoe") {
            assert_eq!(parse_ip(&frame[14..], 0).map(|packet| packet.key), Ok(packet.key), "{name}: bare IP");
        }
    }
}

#[test]
fn packets_without_a_flow() {
    let plain = udp_in_v4(&[], 0);
    let twice = frames::tagged(ethertype::VLAN, 1, &frames::tagged(ethertype::VLAN, 2, &plain));
    let broken = |at: usize, value: u8, mut frame: Vec<u8>| {
        frame[at] = value;
        frame
    };
    let table = [
        ("empty", vec![], Reason::ShortEthernet),
        ("13 bytes", plain[..13].to_vec(), Reason::ShortEthernet),
        ("cut in a tag", frames::tagged(ethertype::VLAN, 1, &plain)[..17].to_vec(), Reason::ShortEthernet),
        ("arp", frames::arp(A, B), Reason::Arp),
        ("rarp", frames::ethernet(0x8035, &[0; 28]), Reason::Arp),
        ("spanning tree", frames::ethernet(38, &[0x42; 38]), Reason::Llc),
        ("lldp", frames::ethernet(0x88cc, &[0; 40]), Reason::OtherEtherType),
        ("goose", frames::ethernet(0x88b8, &[0; 40]), Reason::OtherEtherType),
        ("pppoe, echo of PPP", broken(20, 0xc0, frames::in_session(&plain)), Reason::OtherEtherType),
        ("pppoe, cut", frames::in_session(&plain)[..21].to_vec(), Reason::OtherEtherType),
        ("pppoe in pppoe", frames::in_session(&frames::in_session(&plain)), Reason::BadIpv6),
        ("three tags", frames::tagged(ethertype::QINQ, 3, &twice), Reason::VlanDepth),
        ("ethernet alone", plain[..14].to_vec(), Reason::ShortIpv4),
        ("cut in ipv4", plain[..33].to_vec(), Reason::ShortIpv4),
        ("ipv4, version 5", broken(14, 0x55, plain.clone()), Reason::BadIpv4),
        ("ipv4, header of 16 bytes", broken(14, 0x44, plain.clone()), Reason::BadIpv4),
        ("cut in ipv6", udp_in_v6(&[])[..53].to_vec(), Reason::ShortIpv6),
        ("cut in an extension", udp_in_v6(&[options_header(60)])[..57].to_vec(), Reason::ShortIpv6),
        ("ipv6, version 4", broken(14, 0x40, udp_in_v6(&[])), Reason::BadIpv6),
        ("seven extensions", udp_in_v6(&[60; 7].map(options_header)), Reason::Ipv6Chain),
        ("cut in ports", plain[..37].to_vec(), Reason::ShortTransport),
        ("cut before tcp flags", tcp(A.into(), B.into(), (1, 2), 0)[..47].to_vec(), Reason::ShortTransport),
        ("cut in icmp", frames::icmp(A.into(), B.into(), 8, 0, &[])[..35].to_vec(), Reason::ShortTransport),
        (
            "cut in icmpv6",
            frames::icmp(A6.into(), B6.into(), 128, 0, &[])[..55].to_vec(),
            Reason::ShortTransport,
        ),
        (
            "cut in sctp",
            frames::sctp((A.into(), 1), (B.into(), 2), &[])[..37].to_vec(),
            Reason::ShortTransport,
        ),
    ];
    for (name, frame, reason) in &table {
        assert_eq!(parse_ethernet(frame.as_slice()), Err(*reason), "{name}");
    }
    for (reason, label) in Reason::ALL {
        let shown = table.iter().any(|(_, _, other)| *other == reason);
        assert!(shown || reason == Reason::UnknownLink, "no frame shows {label}");
    }
}

#[test]
fn both_directions_are_one_flow() {
    let (v4, v6) = ((IpAddr::from(A), IpAddr::from(B)), (IpAddr::from(A6), IpAddr::from(B6)));
    for (name, there, back) in [
        ("tcp", tcp(v4.0, v4.1, (9, 8), 0), tcp(v4.1, v4.0, (8, 9), 0)),
        ("tcp6", tcp(v6.0, v6.1, (9, 8), 0), tcp(v6.1, v6.0, (8, 9), 0)),
        ("same host", tcp(v4.0, v4.0, (8, 9), 0), tcp(v4.0, v4.0, (9, 8), 0)),
        ("udp", frames::udp((v4.0, 1), (v4.1, 2), &[]), frames::udp((v4.1, 2), (v4.0, 1), &[])),
        ("sctp", frames::sctp((v6.0, 1), (v6.1, 2), &[]), frames::sctp((v6.1, 2), (v6.0, 1), &[])),
        ("echo", frames::icmp(v4.0, v4.1, 8, 0, &[]), frames::icmp(v4.1, v4.0, 0, 0, &[])),
        ("timestamp", frames::icmp(v4.0, v4.1, 13, 0, &[]), frames::icmp(v4.1, v4.0, 14, 0, &[])),
        ("echo6", frames::icmp(v6.0, v6.1, 128, 0, &[]), frames::icmp(v6.1, v6.0, 129, 0, &[])),
        ("neighbour", frames::icmp(v6.0, v6.1, 135, 0, &[]), frames::icmp(v6.1, v6.0, 136, 0, &[])),
    ] {
        let (there, back) =
            (parse_ethernet(there.as_slice()).unwrap(), parse_ethernet(back.as_slice()).unwrap());
        assert_eq!(there.key, back.key, "{name}");
        assert_ne!(there.reverse, back.reverse, "{name}");
    }
}

/// Frames of every kind, to be cut and broken.
fn some_frames() -> Vec<Vec<u8>> {
    let (v4, v6) = ((IpAddr::from(A), IpAddr::from(B)), (IpAddr::from(A6), IpAddr::from(B6)));
    vec![
        tcp(v4.0, v4.1, (1000, 80), flag::SYN),
        frames::tagged(
            ethertype::QINQ,
            5,
            &frames::tagged(ethertype::VLAN, 6, &tcp(v6.1, v6.0, (80, 1000), 0x12)),
        ),
        udp_in_v4(&[1; 8], 0x2000),
        udp_in_v4(&[], 9),
        udp_in_v6(&[options_header(0), fragment_header(0, true)]),
        udp_in_v6(&[options_header(43), fragment_header(3, false)]),
        frames::icmp(v4.0, v4.1, 8, 0, b"ping"),
        frames::icmp(v6.0, v6.1, 1, 4, &[0; 48]),
        frames::sctp((v6.0, 1), (v6.1, 2), &[0; 16]),
        frames::arp(A, B),
    ]
}

#[test]
fn a_cut_frame_never_has_another_key() {
    for (index, frame) in some_frames().iter().enumerate() {
        let whole = parse_ethernet(frame.as_slice());
        for cut in 0..frame.len() {
            if let Ok(part) = parse_ethernet(&frame[..cut]) {
                assert_eq!(Ok(part), whole, "frame {index} cut at {cut}");
            }
        }
    }
}

fn check(packet: Result<Packet, Reason>) {
    if let Ok(packet) = packet {
        let (a, b) = ((packet.key.addr_a, packet.key.port_a), (packet.key.addr_b, packet.key.port_b));
        assert!(a <= b, "endpoint a sorts first");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256), at in 0usize..300) {
        check(parse_ethernet(bytes.as_slice()));
        check(parse_ip(bytes.as_slice(), at));
    }

    #[test]
    fn broken_frames_never_panic(which in 0usize..10, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut frame = some_frames().swap_remove(which);
        for (at, value) in flips {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        check(parse_ethernet(frame.as_slice()));
    }
}
