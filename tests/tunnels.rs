//! Tunnels from outside: which flow a wrapped packet belongs to, and what the user is shown of the wrapping.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sensor::analyze::{AnalyzeOptions, analyze};
use sensor::capture::replay::ReplayConfig;
use sensor::config::Config;
use sensor_ebpf::flow::{FlowKey, Tunnel, TunnelKind};
use sensor_ebpf::parse::{mapped, parse_ethernet, parse_ip};
use sensor_ebpf::tunnel::outer_endpoints;
use sensor_tests::capture::{self, Fraction, Order, Packet};
use sensor_tests::frames::{self, Tcp, ethertype, flag, proto};
use sensor_tests::outcome::{self, assert_conserved};
use sensor_tests::tunnels::{self, every_tunnel};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// Outer addresses; the source is the higher one, so that the two directions differ from those inside.
const FOUR: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(192, 0, 2, 9), Ipv4Addr::new(192, 0, 2, 1));
const SIX: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600_000_000_000;

fn outers() -> [(IpAddr, IpAddr); 2] {
    [(FOUR.0.into(), FOUR.1.into()), (SIX.0.into(), SIX.1.into())]
}

fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn syn(src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    let header = Tcp { src: 40_000, dst: 443, flags: flag::SYN, ..Tcp::default() };
    frames::tcp(src.into(), dst.into(), header, b"payload")
}

/// Frames that travel in tunnels.
fn inner_frames() -> Vec<(&'static str, Vec<u8>)> {
    let v6 = |last: u16| IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last));
    vec![
        ("tcp", syn(A, B)),
        ("tcp back", syn(B, A)),
        ("udp over IPv6", frames::udp((v6(2), 5), (v6(1), 53), b"query")),
        ("icmp", frames::icmp(A.into(), B.into(), 8, 0, b"ping")),
        (
            "later fragment",
            frames::ethernet(ethertype::IPV4, &frames::ipv4(A, B, proto::UDP, &[], 9, &[7; 16])),
        ),
    ]
}

#[test]
fn a_wrapped_packet_belongs_to_the_flow_it_has_alone() {
    for outer in outers() {
        for (what, inner) in inner_frames() {
            let alone = parse_ethernet(inner.as_slice()).unwrap();
            for (name, kind, id, frame) in every_tunnel(outer, &inner) {
                let packet = parse_ethernet(frame.as_slice()).unwrap();
                let tunnel = packet.key.tunnel();
                assert_eq!(tunnel.kind().map(|kind| kind as u32), Some(kind), "{what} in {name}: kind");
                assert_eq!(tunnel.id(), id, "{what} in {name}: id");
                assert_eq!(FlowKey { tunnel: 0, ..packet.key }, alone.key, "{what} in {name}: key");
                assert_eq!(packet.reverse, alone.reverse, "{what} in {name}: direction");
                assert_eq!(packet.tcp_flags, alone.tcp_flags, "{what} in {name}: flags");
                assert_eq!(packet.later_fragment, alone.later_fragment, "{what} in {name}: fragment");
                let payload = |frame: &[u8], at: u16| frame[usize::from(at)..].to_vec();
                assert_eq!(
                    payload(&frame, packet.payload_at),
                    payload(&inner, alone.payload_at),
                    "{what} in {name}"
                );
                let (a, b) = outer_endpoints(frame.as_slice(), &packet).unwrap();
                let (src, dst) = if packet.reverse { (b, a) } else { (a, b) };
                assert_eq!((src, dst), (bytes(outer.0), bytes(outer.1)), "{what} in {name}: outer addresses");
                let bare = parse_ip(&frame[14..], 0).unwrap();
                assert_eq!((bare.key, bare.outer_at), (packet.key, 0), "{what} in {name}: bare IP");
                assert_eq!(outer_endpoints(&frame[14..], &bare), Some((a, b)), "{what} in {name}: bare IP");
            }
            assert_eq!(outer_endpoints(inner.as_slice(), &alone), None);
        }
    }
}

#[test]
fn tags_are_those_of_the_inner_frame() {
    let inner = frames::tagged(ethertype::QINQ, 100, &frames::tagged(ethertype::VLAN, 200, &syn(A, B)));
    let frame = frames::tagged(ethertype::VLAN, 7, &tunnels::vxlan(outers()[0], tunnels::VXLAN, 1, &inner));
    let packet = parse_ethernet(frame.as_slice()).unwrap();
    assert_eq!((packet.key.vlan_outer(), packet.key.vlan_inner()), (100, 200));
    assert_eq!(packet.outer_at, 18);
    let frame = frames::tagged(ethertype::VLAN, 7, &tunnels::ip_in_ip(outers()[0], &syn(A, B)[14..]));
    assert_eq!(parse_ethernet(frame.as_slice()).unwrap().key.vlan, [0; 3], "inside there is no tag");
}

