//! What ICMP has for ports: its types, in pairs of request and reply.

/// Type and reply type where ICMP pairs requests with replies, else type and code: as Community ID v1 does.
#[inline(always)]
pub(crate) fn icmp_ports(kind: u8, code: u8, reply: Option<u8>) -> (u16, u16) {
    match reply {
        Some(reply) => (u16::from(kind), u16::from(reply)),
        None => (u16::from(kind), u16::from(code)),
    }
}

/// The counterpart of an ICMPv4 type (RFC 792, 950, 1256).
#[inline(always)]
pub(crate) fn icmpv4_reply(kind: u8) -> Option<u8> {
    match kind {
        0 => Some(8),
        8 => Some(0),
        9 => Some(10),
        10 => Some(9),
        13 => Some(14),
        14 => Some(13),
        15 => Some(16),
        16 => Some(15),
        17 => Some(18),
        18 => Some(17),
        _ => None,
    }
}

/// The counterpart of an ICMPv6 type (RFC 4443, 4861, 2710).
#[inline(always)]
pub(crate) fn icmpv6_reply(kind: u8) -> Option<u8> {
    match kind {
        128 => Some(129),
        129 => Some(128),
        130 => Some(131),
        131 => Some(130),
        133 => Some(134),
        134 => Some(133),
        135 => Some(136),
        136 => Some(135),
        139 => Some(140),
        140 => Some(139),
        _ => None,
    }
}
