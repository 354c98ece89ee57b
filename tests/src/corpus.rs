//! Frames for comparing and fuzzing the parser: every kind by construction, and what chance makes of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frames::{self as build, Tcp, ethertype, flag, proto};
use crate::tunnels::{every_tunnel, ip_in_ip, vxlan};

/// No shorter frame is given to a program: an Ethernet header.
pub const SHORTEST: usize = 14;
/// Longer ones do not fit the page in which BPF_PROG_TEST_RUN puts a frame.
const LONGEST: usize = 2048;

/// Frames of every kind the parser knows, in tunnels and with VLAN tags, and some it does not know.
pub fn every_kind() -> Vec<Vec<u8>> {
    let four: (IpAddr, IpAddr) = (Ipv4Addr::new(192, 0, 2, 7).into(), Ipv4Addr::new(198, 51, 100, 9).into());
    let six: (IpAddr, IpAddr) =
        (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, 2).into());
    let mut frames = vec![build::arp(Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(192, 0, 2, 1))];
    for (a, b) in [four, six, (four.1, four.0), (six.1, six.0)] {
        for flags in [flag::S, flag::S | flag::A, flag::P | flag::A, flag::F | flag::A, flag::R, 0xff] {
            let header = Tcp { src: 40_000, dst: 443, flags, ..Tcp::default() };
            frames.push(build::tcp(a, b, header, b"payload"));
        }
        frames.push(build::udp((a, 5353), (b, 53), b"query"));
        frames.push(build::sctp((a, 1000), (b, 2905), &[0; 16]));
        for kind in [0, 3, 8, 11, 13, 128, 129, 135, 136] {
            frames.push(build::icmp(a, b, kind, 1, b"ping"));
        }
        for protocol in [0, 2, 43, 44, 47, 50, 51, 59, 60, 89, 255] {
            frames.push(build::ip(a, b, protocol, &[3; 64]));
        }
    }
    // IPv4 with options, first and later fragments; the fragment field is behind the identification.
    let segment = build::udp_datagram((four.0, 1), (four.1, 2), b"fragment");
    let (IpAddr::V4(a), IpAddr::V4(b)) = four else { unreachable!() };
    for options in [&[][..], &[1; 4], &[1; 40]] {
        for fragment in [0, 0x2000, 0x2001, 0x00b9, 0x4000] {
            let packet = build::ipv4(a, b, proto::UDP, options, fragment, &segment);
            frames.push(build::ethernet(ethertype::IPV4, &packet));
        }
    }
    let (IpAddr::V6(a), IpAddr::V6(b)) = six else { unreachable!() };
    let chains: [&[u8]; 8] = [
        &[0],
        &[0, 60, 43],
        &[44],
        &[51],
        &[0, 60, 43, 44, 51, 60],
        &[60, 60, 60, 60, 60, 60, 60],
        &[43, 43, 43, 43, 43, 43, 43, 43],
        &[0, 44],
    ];
    for chain in chains {
        let headers: Vec<(u8, Vec<u8>)> = chain.iter().map(|&kind| (kind, vec![0; 6])).collect();
        let (next, payload) = build::extension_headers(&headers, proto::UDP, &segment);
        frames.push(build::ethernet(ethertype::IPV6, &build::ipv6(a, b, next, &payload)));
    }
    frames.extend(in_tunnels(&frames, four, six));
    for inner in frames.clone() {
        frames.push(build::tagged(ethertype::VLAN, 0x6123, &inner));
        let doubly = build::tagged(ethertype::QINQ, 0x0fff, &build::tagged(ethertype::VLAN, 7, &inner));
        frames.push(build::tagged(ethertype::VLAN, 1, &doubly));
        frames.push(doubly);
    }
    for first in [0x35, 0x44, 0x40, 0x55] {
        frames.push(build::ethernet(ethertype::IPV4, &[first; 60]));
        frames.push(build::ethernet(ethertype::IPV6, &[first; 60]));
    }
    for kind in [0x0003, 0x05ff, 0x0600, 0x8035, 0x88f7, 0x88b8, 0xffff] {
        frames.push(build::ethernet(kind, &[0xaa; 50]));
    }
    frames
}