#[test]
fn only_one_level_is_opened() {
    let deep = tunnels::vxlan(outers()[1], tunnels::VXLAN, 9, &syn(A, B));
    for (name, kind, _, frame) in every_tunnel(outers()[0], &deep) {
        let key = parse_ethernet(frame.as_slice()).unwrap().key;
        assert_eq!(key.tunnel().kind().map(|kind| kind as u32), Some(kind), "{name}");
        assert_eq!((key.proto, key.port_a, key.port_b), (proto::UDP, tunnels::VXLAN, 55_555), "{name}");
    }
}

#[test]
fn what_does_not_hold_stays_with_the_outer_flow() {
    let outer = outers()[0];
    let inner = syn(A, B);
    let vxlan = tunnels::vxlan(outer, tunnels::VXLAN, 1, &inner);
    let geneve = tunnels::geneve(outer, 1, &[0; 4], tunnels::BRIDGED, &inner);
    let gre = tunnels::gre(outer, [None; 3], ethertype::IPV4, &inner[14..]);
    let ipip = tunnels::ip_in_ip(outer, &inner[14..]);
    let with = |at: usize, value: u8, frame: &[u8]| {
        let mut frame = frame.to_vec();
        frame[at] = value;
        frame
    };
    let vlans = |count: u16| {
        (0..count).fold(inner.clone(), |frame, id| frames::tagged(ethertype::VLAN, id + 1, &frame))
    };
    let port = |port: u16| tunnels::vxlan(outer, port, 1, &inner);
    let table = [
        ("vxlan without the I flag", with(42, 0x00, &vxlan)),
        ("vxlan with another flag", with(42, 0x88, &vxlan)),
        ("vxlan, reserved bits before the VNI", with(44, 1, &vxlan)),
        ("vxlan, reserved bits behind the VNI", with(49, 1, &vxlan)),
        ("vxlan at another port", port(4790)),
        ("geneve, version 1", with(42, 0x41, &geneve)),
        ("geneve, something else inside", with(44, 0x12, &geneve)),
        ("geneve, options behind the end", with(42, 0x3f, &geneve)),
        ("gre with routing", with(34, 0x40, &gre)),
        ("gre with strict source route", with(34, 0x08, &gre)),
        ("gre, version 1", with(35, 1, &gre)),
        ("gre with ARP", with(37, 0x06, &gre)),
        ("gre with a checksum that is not there", with(34, 0x80, &gre)),
        ("ip in ip, inner version 6", with(34, 0x60, &ipip)),
        ("arp inside", tunnels::vxlan(outer, tunnels::VXLAN, 1, &frames::arp(A, B))),
        ("three tags inside", tunnels::vxlan(outer, tunnels::VXLAN, 1, &vlans(3))),
        ("later fragment of the outer packet", with(21, 9, &vxlan)),
    ];
    for (name, frame) in table {
        let packet = parse_ethernet(frame.as_slice()).unwrap_or_else(|reason| panic!("{name}: {reason:?}"));
        let [src, dst] = [outer.0, outer.1].map(bytes);
        assert_eq!((packet.key.addr_a, packet.key.addr_b), (dst, src), "{name}");
        assert_eq!((packet.key.tunnel, packet.outer_at), (0, 0), "{name}");
        assert!(packet.reverse, "{name}: from the higher address");
    }
    let two = parse_ethernet(tunnels::vxlan(outer, tunnels::VXLAN, 1, &vlans(2)).as_slice()).unwrap();
    assert_ne!(two.key.tunnel, 0, "two tags are fine");
    for frame in [vxlan, geneve, gre, ipip] {
        let whole = parse_ethernet(frame.as_slice()).unwrap();
        for cut in 0..frame.len() {
            if let Ok(part) = parse_ethernet(&frame[..cut]) {
                assert!(part == whole || part.key.tunnel == 0, "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_tunnel_is_part_of_the_key() {
    let key = |frame: &[u8]| parse_ethernet(frame).unwrap().key;
    let inner = syn(A, B);
    let outer = outers()[0];
    let mut keys: Vec<FlowKey> = (1..4).map(|vni| key(&tunnels::vxlan(outer, 4789, vni, &inner))).collect();
    keys.push(key(&inner));
    keys.push(key(&tunnels::geneve(outer, 1, &[], tunnels::BRIDGED, &inner)));
    for (index, one) in keys.iter().enumerate() {
        for other in &keys[..index] {
            assert_ne!(one, other);
            assert_ne!(one.words(), other.words());
        }
    }
    assert_eq!(keys[0].tunnel(), Tunnel::new(TunnelKind::Vxlan, 1));
    // NVGRE tells the two directions apart by the low bits of the key; a flow has both.
    let nvgre = |flow: u32| tunnels::gre(outer, [None, Some(0x0050_0000 | flow), None], 0x6558, &inner);
    assert_eq!(key(&nvgre(1)), key(&nvgre(2)));
}

#[test]
fn replay_tells_the_outer_addresses_of_new_flows_once() {
    let there = tunnels::vxlan(outers()[0], tunnels::VXLAN, 77, &syn(A, B));
    let answer = Tcp { src: 443, dst: 40_000, flags: flag::S | flag::A, ..Tcp::default() };
    let answer = frames::tcp(B.into(), A.into(), answer, b"");
    let back = tunnels::vxlan((FOUR.1.into(), FOUR.0.into()), tunnels::VXLAN, 77, &answer);
    let packets: Vec<Packet> = [&there, &back, &syn(A, B), &there]
        .iter()
        .enumerate()
        .map(|(at, frame)| Packet { time: START + at as u64 * 300_000_000, frame: frame.to_vec() })
        .collect();
    let file = capture::pcap(&packets, Order::Little, Fraction::Micro, capture::ETHERNET);
    let outcome = outcome::replay(&file, ReplayConfig::default()).unwrap();
    assert_conserved(&outcome);
    assert_eq!(outcome.flows.len(), 2, "in the tunnel and beside it");
    let outer: Vec<_> = outcome.outer.values().collect();
    assert_eq!(outer, [&[bytes(FOUR.0.into()), bytes(FOUR.1.into())]]);
    assert_eq!(outcome.trace.matches("Tunnels").count(), 1);
}

#[test]
fn records_show_the_tunnel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tunnels.pcap");
    let inner = syn(B, A);
    let mut packets = vec![inner.clone()];
    packets.extend(every_tunnel(outers()[0], &inner).into_iter().map(|(_, _, _, frame)| frame));
    let packets: Vec<Packet> = packets
        .into_iter()
        .enumerate()
        .map(|(at, frame)| Packet { time: START + at as u64 * 1_000_000, frame })
        .collect();
    std::fs::write(&path, capture::pcap(&packets, Order::Little, Fraction::Micro, capture::ETHERNET))
        .unwrap();
    let options = AnalyzeOptions {
        files: vec![path],
        eve: Some(folder.path().join("eve.jsonl")),
        flows: Some(folder.path().join("flows.csv")),
        ..AnalyzeOptions::default()
    };
    analyze(&options, &Config::default()).unwrap();

    let mut rows = csv::Reader::from_path(folder.path().join("flows.csv")).unwrap();
    let own = rows.headers().unwrap().len() - 2;
    assert_eq!(rows.headers().unwrap().iter().skip(own).collect::<Vec<_>>(), ["Tunnel", "Tunnel ID"]);
    let rows: Vec<String> =
        rows.records().map(|row| row.unwrap().iter().skip(own).collect::<Vec<_>>().join(" ")).collect();
    let text = std::fs::read_to_string(folder.path().join("eve.jsonl")).unwrap();
    let eve: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), eve.len());
    assert_eq!(eve.iter().filter(|record| record["tunnel"].is_null()).count(), 1, "one has no tunnel");
    assert!(rows.contains(&" ".to_owned()), "nor its row");
    for row in ["vxlan 11259375", "geneve 5", "gre 3735928559", "ip 0"] {
        assert!(rows.contains(&row.to_owned()), "{row}: {rows:?}");
    }
    let expected = serde_json::json!({
        "src_ip": "192.0.2.9", "dest_ip": "192.0.2.1", "proto": "UDP", "depth": 1, "kind": "vxlan", "vni": 7,
    });
    assert!(eve.iter().any(|record| record["tunnel"] == expected), "{text}");
    // The inner packets are what the record is about.
    assert!(eve.iter().all(|record| record["src_ip"] == "10.0.0.2" && record["dest_port"] == 443));
}
