//! Frame to packet: the only parser of headers, in the kernel and in user space.
//!
//! Nothing here is an error: a packet that cannot be put into a flow has a [`Reason`], and is counted there.

use crate::counter::Reason;
use crate::flow::{FlowKey, proto};
use crate::frame::Frame;
use crate::icmp::{icmp_ports, icmpv4_reply, icmpv6_reply};
use crate::tunnel;

/// EtherType values (IEEE 802 numbers).
pub(crate) mod ethertype {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(super) const ARP: u16 = 0x0806;
    /// Ethernet inside a tunnel (RFC 1701).
    pub(crate) const BRIDGED: u16 = 0x6558;
    pub(super) const RARP: u16 = 0x8035;
    pub(super) const VLAN: u16 = 0x8100;
    pub(super) const QINQ: u16 = 0x88a8;
    pub(super) const QINQ_OLD: u16 = 0x9100;
    /// A PPPoE session (RFC 2516).
    pub(super) const PPPOE: u16 = 0x8864;
    pub(crate) const IPV6: u16 = 0x86dd;
    /// Below this the field is a length (IEEE 802.3, 3.2.6).
    pub(super) const FIRST: u16 = 0x0600;
}

/// IPv6 extension headers that are walked (RFC 8200, section 4; RFC 4302 for AH).
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
}

/// What a PPPoE session carries (RFC 1661; numbers of IANA).
mod ppp {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const IPV6: u16 = 0x0057;
}

/// Header of PPPoE and the protocol field of PPP behind it.
const PPPOE_HEADER: usize = 8;

/// VLAN tags that are looked through.
const VLAN_TAGS: usize = 2;
/// IPv6 extension headers that are walked: RFC 8200 knows of five kinds, one of which may appear twice.
const EXTENSION_HEADERS: usize = 6;

/// A packet that belongs to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The flow it belongs to.
    pub key: FlowKey,
    /// Whether it goes from endpoint `b` to endpoint `a`.
    pub reverse: bool,
    /// TCP flags; 0 for other protocols and for later fragments.
    pub tcp_flags: u8,
    /// Where the transport payload starts, bytes from the start of the frame; in a tunnel, that of the inner packet.
    pub payload_at: u16,
    /// Where the outer network header starts, bytes from the start of the frame; 0 unless the key names a tunnel.
    pub outer_at: u16,
    /// A fragment other than the first: it has no ports.
    pub later_fragment: bool,
}

/// What precedes the network layer.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// EtherType.
    pub kind: u16,
    /// Where the network layer starts, bytes from the start of the frame.
    pub at: usize,
    /// Both VLAN ids, as the key packs them.
    pub vlan: u32,
}

/// An address in two halves, most significant first: as words through the parser, for a compiler that must choose
/// between two addresses does so byte by byte if they are bytes.
pub(crate) type Halves = [u64; 2];

/// Addresses, and where the transport layer is.
#[derive(Clone, Copy, Debug)]
struct Transport {
    src: Halves,
    dst: Halves,
    proto: u8,
    at: usize,
    later_fragment: bool,
    vlan: u32,
}

/// What the transport layer says of itself: ports, and for TCP the flags.
#[derive(Clone, Copy, Debug)]
struct Ports {
    src: u16,
    dst: u16,
    tcp_flags: u8,
    header_len: usize,
}

/// A packet before its endpoints are put in order. Integers only: this is how the inner packet of a tunnel comes
/// over the stack of the kernel program, and of what was there the verifier does not know that a bool is one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parsed {
    src: Halves,
    dst: Halves,
    pub(crate) tunnel: u64,
    src_port: u16,
    dst_port: u16,
    /// Three bytes of VLAN ids, and the protocol above.
    vlan_proto: u32,
    payload_at: u16,
    tcp_flags: u8,
    later_fragment: u8,
}

/// Parses a frame that starts with an Ethernet header.
#[inline(always)]
pub fn parse_ethernet<F: Frame + ?Sized>(frame: &F) -> Result<Packet, Reason> {
    parse(frame, ethernet(frame, 0)?)
}

/// Parses from the network layer on: `kind` is its EtherType, `at` its offset.
#[inline(always)]
pub fn parse_network<F: Frame + ?Sized>(
    frame: &F,
    kind: u16,
    at: usize,
    vlan: [u8; 3],
) -> Result<Packet, Reason> {
    let [low, middle, high] = vlan;
    parse(frame, Network { kind, at, vlan: u32::from_le_bytes([low, middle, high, 0]) })
}

