//! The key of a flow, and what it carried.

use core::hash::{Hash, Hasher};

/// IP protocol numbers (IANA "Assigned Internet Protocol Numbers").
pub mod proto {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// Generic routing encapsulation.
    pub const GRE: u8 = 47;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// TCP flag bits, as in byte 13 of the header (RFC 9293, section 3.1).
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// Acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
    /// Urgent pointer is significant.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;
}

/// What a packet was wrapped in. The numbers are the low half of [`FlowKey::tunnel`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    /// VXLAN (RFC 7348).
    Vxlan = 1,
    /// GENEVE (RFC 8926).
    Geneve = 2,
    /// GRE (RFC 2784, 2890), NVGRE (RFC 7637) too.
    Gre = 3,
    /// IP in IP: protocol 4 (RFC 2003) and 41 (RFC 2473, 4213).
    Ip = 4,
}

/// The tunnel of a flow, as [`FlowKey::tunnel`] holds it: kind and id, 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel(pub u64);

impl Tunnel {
    /// A tunnel of this kind with this id.
    #[inline(always)]
    pub fn new(kind: TunnelKind, id: u32) -> Tunnel {
        Tunnel(kind as u64 | u64::from(id) << 32)
    }

    /// The kind; `None` for a flow in no tunnel.
    pub fn kind(self) -> Option<TunnelKind> {
        match self.0 as u32 {
            1 => Some(TunnelKind::Vxlan),
            2 => Some(TunnelKind::Geneve),
            3 => Some(TunnelKind::Gre),
            4 => Some(TunnelKind::Ip),
            _ => None,
        }
    }

    /// VNI of VXLAN and GENEVE, key of GRE; 0 where there is none.
    pub fn id(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A canonical five-tuple with its VLAN tags and its tunnel: both directions of a conversation have the same key.
///
/// Endpoint `a` is the one with the lower (address, port). IPv4 addresses are IPv4-mapped (RFC 4291, 2.5.5.2).
/// For ICMP the ports are type and code, or type and reply type for request/reply pairs, as in Community ID.
/// In a tunnel all but `tunnel` is that of the inner packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    /// Address of endpoint `a`.
    pub addr_a: [u8; 16],
    /// Address of endpoint `b`.
    pub addr_b: [u8; 16],
    /// Port of endpoint `a`, host byte order.
    pub port_a: u16,
    /// Port of endpoint `b`, host byte order.
    pub port_b: u16,
    /// Outer VLAN id in the low 12 bits, inner VLAN id in the high 12 bits, little endian; 0 is untagged.
    pub vlan: [u8; 3],
    /// IP protocol number.
    pub proto: u8,
    /// What the packet was wrapped in, see [`Tunnel`]; 0 is nothing.
    pub tunnel: u64,
}

const _: () =
    assert!(size_of::<FlowKey>() == 16 + 16 + 2 + 2 + 3 + 1 + 8, "no padding: the map hashes every byte");

impl FlowKey {
    /// No flow's: to be written over.
    pub const ZERO: FlowKey =
        FlowKey { addr_a: [0; 16], addr_b: [0; 16], port_a: 0, port_b: 0, vlan: [0; 3], proto: 0, tunnel: 0 };

    /// The key of a packet from `src` to `dst`, and whether the packet goes from `b` to `a`.
    #[inline(always)]
    pub fn canonical(
        (src, src_port): ([u8; 16], u16),
        (dst, dst_port): ([u8; 16], u16),
        vlan: [u8; 3],
        proto: u8,
    ) -> (FlowKey, bool) {
        FlowKey::canonical_halves((halves(&src), src_port), (halves(&dst), dst_port), vlan, proto)
    }

    /// The same, from addresses in halves, most significant first.
    #[inline(always)]
    pub(crate) fn canonical_halves(
        (src, src_port): ([u64; 2], u16),
        (dst, dst_port): ([u64; 2], u16),
        vlan: [u8; 3],
        proto: u8,
    ) -> (FlowKey, bool) {
        let reverse = greater(src, src_port, dst, dst_port);
        let (a, port_a, b, port_b) =
            if reverse { (dst, dst_port, src, src_port) } else { (src, src_port, dst, dst_port) };
        let key = FlowKey { addr_a: bytes(a), addr_b: bytes(b), port_a, port_b, vlan, proto, tunnel: 0 };
        (key, reverse)
    }

