//! What holds for every frame, whatever is in it. libFuzzer drives this; a panic is a finding.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the builders of frames are shared with the tests, which use more of them")]

#[path = "../src/corpus.rs"]
mod corpus;
#[path = "../src/frames.rs"]
mod frames;
#[path = "../src/tunnels.rs"]
mod tunnels;

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use sensor_ebpf::counter::Reason;
use sensor_ebpf::flow::{TunnelKind, proto};
use sensor_ebpf::parse::{Packet, parse_ethernet, parse_ip, parse_network};
use sensor_ebpf::tunnel::outer_endpoints;

/// How far behind the frame a header may say that the payload begins: an extension header and TCP options.
const BEHIND: usize = 2048 + 60;
/// Frames up to this length are cut everywhere, longer ones at one place.
const CUT_EVERYWHERE: usize = 160;

fuzz_target!(
    init: seed(),
    |frame: &[u8]| {
        let whole = parse_ethernet(frame);
        if let Ok(packet) = &whole {
            holds(frame, packet);
        }
        cut(frame, &whole);
        wrapped(frame, &whole);
        turned_round(frame, &whole);
        elsewhere(frame);
    }
);

/// Before libFuzzer reads its corpus: frames of every kind, so that it need not invent headers.
fn seed() {
    let Some(folder) = std::env::var_os("VESPER_FUZZ_SEEDS") else { return };
    for (number, frame) in corpus::every_kind().iter().enumerate() {
        let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
        std::fs::write(path, frame).expect("the folder of seeds can be written");
    }
}

/// Of each packet alone.
fn holds(frame: &[u8], packet: &Packet) {
    let key = &packet.key;
    assert!((key.addr_a, key.port_a) <= (key.addr_b, key.port_b), "endpoint a sorts first");
    assert!(usize::from(packet.payload_at) <= frame.len() + BEHIND, "the payload is near the frame");
    assert!(packet.tcp_flags == 0 || key.proto == proto::TCP, "flags without TCP");
    assert!(!packet.later_fragment || (key.port_a, key.port_b) == (0, 0), "a later fragment has no ports");
    let outer = outer_endpoints(frame, packet);
    assert_eq!(outer.is_some(), key.tunnel != 0, "outer addresses if and only if in a tunnel");
    assert_eq!(key.tunnel().kind().is_some(), key.tunnel != 0, "a tunnel has a kind");
    if key.tunnel == 0 {
        assert_eq!(packet.outer_at, 0);
    } else {
        assert!(usize::from(packet.outer_at) + 20 < frame.len(), "the outer header is in the frame");
        assert!(packet.payload_at > packet.outer_at, "the inner packet is behind the outer header");
        assert!(key.tunnel().kind() != Some(TunnelKind::Ip) || key.tunnel().id() == 0);
    }
}

/// A frame cut short has the same key, that of the outer packet, or none; and what is cut off changes nothing else.
fn cut(frame: &[u8], whole: &Result<Packet, Reason>) {
    let one = frame.len() - frame.last().map_or(0, |last| usize::from(*last) % frame.len());
    let cuts = if frame.len() <= CUT_EVERYWHERE { 0..frame.len() } else { one..one + 1 };
    for at in cuts {
        if let Ok(part) = parse_ethernet(&frame[..at]) {
            let whole = whole.as_ref().expect("more of a packet is no less a packet");
            let outer = part.key.tunnel == 0 && whole.key.tunnel != 0;
            assert!(outer || part == *whole, "cut at {at}");
        }
    }
}

