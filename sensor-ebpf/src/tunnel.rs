//! One level of encapsulation: VXLAN, GENEVE, GRE and IP in IP.
//!
//! A packet that carries another one belongs to the flow of the inner one. Where anything about the inner packet
//! does not hold (cut off, not IP, flags that nobody defined) it belongs to the outer flow, as if nothing were
//! inside: guessing wrong costs detail, never a packet. What is inside the inner packet is not looked at.

use crate::flow::{Tunnel, TunnelKind, proto};
use crate::frame::Frame;
use crate::parse::{Network, Packet, Parsed, ethernet, ethertype, mapped, parse_inner, read_u16};

/// VXLAN: the port IANA gave it, and the one Linux used before and Flannel and Cilium still do.
const VXLAN: u16 = 4789;
const VXLAN_LINUX: u16 = 8472;
const GENEVE: u16 = 6081;

const UDP_HEADER: usize = 8;
/// VXLAN has only this one, GENEVE options behind it.
const HEADER: usize = 8;

/// Bits of the first two bytes of GRE (RFC 2784, section 2.1; RFC 2890, section 2).
mod gre {
    pub(super) const CHECKSUM: u16 = 0x8000;
    pub(super) const KEY: u16 = 0x2000;
    pub(super) const SEQUENCE: u16 = 0x1000;
    /// Routing and the bits beside it, for which a receiver must refuse the packet, and the version. The other
    /// bits are to be ignored.
    pub(super) const REFUSED: u16 = 0x4c07;
    /// From here on the key of bridged frames is that of NVGRE: a network of 24 bits, of which the first 4,096
    /// are reserved, then 8 bits that may differ from flow to flow and from one direction to the other
    /// (RFC 7637, section 3.2).
    pub(super) const FIRST_NVGRE_KEY: u32 = 0x1000 << 8;
}

/// What is inside, and where.
struct Content {
    kind: TunnelKind,
    id: u32,
    /// EtherType.
    protocol: u16,
    at: usize,
}

/// Whether a packet with this protocol and destination port may be a tunnel's: all that other packets pay.
#[inline(always)]
pub(crate) fn may_be(proto: u8, dst_port: u16) -> bool {
    match proto {
        proto::UDP => matches!(dst_port, VXLAN | VXLAN_LINUX | GENEVE),
        proto::IPV4 | proto::IPV6 | proto::GRE => true,
        _ => false,
    }
}

/// Looks into the packet whose transport header is at `at`: writes what is inside, if that belongs to a flow.
///
/// A function of its own in the kernel too: a second copy of the parser in line would not fit the stack. Not `cold`:
/// that would be another section of the object, and aya 0.14 takes functions at one offset of two sections for one.
#[inline(never)]
pub(crate) fn open<F: Frame + ?Sized>(
    frame: &F,
    proto: u8,
    dst_port: u16,
    at: usize,
    inner: &mut Parsed,
) -> bool {
    match inside(frame, proto, dst_port, at) {
        Some(parsed) => {
            *inner = parsed;
            true
        }
        None => false,
    }
}

#[inline(always)]
fn inside<F: Frame + ?Sized>(frame: &F, proto: u8, dst_port: u16, at: usize) -> Option<Parsed> {
    let at = frame.anywhere(at);
    let Content { kind, id, protocol, at } = match (proto, dst_port) {
        (proto::UDP, GENEVE) => geneve(frame, at + UDP_HEADER)?,
        (proto::UDP, _) => vxlan(frame, at + UDP_HEADER)?,
        (proto::GRE, _) => gre(frame, at)?,
        (proto::IPV4, _) => Content { kind: TunnelKind::Ip, id: 0, protocol: ethertype::IPV4, at },
        _ => Content { kind: TunnelKind::Ip, id: 0, protocol: ethertype::IPV6, at },
    };
    let at = frame.anywhere(at);
    let network = match protocol {
        ethertype::BRIDGED => ethernet(frame, at).ok()?,
        ethertype::IPV4 | ethertype::IPV6 => Network { kind: protocol, at, vlan: 0 },
        _ => return None,
    };
    let mut inner = parse_inner(frame, network).ok()?;
    inner.tunnel = Tunnel::new(kind, id).0;
    Some(inner)
}

/// RFC 7348, section 5: the I flag is set, all reserved bits are 0.
#[inline(always)]
fn vxlan<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Content> {
    let [0x08, 0, 0, 0, a, b, c, 0] = frame.read::<HEADER>(at)? else {
        return None;
    };
    Some(Content {
        kind: TunnelKind::Vxlan,
        id: vni([a, b, c]),
        protocol: ethertype::BRIDGED,
        at: at + HEADER,
    })
}

/// RFC 8926, section 3.4. Reserved bits are to be ignored, and so are the options, critical ones too: nothing is
/// done with the packet that they could forbid.
#[inline(always)]
fn geneve<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Content> {
    let [first, _, high, low, a, b, c, _] = frame.read::<HEADER>(at)?;
    // Version in the high two bits, options in words of 4 bytes in the low six.
    if first >> 6 != 0 {
        return None;
    }
    let at = at + HEADER + usize::from(first & 0x3f) * 4;
    Some(Content {
        kind: TunnelKind::Geneve,
        id: vni([a, b, c]),
        protocol: u16::from_be_bytes([high, low]),
        at,
    })
}

#[inline(always)]
fn gre<F: Frame + ?Sized>(frame: &F, at: usize) -> Option<Content> {
    let (flags, protocol) = (read_u16(frame, at)?, read_u16(frame, at + 2)?);
    if flags & gre::REFUSED != 0 {
        return None;
    }
    let word = |flag: u16| if flags & flag != 0 { 4 } else { 0 };
    let key_at = at + 4 + word(gre::CHECKSUM);
    let mut id = 0;
    if flags & gre::KEY != 0 {
        id = frame.read::<4>(key_at).map(u32::from_be_bytes)?;
        let bare = flags & (gre::CHECKSUM | gre::SEQUENCE) == 0;
        if protocol == ethertype::BRIDGED && bare && id >= gre::FIRST_NVGRE_KEY {
            id >>= 8;
        }
    }
    let at = key_at + word(gre::KEY) + word(gre::SEQUENCE);
    Some(Content { kind: TunnelKind::Gre, id, protocol, at })
}

#[inline(always)]
fn vni([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

/// The addresses of the outer packet, IPv4 mapped: first the one on the side of endpoint `a` of the key, then the
/// one on the side of `b`. `None` for a packet in no tunnel.
pub fn outer_endpoints<F: Frame + ?Sized>(frame: &F, packet: &Packet) -> Option<([u8; 16], [u8; 16])> {
    if packet.key.tunnel == 0 {
        return None;
    }
    outer_addresses(frame, packet.outer_at, packet.reverse)
}

/// The same for a packet in a tunnel, of which no more is known than where its outer header is.
#[inline(always)]
pub fn outer_addresses<F: Frame + ?Sized>(
    frame: &F,
    outer_at: u16,
    reverse: bool,
) -> Option<([u8; 16], [u8; 16])> {
    let at = usize::from(outer_at);
    let [first] = frame.read::<1>(at)?;
    let (src, dst) = if first >> 4 == 4 {
        let [a, b, c, d, e, f, g, h] = frame.read::<8>(at + 12)?;
        (mapped([a, b, c, d]), mapped([e, f, g, h]))
    } else {
        (frame.read::<16>(at + 8)?, frame.read::<16>(at + 24)?)
    };
    Some(if reverse { (dst, src) } else { (src, dst) })
}