/// Some of the frames so far in every tunnel, over IPv4 and IPv6; tunnels in tunnels, and fragments of tunnels.
fn in_tunnels(plain: &[Vec<u8>], four: (IpAddr, IpAddr), six: (IpAddr, IpAddr)) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for (index, inner) in plain.iter().enumerate() {
        // Every tunnel for a few, one tunnel for all.
        let outer = if index % 2 == 0 { four } else { six };
        let all = every_tunnel(outer, inner);
        let one = index % all.len();
        let chosen = |at: usize| index % 8 == 0 || at == one;
        out.extend(all.into_iter().enumerate().filter(|(at, _)| chosen(*at)).map(|(_, tunnel)| tunnel.3));
        let tagged = build::tagged(ethertype::QINQ, 3, &build::tagged(ethertype::VLAN, 4, inner));
        if matches!(inner.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd])) {
            out.push(build::in_session(inner));
            out.push(build::tagged(ethertype::VLAN, 4, &build::in_session(inner)));
        }
        out.push(vxlan(outer, 4789, 1, &tagged));
        out.push(vxlan(outer, 4789, 1, &build::tagged(ethertype::VLAN, 5, &tagged)));
    }
    let inner = build::udp((four.0, 1), (four.1, 2), b"deep");
    for (_, _, _, tunnel) in every_tunnel(six, &inner) {
        out.push(vxlan(four, 4789, 2, &tunnel));
        out.push(ip_in_ip(six, &tunnel[14..]));
    }
    let (IpAddr::V4(a), IpAddr::V4(b)) = four else { unreachable!() };
    for fragment in [0x2000, 0x2001, 0x00b9] {
        let packet = build::ipv4(a, b, proto::IPV4, &[1; 8], fragment, &inner[14..]);
        out.push(build::ethernet(ethertype::IPV4, &packet));
    }
    out
}

/// Makes frames of frames, the same ones from the same seed.
pub struct Mutator {
    base: Vec<Vec<u8>>,
    random: u64,
}

/// Bytes that mean something somewhere in a header.
const TELLING: [u8; 24] = [
    0, 1, 4, 6, 8, 17, 41, 43, 44, 45, 47, 50, 51, 58, 60, 0x45, 0x46, 0x60, 0x65, 0x58, 0x81, 0x86, 0xdd,
    0xff,
];

impl Mutator {
    /// Starts from [`every_kind`].
    pub fn new(seed: u64) -> Mutator {
        Mutator { base: every_kind(), random: seed | 1 }
    }

    /// The next frame.
    pub fn frame(&mut self) -> Vec<u8> {
        let mut frame = self.pick();
        match self.below(8) {
            // Whole, but for its addresses and ports.
            0 => {
                for _ in 0..4 {
                    self.overwrite(&mut frame, 26, 24);
                }
            }
            1 => {
                let keep = self.below(frame.len() + 1);
                frame.truncate(keep);
            }
            // The beginning of one, the end of another.
            2 => {
                let (other, cut) = (self.pick(), self.below(frame.len()));
                frame.truncate(cut);
                frame.extend(other.get(self.below(other.len())..).unwrap_or_default());
            }
            3 => {
                let more = self.below(1500);
                for _ in 0..more {
                    frame.push(self.next() as u8);
                }
            }
            4 => {
                let outer = (Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(10, 0, 0, 2).into());
                let mut all = every_tunnel(outer, &frame);
                frame = all.swap_remove(self.below(all.len())).3;
                self.corrupt(&mut frame, 2);
            }
            5 => frame.iter_mut().skip(14).for_each(|byte| *byte = self.next() as u8),
            _ => self.corrupt(&mut frame, 6),
        }
        frame.resize(frame.len().clamp(SHORTEST, LONGEST), 0);
        frame
    }

    /// Up to `most` bytes become others; headers are where the decisions are.
    fn corrupt(&mut self, frame: &mut [u8], most: usize) {
        for _ in 0..self.below(most + 1) {
            let span = if self.below(2) == 0 { 50 } else { 200 };
            self.overwrite(frame, 12, span);
        }
    }

    fn overwrite(&mut self, frame: &mut [u8], from: usize, span: usize) {
        let value = if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.next() as u8 };
        let at = from + self.below(span);
        if let Some(byte) = frame.get_mut(at) {
            *byte = value;
        }
    }

    fn pick(&mut self) -> Vec<u8> {
        let at = self.below(self.base.len());
        self.base[at].clone()
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }
}