/// Parses a bare IP packet, as in captures without a link layer.
pub fn parse_ip<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<Packet, Reason> {
    match frame.read::<1>(at).map(|[first]| first >> 4) {
        Some(4) => parse_network(frame, ethertype::IPV4, at, [0; 3]),
        Some(6) => parse_network(frame, ethertype::IPV6, at, [0; 3]),
        Some(_) => Err(Reason::BadIpv4),
        None => Err(Reason::ShortIpv4),
    }
}

/// A packet that carries another one, whole enough to belong to a flow, belongs to the inner one's flow.
#[inline(always)]
fn parse<F: Frame + ?Sized>(frame: &F, network: Network) -> Result<Packet, Reason> {
    let transport = addresses(frame, network)?;
    let ports = ports(frame, &transport)?;
    let mut parsed = join(&transport, ports);
    let mut outer_at = 0;
    if tunnel::may_be(transport.proto, ports.dst) && !transport.later_fragment {
        let mut inner = Parsed::default();
        if tunnel::open(frame, transport.proto, ports.dst, transport.at, &mut inner) {
            parsed = inner;
            outer_at = network.at as u16;
        }
    }
    Ok(packet(&parsed, outer_at))
}

/// Parses without looking into tunnels.
#[inline(always)]
pub(crate) fn parse_inner<F: Frame + ?Sized>(frame: &F, network: Network) -> Result<Parsed, Reason> {
    let transport = addresses(frame, network)?;
    Ok(join(&transport, ports(frame, &transport)?))
}

/// The Ethernet header at `at`, its VLAN tags, and the header of a PPPoE session.
#[inline(always)]
pub fn ethernet<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<Network, Reason> {
    let mut kind = read_u16(frame, at + 12).ok_or(Reason::ShortEthernet)?;
    let mut at = at + 14;
    let mut tags = [0u16; VLAN_TAGS];
    // Two steps spelled out by the constant bound: the verifier needs no loop.
    for tag in &mut tags {
        if !is_vlan(kind) {
            break;
        }
        *tag = read_u16(frame, at).ok_or(Reason::ShortEthernet)? & 0xfff;
        kind = read_u16(frame, at + 2).ok_or(Reason::ShortEthernet)?;
        at += 4;
    }
    if is_vlan(kind) {
        return Err(Reason::VlanDepth);
    }
    if kind == ethertype::PPPOE {
        // What PPP says of itself stays what it is: a frame that is not IP.
        let inside = match read_u16(frame, at + 6) {
            Some(ppp::IPV4) => ethertype::IPV4,
            Some(ppp::IPV6) => ethertype::IPV6,
            _ => kind,
        };
        if inside != kind {
            (kind, at) = (inside, at + PPPOE_HEADER);
        }
    }
    Ok(Network { kind, at, vlan: u32::from(tags[0]) | u32::from(tags[1]) << 12 })
}

#[inline(always)]
fn addresses<F: Frame + ?Sized>(frame: &F, network: Network) -> Result<Transport, Reason> {
    match network.kind {
        ethertype::IPV4 => ipv4(frame, network),
        ethertype::IPV6 => ipv6(frame, network),
        ethertype::ARP | ethertype::RARP => Err(Reason::Arp),
        0..ethertype::FIRST => Err(Reason::Llc),
        _ => Err(Reason::OtherEtherType),
    }
}

#[inline(always)]
fn is_vlan(kind: u16) -> bool {
    matches!(kind, ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD)
}

#[inline(always)]
pub(crate) fn read_u16<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<u16> {
    frame.read::<2>(at).map(u16::from_be_bytes)
}

#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, network: Network) -> Result<Transport, Reason> {
    let header = frame.read::<20>(network.at).ok_or(Reason::ShortIpv4)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_len < 20 {
        return Err(Reason::BadIpv4);
    }
    // The low 13 bits are the offset in units of 8 bytes (RFC 791, section 3.1).
    let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    Ok(Transport {
        src: mapped_halves([header[12], header[13], header[14], header[15]]),
        dst: mapped_halves([header[16], header[17], header[18], header[19]]),
        proto: header[9],
        at: network.at + header_len,
        later_fragment: fragment_offset != 0,
        vlan: network.vlan,
    })
}

/// An IPv4 address as IPv4-mapped IPv6.
#[inline(always)]
pub fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

#[inline(always)]
fn mapped_halves(address: [u8; 4]) -> Halves {
    [0, 0xffff << 32 | u64::from(u32::from_be_bytes(address))]
}

#[inline(always)]
fn read_halves<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Halves> {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = frame.read::<16>(at)?;
    Some([u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p])])
}