/// A frame in a tunnel has the flow that it has alone, but for the tunnel.
fn wrapped(frame: &[u8], alone: &Result<Packet, Reason>) {
    let outer: (IpAddr, IpAddr) = (Ipv4Addr::new(10, 0, 0, 2).into(), Ipv4Addr::new(10, 0, 0, 1).into());
    // Lengths in headers have 16 bits.
    if frame.len() > 60_000 {
        return;
    }
    let all = [
        (TunnelKind::Vxlan, 3, tunnels::vxlan(outer, tunnels::VXLAN, 3, frame)),
        (TunnelKind::Geneve, 4, tunnels::geneve(outer, 4, &[0; 4], tunnels::BRIDGED, frame)),
        (TunnelKind::Gre, 5, tunnels::gre(outer, [None, Some(5), None], tunnels::BRIDGED, frame)),
    ];
    for (kind, id, tunnel) in all {
        let packet = parse_ethernet(tunnel.as_slice()).expect("the outer packet is a packet");
        match alone {
            Err(_) => assert_eq!(packet.key.tunnel, 0, "what is no packet stays with the outer one"),
            Ok(alone) => {
                let found = packet.key.tunnel();
                assert_eq!((found.kind(), found.id()), (Some(kind), id));
                // A tunnel in a tunnel is not opened.
                if alone.key.tunnel == 0 {
                    let mut key = packet.key;
                    key.tunnel = 0;
                    assert_eq!(key, alone.key);
                    assert_eq!((packet.reverse, packet.tcp_flags), (alone.reverse, alone.tcp_flags));
                    assert_eq!(packet.later_fragment, alone.later_fragment);
                    let inner = tunnel.len() - frame.len();
                    assert_eq!(usize::from(packet.payload_at), usize::from(alone.payload_at) + inner);
                }
            }
        }
    }
}

/// The packet that goes the other way has the same key, and the other direction.
fn turned_round(frame: &[u8], there: &Result<Packet, Reason>) {
    let Some(back) = reversed(frame) else { return };
    let (Ok(there), Ok(back)) = (there, parse_ethernet(back.as_slice())) else {
        panic!("one way a packet, the other way none");
    };
    // The other port may be one of a tunnel.
    if there.key.tunnel == 0 && back.key.tunnel == 0 {
        assert_eq!(there.key, back.key);
        let key = &there.key;
        let same = (key.addr_a, key.port_a) == (key.addr_b, key.port_b);
        assert_eq!(there.reverse != back.reverse, !same);
    }
}

/// An untagged packet without extension headers, sent back; `None` for others, and for ICMP, where the answer to a
/// packet is of another type.
fn reversed(frame: &[u8]) -> Option<Vec<u8>> {
    let kind = frame.get(12..14)?;
    let (addresses, width, protocol, transport) = if kind == [0x08, 0x00] {
        let later = u16::from_be_bytes([*frame.get(20)?, *frame.get(21)?]) & 0x1fff != 0;
        let behind = 14 + usize::from(frame[14] & 0x0f) * 4;
        (26, 4, *frame.get(23)?, (!later).then_some(behind))
    } else if kind == [0x86, 0xdd] {
        (22, 16, *frame.get(20)?, Some(54))
    } else {
        return None;
    };
    let ports = matches!(protocol, proto::TCP | proto::UDP | proto::SCTP);
    let plain = matches!(protocol, 2 | 50 | 59 | 89);
    if !(ports || plain) || parse_ethernet(frame).is_err() {
        return None;
    }
    let mut back = frame.to_vec();
    swap(&mut back, addresses, width)?;
    if let (true, Some(at)) = (ports, transport) {
        swap(&mut back, at, 2)?;
    }
    Some(back)
}

/// Exchanges two neighbouring fields.
fn swap(frame: &mut [u8], at: usize, width: usize) -> Option<()> {
    frame.get_mut(at..at + 2 * width)?.rotate_left(width);
    Some(())
}

/// Captures begin with other link layers.
fn elsewhere(frame: &[u8]) {
    let at = frame.first().map_or(0, |first| usize::from(*first));
    for parsed in [
        parse_ip(frame, at),
        parse_network(frame, 0x0800, at, [1, 2, 3]),
        parse_network(frame, 0x86dd, at, [0xff; 3]),
    ] {
        if let Ok(packet) = parsed
            && packet.key.tunnel != 0
        {
            assert!(outer_endpoints(frame, &packet).is_some());
        }
    }
}
