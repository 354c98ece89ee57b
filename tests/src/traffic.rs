//! Traffic of a small network, and attacks on it: the same seed gives the same packets.
//!
//! In: a seed, start times in nanoseconds since the Unix epoch. Out: packets in order of time. TCP connections are
//! whole: handshake, data with acknowledgements, teardown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::capture::Packet;
use crate::frames::{self, Tcp, flag};

/// One second, in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;
/// One millisecond.
pub const MILLISECOND: u64 = 1_000_000;
/// Bytes of payload in a full segment.
const SEGMENT: u32 = 1400;

/// An address and a port.
pub type Endpoint = (IpAddr, u16);

/// Client number `number` of the network.
pub fn client(number: u8) -> IpAddr {
    IpAddr::from(Ipv4Addr::new(192, 168, 1, 100 + number))
}

/// The resolver.
pub const RESOLVER: Endpoint = (IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1)), 53);
/// The web server.
pub const WEB: Endpoint = (IpAddr::V4(Ipv4Addr::new(192, 168, 1, 2)), 443);
/// The host that people log in to.
pub const SSH: Endpoint = (IpAddr::V4(Ipv4Addr::new(192, 168, 1, 3)), 22);
/// The file server.
pub const FILES: Endpoint = (IpAddr::V4(Ipv4Addr::new(192, 168, 1, 4)), 445);
/// The time server, over IPv6.
pub const TIME: Endpoint = (IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)), 123);
/// Somebody outside.
pub const OUTSIDE: Endpoint = (IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), 443);

/// Packets as they are made, in any order.
#[derive(Debug)]
pub struct Traffic {
    random: u64,
    port: u16,
    packets: Vec<Packet>,
}

impl Traffic {
    /// Nothing yet.
    pub fn new(seed: u64) -> Traffic {
        Traffic { random: seed, port: 32_768, packets: Vec::new() }
    }

    /// All packets so far, in order of time.
    pub fn into_packets(mut self) -> Vec<Packet> {
        self.packets.sort_by_key(|packet| packet.time);
        self.packets
    }