    /// All of the key, as words to hash and to compare: plain loads, in the order of the bytes in memory.
    #[inline(always)]
    pub fn words(&self) -> [u64; 6] {
        let [a_high, a_low] = native_halves(&self.addr_a);
        let [b_high, b_low] = native_halves(&self.addr_b);
        let ([c, d], [e, f], [g, h, i]) = (self.port_a.to_ne_bytes(), self.port_b.to_ne_bytes(), self.vlan);
        [a_high, a_low, b_high, b_low, u64::from_ne_bytes([c, d, e, f, g, h, i, self.proto]), self.tunnel]
    }

    /// What the packets were wrapped in.
    pub fn tunnel(&self) -> Tunnel {
        Tunnel(self.tunnel)
    }

    /// The key that [`FlowKey::words`] made these words of.
    pub fn from_words(words: [u64; 6]) -> FlowKey {
        let [a0, a1, b0, b1, rest, tunnel] = words;
        let address = |high: u64, low: u64| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&high.to_ne_bytes());
            bytes[8..].copy_from_slice(&low.to_ne_bytes());
            bytes
        };
        let [p0, p1, q0, q1, v0, v1, v2, proto] = rest.to_ne_bytes();
        FlowKey {
            addr_a: address(a0, a1),
            addr_b: address(b0, b1),
            port_a: u16::from_ne_bytes([p0, p1]),
            port_b: u16::from_ne_bytes([q0, q1]),
            vlan: [v0, v1, v2],
            proto,
            tunnel,
        }
    }

    /// Outer VLAN id, 0 when untagged.
    pub fn vlan_outer(&self) -> u16 {
        u16::from(self.vlan[0]) | (u16::from(self.vlan[1] & 0x0f) << 8)
    }

    /// Inner VLAN id of a doubly tagged frame, 0 otherwise.
    pub fn vlan_inner(&self) -> u16 {
        u16::from(self.vlan[1] >> 4) | (u16::from(self.vlan[2]) << 4)
    }
}

/// By words: the derived hash would feed every field, with the lengths of the arrays.
impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.words() {
            state.write_u64(word);
        }
    }
}

/// Packs two VLAN ids as [`FlowKey::vlan`] holds them.
#[inline(always)]
pub fn pack_vlan(outer: u16, inner: u16) -> [u8; 3] {
    let both = u32::from(outer & 0xfff) | (u32::from(inner & 0xfff) << 12);
    [both as u8, (both >> 8) as u8, (both >> 16) as u8]
}

/// Whether (`src`, `src_port`) sorts after (`dst`, `dst_port`). Words, not a byte loop: the verifier walks
/// every branch of a loop.
#[inline(always)]
fn greater(src: [u64; 2], src_port: u16, dst: [u64; 2], dst_port: u16) -> bool {
    if src[0] != dst[0] {
        src[0] > dst[0]
    } else if src[1] != dst[1] {
        src[1] > dst[1]
    } else {
        src_port > dst_port
    }
}

#[inline(always)]
fn halves(address: &[u8; 16]) -> [u64; 2] {
    native_halves(address).map(u64::from_be)
}

