//! Imitates the demonstration's lab for tests: ordinary traffic of ten hosts on one LAN and attacks on it, as the
//! drains of the kernel's flow table would show them. Deterministic for a seed.

use crate::capture::FlowDelta;
use crate::flow::SECOND;
use crate::score::random::Random;
use sensor_ebpf::flow::{FlowKey, FlowStats, proto, tcp};
use sensor_ebpf::parse::mapped;
use std::collections::BTreeMap;

/// Drain interval.
pub const TICK: u64 = SECOND / 10;
/// When the traffic begins.
pub const EPOCH: u64 = 1_700_000_000 * SECOND;
const MS: u64 = SECOND / 1000;

pub type Endpoint = ([u8; 4], u16);

pub const CLIENTS: [[u8; 4]; 6] = [lan(11), lan(12), lan(13), lan(14), lan(15), lan(16)];
const WEB: [[u8; 4]; 2] = [lan(21), lan(22)];
const DNS: [u8; 4] = lan(23);
pub const LOGIN: [u8; 4] = lan(24);
const FILES: [u8; 4] = lan(25);
const MONITOR: [u8; 4] = lan(26);

pub const fn lan(host: u8) -> [u8; 4] {
    [10, 77, 0, host]
}

/// Packets of one direction at one time.
struct Burst {
    time: u64,
    from: Endpoint,
    to: Endpoint,
    proto: u8,
    packets: u64,
    bytes: u64,
    flags: u8,
}

/// What one drain brings.
#[derive(Clone)]
pub struct Drained {
    pub time: u64,
    pub deltas: Vec<FlowDelta>,
}

/// What answers a SYN.
#[derive(Clone, Copy, PartialEq)]
pub enum Answer {
    Refused,
    HalfOpen,
    Nothing,
}

pub struct Traffic {
    bursts: Vec<Burst>,
    pub random: Random,
}