    /// What `clients` do all day, from `start` for `duration`: names, pages, logins, files, clocks.
    pub fn benign(&mut self, start: u64, duration: u64, clients: u8) {
        for number in 0..clients {
            let host = client(number);
            let six = IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, u16::from(number)));
            let mut now = start + self.below(2 * SECOND);
            let mut turn = 0u64;
            while now < start + duration {
                now = self.browse(now, host);
                if turn.is_multiple_of(16) {
                    self.clock(now, six);
                    self.resolve_address(now, host);
                }
                if turn % 24 == 7 {
                    self.login(now, host);
                }
                if turn % 40 == 11 {
                    self.copy(now, host);
                }
                if turn % 30 == 3 {
                    self.ping(now, host);
                }
                now += SECOND / 2 + self.below(3 * SECOND);
                turn += 1;
            }
        }
    }

    /// One source, `ports` ports of one host, `gap` apart; one port in 64 is open.
    pub fn port_scan(&mut self, start: u64, attacker: IpAddr, victim: IpAddr, ports: u16, gap: u64) {
        let from = self.next_port();
        for port in 1..=ports {
            let now = start + u64::from(port) * gap;
            let syn = Tcp { src: from, dst: port, flags: flag::SYN, seq: 1, ack: 0 };
            let answer = if port % 64 == 22 { flag::SYN | flag::ACK } else { flag::RST | flag::ACK };
            self.add(now, frames::tcp(attacker, victim, syn, &[]));
            let answer = Tcp { src: port, dst: from, flags: answer, seq: 0, ack: 2 };
            self.add(now + MILLISECOND / 5, frames::tcp(victim, attacker, answer, &[]));
        }
    }

    /// `packets` SYNs from forged addresses, `gap` apart; nobody answers.
    pub fn syn_flood(&mut self, start: u64, victim: Endpoint, packets: u32, gap: u64) {
        for number in 0..packets {
            let random = self.next();
            let source = IpAddr::from(Ipv4Addr::from((random as u32 & 0x00ff_ffff) | 0x0b00_0000));
            let syn = Tcp {
                src: (random >> 32) as u16 | 1024,
                dst: victim.1,
                flags: flag::SYN,
                seq: (random >> 20) as u32,
                ack: 0,
            };
            self.add(start + u64::from(number) * gap, frames::tcp(source, victim.0, syn, &[]));
        }
    }

    /// `attempts` logins, one after the other, each refused.
    pub fn brute_force(&mut self, start: u64, attacker: IpAddr, server: Endpoint, attempts: u32) {
        let mut now = start;
        for _ in 0..attempts {
            let from = (attacker, self.next_port());
            now = self.connection(now, from, server, &[(40, 40), (1100, 1000), (80, 60)]) + 5 * MILLISECOND;
        }
    }

    /// A short exchange every `period`, `count` times.
    pub fn beacon(&mut self, start: u64, bot: IpAddr, server: Endpoint, period: u64, count: u32) {
        for number in 0..count {
            let from = (bot, self.next_port());
            self.connection(start + u64::from(number) * period, from, server, &[(180, 90)]);
        }
    }

    /// `bytes` leave in one connection.
    pub fn exfiltration(&mut self, start: u64, host: IpAddr, outside: Endpoint, bytes: u32) {
        let from = (host, self.next_port());
        self.connection(start, from, outside, &[(600, 200), (bytes, 100)]);
    }

    /// A whole TCP connection: for each exchange so many bytes there and so many back. Says when it ended.
    pub fn connection(&mut self, start: u64, from: Endpoint, to: Endpoint, exchanges: &[(u32, u32)]) -> u64 {
        let trip = MILLISECOND / 4 + self.below(MILLISECOND / 2);
        let (mut sent, mut received) = (self.next() as u32, self.next() as u32);
        let mut now = start;
        self.segment(now, from, to, flag::SYN, (sent, 0), 0);
        sent = sent.wrapping_add(1);
        now += trip;
        self.segment(now, to, from, flag::SYN | flag::ACK, (received, sent), 0);
        received = received.wrapping_add(1);
        now += trip;
        self.segment(now, from, to, flag::ACK, (sent, received), 0);
        for &(up, down) in exchanges {
            now = self.transfer(now + trip, from, to, (&mut sent, received), up);
            now = self.transfer(now + trip, to, from, (&mut received, sent), down);
        }
        now += trip;
        self.segment(now, from, to, flag::FIN | flag::ACK, (sent, received), 0);
        now += trip;
        self.segment(now, to, from, flag::FIN | flag::ACK, (received, sent.wrapping_add(1)), 0);
        now += trip;
        self.segment(now, from, to, flag::ACK, (sent.wrapping_add(1), received.wrapping_add(1)), 0);
        now
    }

    /// Data in full segments, each second one acknowledged.
    fn transfer(
        &mut self,
        start: u64,
        from: Endpoint,
        to: Endpoint,
        (seq, ack): (&mut u32, u32),
        bytes: u32,
    ) -> u64 {
        let mut now = start;
        let mut left = bytes;
        let mut segments = 0u32;
        while left > 0 {
            let len = left.min(SEGMENT);
            left -= len;
            let push = if left == 0 { flag::PSH } else { 0 };
            self.segment(now, from, to, flag::ACK | push, (*seq, ack), len);
            *seq = seq.wrapping_add(len);
            segments += 1;
            if segments.is_multiple_of(2) || left == 0 {
                self.segment(now + MILLISECOND / 10, to, from, flag::ACK, (ack, *seq), 0);
            }
            now += MILLISECOND / 8;
        }
        now
    }

    fn segment(
        &mut self,
        time: u64,
        from: Endpoint,
        to: Endpoint,
        flags: u8,
        (seq, ack): (u32, u32),
        len: u32,
    ) {
        let header = Tcp { src: from.1, dst: to.1, flags, seq, ack };
        self.add(time, frames::tcp(from.0, to.0, header, &vec![0x5a; len as usize]));
    }

    fn browse(&mut self, start: u64, host: IpAddr) -> u64 {
        let from = (host, self.next_port());
        self.add(start, frames::udp(from, RESOLVER, &[0x11; 33]));
        self.add(start + MILLISECOND, frames::udp(RESOLVER, from, &[0x11; 90]));
        let pages = 1 + self.below(3);
        let exchanges: Vec<_> =
            (0..pages).map(|_| (200 + self.below(600) as u32, 2_000 + self.below(30_000) as u32)).collect();
        let from = (host, self.next_port());
        self.connection(start + 2 * MILLISECOND, from, WEB, &exchanges)
    }

    fn login(&mut self, start: u64, host: IpAddr) {
        let exchanges: Vec<_> =
            (0..20).map(|_| (36 + self.below(60) as u32, 36 + self.below(400) as u32)).collect();
        let from = (host, self.next_port());
        self.connection(start, from, SSH, &exchanges);
    }

    fn copy(&mut self, start: u64, host: IpAddr) {
        let bytes = 200_000 + self.below(800_000) as u32;
        let from = (host, self.next_port());
        self.connection(start, from, FILES, &[(300, bytes)]);
    }

    fn clock(&mut self, start: u64, host: IpAddr) {
        self.add(start, frames::udp((host, 123), TIME, &[0x23; 48]));
        self.add(start + MILLISECOND, frames::udp(TIME, (host, 123), &[0x24; 48]));
    }

    fn ping(&mut self, start: u64, host: IpAddr) {
        for number in 0..4 {
            let now = start + number * SECOND;
            self.add(now, frames::icmp(host, RESOLVER.0, 8, 0, &[0x61; 56]));
            self.add(now + MILLISECOND / 2, frames::icmp(RESOLVER.0, host, 0, 0, &[0x61; 56]));
        }
    }

    fn resolve_address(&mut self, start: u64, host: IpAddr) {
        if let (IpAddr::V4(host), IpAddr::V4(target)) = (host, WEB.0) {
            self.add(start, frames::arp(host, target));
        }
    }

    fn add(&mut self, time: u64, frame: Vec<u8>) {
        self.packets.push(Packet { time, frame });
    }

    /// Ephemeral ports in turn.
    fn next_port(&mut self) -> u16 {
        self.port = if self.port == 60_999 { 32_768 } else { self.port + 1 };
        self.port
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