#[inline(always)]
fn bytes([high, low]: [u64; 2]) -> [u8; 16] {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (high.to_be_bytes(), low.to_be_bytes());
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

#[inline(always)]
pub(crate) fn native_halves(address: &[u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

/// TCP flag counts of one direction, two to a word so that a packet costs one atomic add, rarely two.
///
/// Each word holds two 32-bit counts. A word only ever grows by additions, so the difference of two readings,
/// modulo 2^64, splits exactly as long as neither count grew by 2^32 in between.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlagWords {
    /// ACK in the low half, PSH in the high half.
    pub ack_psh: u64,
    /// SYN low, FIN high.
    pub syn_fin: u64,
    /// RST low, URG high.
    pub rst_urg: u64,
    /// ECE low, CWR high.
    pub ece_cwr: u64,
}

impl FlagWords {
    /// What a packet with these TCP flags adds to each word.
    #[inline(always)]
    pub fn increments(flags: u8) -> [u64; 4] {
        let word = |low: u8, high: u8| u64::from(flags & low != 0) | (u64::from(flags & high != 0) << 32);
        [
            word(tcp::ACK, tcp::PSH),
            word(tcp::SYN, tcp::FIN),
            word(tcp::RST, tcp::URG),
            word(tcp::ECE, tcp::CWR),
        ]
    }
}

/// What a flow carried. In the kernel counters only grow while the entry lives; index 0 is `a` to `b`, 1 is `b` to `a`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    /// Packets by direction.
    pub packets: [u64; 2],
    /// Bytes by direction, from the Ethernet header to the end of the frame, without FCS.
    pub bytes: [u64; 2],
    /// TCP flags by direction.
    pub flags: [FlagWords; 2],
    /// Time of the first packet, nanoseconds; a coarse clock, a tick (1-10 ms) at most behind.
    pub first: u64,
    /// Time of the latest packet, same clock.
    pub last: u64,
    /// Direction (0 or 1) of the first packet seen.
    pub initiator: u64,
}

const _: () = assert!(size_of::<FlowStats>() == 16 + 16 + 64 + 16 + 8);

impl FlowStats {
    /// Overwrites the value with that of a flow's first packet. In place: the kernel's stack is 512 bytes.
    #[inline(always)]
    pub fn set_first_packet(&mut self, direction: usize, bytes: u64, flags: u8, now: u64) {
        let side = direction & 1;
        let [ack_psh, syn_fin, rst_urg, ece_cwr] = FlagWords::increments(flags);
        self.packets = [0; 2];
        self.packets[side] = 1;
        self.bytes = [0; 2];
        self.bytes[side] = bytes;
        self.flags[1 - side] = FlagWords { ack_psh: 0, syn_fin: 0, rst_urg: 0, ece_cwr: 0 };
        self.flags[side] = FlagWords { ack_psh, syn_fin, rst_urg, ece_cwr };
        self.first = now;
        self.last = now;
        self.initiator = side as u64;
    }

    /// Adds a packet where nobody else writes (user space, or a value not yet in the map).
    #[inline(always)]
    pub fn add_packet(&mut self, direction: usize, bytes: u64, flags: u8, now: u64) {
        let side = direction & 1;
        self.packets[side] += 1;
        self.bytes[side] += bytes;
        let [ack_psh, syn_fin, rst_urg, ece_cwr] = FlagWords::increments(flags);
        let words = &mut self.flags[side];
        words.ack_psh = words.ack_psh.wrapping_add(ack_psh);
        words.syn_fin = words.syn_fin.wrapping_add(syn_fin);
        words.rst_urg = words.rst_urg.wrapping_add(rst_urg);
        words.ece_cwr = words.ece_cwr.wrapping_add(ece_cwr);
        self.last = now;
    }

    /// What a cumulative value grew by since an earlier reading of it. The times are those of the later one.
    pub fn since(&self, before: &FlowStats) -> FlowStats {
        let packets = |side: usize| self.packets[side].wrapping_sub(before.packets[side]);
        let bytes = |side: usize| self.bytes[side].wrapping_sub(before.bytes[side]);
        let flags = |side: usize| {
            let (now, before) = (&self.flags[side], &before.flags[side]);
            FlagWords {
                ack_psh: now.ack_psh.wrapping_sub(before.ack_psh),
                syn_fin: now.syn_fin.wrapping_sub(before.syn_fin),
                rst_urg: now.rst_urg.wrapping_sub(before.rst_urg),
                ece_cwr: now.ece_cwr.wrapping_sub(before.ece_cwr),
            }
        };
        FlowStats {
            packets: [packets(0), packets(1)],
            bytes: [bytes(0), bytes(1)],
            flags: [flags(0), flags(1)],
            ..*self
        }
    }
}