impl Traffic {
    pub fn new(seed: u64) -> Traffic {
        Traffic { bursts: Vec::new(), random: Random::new(seed.wrapping_mul(7919) + 17) }
    }

    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.random.bits() >> 11) as f64 / (1u64 << 53) as f64)
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform(0.0, 1.0)).ln()
    }

    fn pareto(&mut self, least: f64, shape: f64, most: f64) -> f64 {
        (least * (1.0 - self.uniform(0.0, 1.0)).powf(-1.0 / shape)).min(most)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())]
    }

    pub fn port(&mut self) -> u16 {
        32_768 + self.random.below(28_000) as u16
    }

    fn burst(
        &mut self,
        time: u64,
        (from, to): (Endpoint, Endpoint),
        proto: u8,
        count: (u64, u64),
        flags: u8,
    ) {
        let (packets, bytes) = count;
        self.bursts.push(Burst { time, from, to, proto, packets, bytes, flags });
    }

    /// A whole TCP connection: `bytes` out and in, over `seconds`.
    pub fn connection(&mut self, time: u64, from: Endpoint, to: Endpoint, bytes: [f64; 2], seconds: f64) {
        let (there, back) = ((from, to), (to, from));
        self.burst(time, there, proto::TCP, (1, 74), tcp::SYN);
        self.burst(time + MS / 3, back, proto::TCP, (1, 74), tcp::SYN | tcp::ACK);
        self.burst(time + MS / 2, there, proto::TCP, (1, 66), tcp::ACK);
        let slices = (seconds / 0.05).ceil().max(1.0) as u64;
        for slice in 0..slices {
            let at = time + MS + (seconds * 1e9) as u64 * slice / slices;
            let part = bytes.map(|b| (b / slices as f64) as u64 + 1);
            let packets = part.map(|b| b.div_ceil(1448));
            let count = |side: usize| {
                let acks = packets[1 - side] / 2;
                (packets[side] + acks, part[side] + 66 * (packets[side] + acks))
            };
            self.burst(at, there, proto::TCP, count(0), tcp::ACK | tcp::PSH);
            self.burst(at + MS, back, proto::TCP, count(1), tcp::ACK | tcp::PSH);
        }
        let end = time + 3 * MS + (seconds * 1e9) as u64;
        self.burst(end, there, proto::TCP, (1, 66), tcp::FIN | tcp::ACK);
        self.burst(end + MS / 3, back, proto::TCP, (1, 66), tcp::FIN | tcp::ACK);
        self.burst(end + MS / 2, there, proto::TCP, (1, 66), tcp::ACK);
    }

    /// A UDP question and its answer.
    fn exchange(&mut self, time: u64, from: Endpoint, to: Endpoint, bytes: [u64; 2]) {
        self.burst(time, (from, to), proto::UDP, (1, bytes[0]), 0);
        self.burst(time + MS, (to, from), proto::UDP, (1, bytes[1]), 0);
    }

    /// Names that a resolver has to ask others for: its answer takes so many milliseconds.
    pub fn lookup(&mut self, time: u64, client: [u8; 4], milliseconds: u64) {
        let (from, to) = ((client, self.port()), (DNS, 53));
        self.burst(time, (from, to), proto::UDP, (1, 80), 0);
        self.burst(time + milliseconds * MS, (to, from), proto::UDP, (1, 200), 0);
    }

    /// A SYN, and what becomes of it.
    pub fn syn(&mut self, time: u64, from: Endpoint, to: Endpoint, answer: Answer) {
        self.burst(time, (from, to), proto::TCP, (1, 60), tcp::SYN);
        match answer {
            Answer::Refused => {
                self.burst(time + MS / 5, (to, from), proto::TCP, (1, 54), tcp::RST | tcp::ACK)
            }
            Answer::HalfOpen => {
                self.burst(time + MS / 5, (to, from), proto::TCP, (1, 60), tcp::SYN | tcp::ACK);
                self.burst(time + MS / 3, (from, to), proto::TCP, (1, 54), tcp::RST);
            }
            Answer::Nothing => {}
        }
    }

    /// Ordinary traffic for so many seconds.
    pub fn ordinary(&mut self, seconds: f64) {
        for client in CLIENTS {
            self.every(
                seconds,
                |traffic| traffic.exponential(0.6),
                |traffic, time| {
                    let (port, server) = (traffic.port(), traffic.pick(&WEB));
                    let bytes = [traffic.uniform(200.0, 900.0), traffic.pareto(1500.0, 1.2, 8e6)];
                    let seconds = traffic.uniform(0.002, 0.05) + bytes[1] / 2e7;
                    traffic.connection(time, (client, port), (server, 80), bytes, seconds);
                },
            );
            self.every(
                seconds,
                |traffic| traffic.exponential(0.8),
                |traffic, time| {
                    let port = traffic.port();
                    let bytes =
                        [70 + traffic.random.below(30) as u64, 100 + traffic.random.below(300) as u64];
                    traffic.exchange(time, (client, port), (DNS, 53), bytes);
                },
            );
            let offset = self.uniform(0.0, 4.0);
            self.every(
                seconds,
                |traffic| 4.0 + traffic.uniform(-0.01, 0.01),
                |traffic, time| {
                    let time = time + (offset * 1e9) as u64;
                    traffic.exchange(time, (client, 40_123), (MONITOR, 123), [90, 90]);
                },
            );
        }
        for client in &CLIENTS[..3] {
            self.every(
                seconds,
                |traffic| 1.0 + traffic.uniform(-0.003, 0.003),
                |traffic, time| {
                    let port = traffic.port();
                    traffic.connection(time, (*client, port), (MONITOR, 9100), [120.0, 40.0], 0.002);
                },
            );
        }
        self.every(
            seconds,
            |traffic| traffic.exponential(7.0),
            |traffic, time| {
                let (client, port) = (traffic.pick(&CLIENTS), traffic.port());
                let bytes = [traffic.uniform(2e3, 4e3), traffic.uniform(3e3, 6e3)];
                let seconds = traffic.uniform(0.3, 3.0);
                traffic.connection(time, (client, port), (LOGIN, 22), bytes, seconds);
            },
        );
        // What is ordinary shows at least once while the model warms up: a server nobody ever spoke to before is
        // new, and a first large upload to it is what exfiltration looks like.
        let (client, port) = (self.pick(&CLIENTS), self.port());
        self.connection(EPOCH + 5 * SECOND, (client, port), (FILES, 2049), [500.0, 3e6], 0.2);
        self.every(
            seconds,
            |traffic| 5.0 + traffic.exponential(12.0),
            |traffic, time| {
                let (client, port) = (traffic.pick(&CLIENTS), traffic.port());
                let (much, little) = (traffic.pareto(2e6, 1.1, 8e7), 500.0);
                let bytes = if traffic.random.below(3) == 0 { [little, much] } else { [much, little] };
                let rate = traffic.uniform(5e6, 6e7);
                traffic.connection(time, (client, port), (FILES, 2049), bytes, much / rate);
            },
        );
    }

    fn every(&mut self, seconds: f64, gap: impl Fn(&mut Traffic) -> f64, event: impl Fn(&mut Traffic, u64)) {
        let mut time = self.uniform(0.0, 0.9) * gap(self).max(0.01);
        while time < seconds {
            event(self, EPOCH + (time * 1e9) as u64);
            time += gap(self).max(0.001);
        }
    }

    /// All drains, in order; each in the order in which its flows grew.
    pub fn ticks(mut self) -> Vec<Drained> {
        self.bursts.sort_by_key(|burst| burst.time);
        let mut held: BTreeMap<FlowKey, FlowStats> = BTreeMap::new();
        let mut ticks = Vec::new();
        let mut bursts = self.bursts.into_iter().peekable();
        let mut now = EPOCH;
        while bursts.peek().is_some() {
            now += TICK;
            let mut grown: BTreeMap<FlowKey, FlowStats> = BTreeMap::new();
            let mut order = Vec::new();
            while let Some(burst) = bursts.next_if(|burst| burst.time < now) {
                let side = |(address, port): Endpoint| (mapped(address), port);
                let (key, reverse) =
                    FlowKey::canonical(side(burst.from), side(burst.to), [0; 3], burst.proto);
                let direction = usize::from(reverse);
                let stats = grown.entry(key).or_insert_with(|| {
                    order.push(key);
                    let before = held.get(&key).copied();
                    let zero =
                        FlowStats { first: burst.time, initiator: direction as u64, ..FlowStats::default() };
                    before.map_or(zero, |b| FlowStats { first: b.first, initiator: b.initiator, ..zero })
                });
                for _ in 0..burst.packets {
                    stats.add_packet(direction, 0, burst.flags, burst.time);
                }
                stats.bytes[direction] += burst.bytes;
            }
            held.extend(grown.iter().map(|(key, stats)| (*key, *stats)));
            let deltas = order.into_iter().map(|key| FlowDelta { key, grown: grown[&key] }).collect();
            ticks.push(Drained { time: now, deltas });
        }
        ticks
    }
}