#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, network: Network) -> Result<Transport, Reason> {
    // In one piece: the verifier does not follow the comparison that a read of one byte becomes.
    let [first, _, _, _, _, _, next, _] = frame.read::<8>(network.at).ok_or(Reason::ShortIpv6)?;
    if first >> 4 != 6 {
        return Err(Reason::BadIpv6);
    }
    let src = read_halves(frame, network.at + 8).ok_or(Reason::ShortIpv6)?;
    let dst = read_halves(frame, network.at + 24).ok_or(Reason::ShortIpv6)?;

    let mut proto = next;
    let mut at = network.at + 40;
    for _ in 0..EXTENSION_HEADERS {
        if !is_extension(proto) {
            break;
        }
        let [next, units, high, low] = frame.read::<4>(at).ok_or(Reason::ShortIpv6)?;
        let len = match proto {
            // AH counts in 4-byte words less two (RFC 4302, 2.2); the others in 8-byte words less one.
            extension::AUTHENTICATION => (usize::from(units) + 2) * 4,
            extension::FRAGMENT => 8,
            _ => (usize::from(units) + 1) * 8,
        };
        if proto == extension::FRAGMENT && u16::from_be_bytes([high, low]) & 0xfff8 != 0 {
            // What follows is the middle of a packet, not a header.
            return Ok(Transport {
                src,
                dst,
                proto: next,
                at: at + len,
                later_fragment: true,
                vlan: network.vlan,
            });
        }
        proto = next;
        at += len;
    }
    if is_extension(proto) {
        return Err(Reason::Ipv6Chain);
    }
    Ok(Transport { src, dst, proto, at, later_fragment: false, vlan: network.vlan })
}

#[inline(always)]
fn is_extension(next: u8) -> bool {
    matches!(
        next,
        extension::HOP_BY_HOP
            | extension::ROUTING
            | extension::DESTINATION
            | extension::AUTHENTICATION
            | extension::FRAGMENT
    )
}

#[inline(always)]
fn ports<F: Frame + ?Sized>(frame: &F, transport: &Transport) -> Result<Ports, Reason> {
    let at = transport.at;
    let none = Ports { src: 0, dst: 0, tcp_flags: 0, header_len: 0 };
    if transport.later_fragment {
        return Ok(none);
    }
    Ok(match transport.proto {
        proto::TCP => {
            let [a, b, c, d] = frame.read::<4>(at).ok_or(Reason::ShortTransport)?;
            let [offset, tcp_flags] = frame.read::<2>(at + 12).ok_or(Reason::ShortTransport)?;
            let (src, dst) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            Ports { src, dst, tcp_flags, header_len: usize::from(offset >> 4) * 4 }
        }
        proto @ (proto::UDP | proto::SCTP) => {
            let [a, b, c, d] = frame.read::<4>(at).ok_or(Reason::ShortTransport)?;
            let (src, dst) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            Ports { src, dst, header_len: if proto == proto::UDP { 8 } else { 12 }, ..none }
        }
        proto::ICMP => {
            let [kind, code] = frame.read::<2>(at).ok_or(Reason::ShortTransport)?;
            let (src, dst) = icmp_ports(kind, code, icmpv4_reply(kind));
            Ports { src, dst, header_len: 8, ..none }
        }
        proto::ICMPV6 => {
            let [kind, code] = frame.read::<2>(at).ok_or(Reason::ShortTransport)?;
            let (src, dst) = icmp_ports(kind, code, icmpv6_reply(kind));
            Ports { src, dst, header_len: 8, ..none }
        }
        _ => none,
    })
}

#[inline(always)]
fn join(transport: &Transport, ports: Ports) -> Parsed {
    Parsed {
        src: transport.src,
        dst: transport.dst,
        tunnel: 0,
        src_port: ports.src,
        dst_port: ports.dst,
        vlan_proto: transport.vlan | u32::from(transport.proto) << 24,
        payload_at: (transport.at + ports.header_len) as u16,
        tcp_flags: ports.tcp_flags,
        later_fragment: u8::from(transport.later_fragment),
    }
}

#[inline(always)]
fn packet(parsed: &Parsed, outer_at: u16) -> Packet {
    let Parsed { src, dst, src_port, dst_port, .. } = *parsed;
    let [low, middle, high, proto] = parsed.vlan_proto.to_le_bytes();
    let vlan = [low, middle, high];
    let (mut key, reverse) = FlowKey::canonical_halves((src, src_port), (dst, dst_port), vlan, proto);
    key.tunnel = parsed.tunnel;
    Packet {
        key,
        reverse,
        tcp_flags: parsed.tcp_flags,
        payload_at: parsed.payload_at,
        outer_at,
        later_fragment: parsed.later_fragment != 0,
    }
}
