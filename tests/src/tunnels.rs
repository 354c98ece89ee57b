//! Packets in packets: what stands behind an outer IP header, and whole frames of every kind of tunnel.

use std::net::IpAddr;

use crate::frames::{self, ethertype, proto};

/// UDP ports of VXLAN (IANA's, then the one Linux used first) and GENEVE.
pub const VXLAN: u16 = 4789;
/// See [`VXLAN`].
pub const VXLAN_LINUX: u16 = 8472;
/// See [`VXLAN`].
pub const GENEVE: u16 = 6081;
/// EtherType of Ethernet in a tunnel.
pub const BRIDGED: u16 = 0x6558;

/// Outer addresses, source first.
pub type Outer = (IpAddr, IpAddr);

/// An Ethernet frame in VXLAN.
pub fn vxlan(outer: Outer, port: u16, vni: u32, inner: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = vni.to_be_bytes();
    let payload = [&[0x08, 0, 0, 0, a, b, c, 0], inner].concat();
    frames::udp((outer.0, 55_555), (outer.1, port), &payload)
}

/// `inner` in GENEVE, of the kind `protocol` says, behind `options`, which are a multiple of 4 bytes.
pub fn geneve(outer: Outer, vni: u32, options: &[u8], protocol: u16, inner: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = vni.to_be_bytes();
    let [high, low] = protocol.to_be_bytes();
    let header = [(options.len() / 4) as u8, 0, high, low, a, b, c, 0];
    frames::udp((outer.0, 55_555), (outer.1, GENEVE), &[&header, options, inner].concat())
}

/// `inner` in GRE, of the kind `protocol` says; checksum, key and sequence number where there are any.
pub fn gre(
    outer: Outer,
    [checksum, key, sequence]: [Option<u32>; 3],
    protocol: u16,
    inner: &[u8],
) -> Vec<u8> {
    let bit = |field: Option<u32>, bit: u16| if field.is_some() { bit } else { 0 };
    let flags = bit(checksum, 0x8000) | bit(key, 0x2000) | bit(sequence, 0x1000);
    let mut payload = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
    for field in [checksum, key, sequence].into_iter().flatten() {
        payload.extend(field.to_be_bytes());
    }
    payload.extend(inner);
    frames::ip(outer.0, outer.1, proto::GRE, &payload)
}

/// A bare IP packet in IP; the version of the inner one decides about the protocol number.
pub fn ip_in_ip(outer: Outer, inner: &[u8]) -> Vec<u8> {
    let protocol = if inner[0] >> 4 == 4 { proto::IPV4 } else { proto::IPV6 };
    frames::ip(outer.0, outer.1, protocol, inner)
}

/// An untagged IP frame in every tunnel that can carry it: name, kind, id and the frame.
pub fn every_tunnel(outer: Outer, inner: &[u8]) -> Vec<(&'static str, u32, u32, Vec<u8>)> {
    let kind = u16::from_be_bytes([inner[12], inner[13]]);
    let mut all = vec![
        ("vxlan", 1, 0xabcdef, vxlan(outer, VXLAN, 0xabcdef, inner)),
        ("vxlan of Linux", 1, 7, vxlan(outer, VXLAN_LINUX, 7, inner)),
        ("geneve", 2, 5, geneve(outer, 5, &[], BRIDGED, inner)),
        ("geneve with options", 2, 6, geneve(outer, 6, &[1; 252], BRIDGED, inner)),
        ("gre, bridged", 3, 0, gre(outer, [None; 3], BRIDGED, inner)),
        ("gre, bridged, small key", 3, 9, gre(outer, [None, Some(9), None], BRIDGED, inner)),
        ("nvgre", 3, 0x12_3456, gre(outer, [None, Some(0x1234_5678), None], BRIDGED, inner)),
    ];
    if matches!(kind, ethertype::IPV4 | ethertype::IPV6) {
        let packet = &inner[14..];
        all.extend([
            ("geneve, IP", 2, 5, geneve(outer, 5, &[2; 8], kind, packet)),
            ("gre", 3, 0, gre(outer, [None; 3], kind, packet)),
            ("gre, checksum", 3, 0, gre(outer, [Some(0xffff_0000), None, None], kind, packet)),
            ("gre, key", 3, 0xdead_beef, gre(outer, [None, Some(0xdead_beef), None], kind, packet)),
            ("gre, sequence", 3, 0, gre(outer, [None, None, Some(1)], kind, packet)),
            ("gre, all", 3, 3, gre(outer, [Some(0), Some(3), Some(5)], kind, packet)),
            ("ip in ip", 4, 0, ip_in_ip(outer, packet)),
        ]);
    }
    all
}