/// An attack: what must be alerted, and from when on.
pub struct Attack {
    pub name: &'static str,
    pub kinds: &'static [crate::alert::ThreatType],
    pub start: u64,
    pub source: [u8; 4],
    pub target: Option<[u8; 4]>,
}

/// Attacks one after the other, from `start` seconds on, so many seconds apart.
pub fn attacks(traffic: &mut Traffic, start: f64, apart: f64) -> Vec<Attack> {
    use crate::alert::ThreatType::{Bot, BruteForce, DDoS, DoS, Exfiltration, PortScan};
    let mut all = Vec::new();
    let mut at = start;
    let mut next = |traffic: &mut Traffic| {
        let time = EPOCH + ((at + traffic.uniform(0.0, 1.0)) * 1e9) as u64;
        at += apart;
        let attacker = if traffic.random.below(2) == 0 { traffic.pick(&CLIENTS) } else { lan(66) };
        (time, attacker)
    };

    let (time, source) = next(traffic);
    let (target, silent) = (traffic.pick(&[WEB[0], LOGIN, FILES]), traffic.random.below(2) == 0);
    for port in 1..=1000u16 {
        let answer = if silent { Answer::Nothing } else { Answer::Refused };
        let from = (source, traffic.port());
        traffic.syn(time + u64::from(port) * 3 * MS, from, (target, port), answer);
    }
    all.push(Attack { name: "scan", kinds: &[PortScan], start: time, source, target: Some(target) });

    let (time, source) = next(traffic);
    let spoofed = traffic.random.below(2) == 0;
    let target = WEB[0];
    let answer = if traffic.random.below(2) == 0 { Answer::HalfOpen } else { Answer::Nothing };
    for n in 0..15_000u64 {
        let address = if spoofed {
            [10, 77, 1 + traffic.random.below(200) as u8, traffic.random.below(256) as u8]
        } else {
            source
        };
        let from = (address, traffic.port());
        traffic.syn(time + n * SECOND / 3000, from, (target, 80), answer);
    }
    let kinds: &'static [_] = if spoofed { &[DDoS] } else { &[DoS] };
    let name = if spoofed { "flood (spoofed)" } else { "flood" };
    all.push(Attack { name, kinds, start: time, source, target: Some(target) });

    let (time, source) = next(traffic);
    let rate = traffic.uniform(10.0, 20.0);
    for n in 0..(rate * 8.0) as u64 {
        let at = time + ((n as f64 + traffic.uniform(-0.3, 0.3)).max(0.0) / rate * 1e9) as u64;
        let from = (source, traffic.port());
        let bytes = [traffic.uniform(1500.0, 1900.0), traffic.uniform(2000.0, 2300.0)];
        traffic.connection(at, from, (LOGIN, 22), bytes, 0.08);
    }
    all.push(Attack { name: "brute force", kinds: &[BruteForce], start: time, source, target: Some(LOGIN) });

    let (time, source) = next(traffic);
    for n in 0..12u64 {
        let jitter = traffic.uniform(0.0, 0.01);
        let at = time + n * SECOND + (jitter * 1e9) as u64;
        let from = (source, traffic.port());
        traffic.connection(at, from, ([203, 0, 113, 9], 8080), [180.0, 120.0], 0.004);
    }
    let target = Some([203, 0, 113, 9]);
    all.push(Attack { name: "beacon", kinds: &[Bot], start: time, source, target });

    let (time, source) = next(traffic);
    let bytes = traffic.uniform(2e7, 6e7);
    let from = (source, traffic.port());
    let target = if traffic.random.below(2) == 0 { lan(99) } else { [198, 51, 100, 7] };
    traffic.connection(time, from, (target, 443), [bytes, 4000.0], bytes / 8e6);
    all.push(Attack {
        name: "exfiltration",
        kinds: &[Exfiltration],
        start: time,
        source,
        target: Some(target),
    });
    all
}
