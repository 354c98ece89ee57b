//! The attacker of the poisoning suite: what it teaches for a month, and what it does in the end.

use crate::analysis::traffic::{Answer, EPOCH, Traffic, lan};

/// Seconds after which it thinks again.
pub const STEP: u64 = 20;
/// Rows a second of ordinary traffic.
const ROWS: f64 = 36.0;

const WEB: [u8; 4] = lan(21);
const LOGIN: [u8; 4] = lan(24);
const FILES: [u8; 4] = lan(25);
/// Where it listens outside.
const DROP: [u8; 4] = [203, 0, 113, 50];

/// What the attacker teaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plan {
    /// Uploads to its own host, a little larger every day.
    Exfiltration,
    /// Tries more ports every day.
    Scan,
    /// Logs in more often every day.
    BruteForce,
    /// More half-open connections every day.
    Flood,
    /// Calls its own host, every day more regularly.
    Beacon,
    /// Every connection goes to a service that nobody used before.
    Services,
    /// Uploads that score just below the limit up to which a row teaches.
    Lessons,
    /// Uploads that score just below the threshold: they stretch the tail.
    Tail,
}

pub const PLANS: [Plan; 8] = [
    Plan::Exfiltration,
    Plan::Scan,
    Plan::BruteForce,
    Plan::Flood,
    Plan::Beacon,
    Plan::Services,
    Plan::Lessons,
    Plan::Tail,
];

/// Who teaches, row by row, with a share of all rows.
pub struct Attacker {
    plan: Plan,
    pub sources: Vec<[u8; 4]>,
    /// Flows a step.
    flows: usize,
    /// Flows saved up for a burst.
    saved: usize,
    turn: usize,
    /// Of [`Plan::Lessons`] and [`Plan::Tail`]: how far it dares to go.
    dares: f64,
}

impl Attacker {
    pub fn new(plan: Plan, share: f64, sources: usize) -> Attacker {
        let source = |n: usize| match sources {
            1 => lan(66),
            _ => [10, 78, (n / 250) as u8, (n % 250) as u8 + 1],
        };
        let sources = (0..sources).map(source).collect();
        // Besides its own row a flow brings its source's, and often shares its window with no other flow of it.
        let flows = (share * ROWS * STEP as f64 / 2.0).round().max(1.0) as usize;
        Attacker { plan, sources, flows, saved: 0, turn: 0, dares: 1e3 }
    }

    fn next(&mut self) -> [u8; 4] {
        self.turn += 1;
        self.sources[self.turn % self.sources.len()]
    }

    /// Bursts of so many flows that it can afford now.
    fn bursts(&mut self, size: usize) -> usize {
        let bursts = self.saved / size;
        self.saved -= bursts * size;
        bursts
    }

    /// What it does in a step, from [`EPOCH`] on; `progress` grows from 0 to 1 in thirty days.
    pub fn act(&mut self, progress: f64, traffic: &mut Traffic) {
        let grown = |from: f64, to: f64| from * (to / from).powf(progress);
        let second = |n: f64| EPOCH + (n * 1e9) as u64;
        let span = STEP as f64 - 4.0;
        self.saved += self.flows;
        match self.plan {
            Plan::Exfiltration | Plan::Lessons | Plan::Tail => {
                let frog = self.plan == Plan::Exfiltration;
                let to = if frog { (DROP, 443) } else { (WEB, 80) };
                for _ in 0..self.flows {
                    let bytes = if frog { grown(2e4, 2e5) } else { self.dares };
                    let bytes = bytes * traffic.uniform(0.8, 1.2);
                    let (at, from) = (traffic.uniform(0.0, span), (self.next(), traffic.port()));
                    traffic.connection(second(at), from, to, [bytes, 4000.0], (bytes / 2e7).min(4.0));
                }
            }
            Plan::Scan | Plan::Flood => {
                let scan = self.plan == Plan::Scan;
                let size = (if scan { grown(1.0, 18.0) } else { grown(2.0, 150.0) }) as usize;
                for _ in 0..self.bursts(size) {
                    let (at, source) = (traffic.uniform(0.0, span), self.next());
                    for n in 0..size {
                        let time = second(at + 0.002 * n as f64);
                        let port = if scan { 1 + traffic.random.below(1000) as u16 } else { 80 };
                        let answer = if scan { Answer::Refused } else { Answer::HalfOpen };
                        let from = (source, traffic.port());
                        traffic.syn(time, from, (WEB, port), answer);
                    }
                }
            }
            Plan::BruteForce => {
                let size = grown(2.0, 100.0) as usize;
                for _ in 0..self.bursts(size) {
                    let source = self.next();
                    for n in 0..size {
                        let at = second(0.1 + n as f64 * (10.0 / size as f64));
                        let from = (source, traffic.port());
                        let bytes = [traffic.uniform(1500.0, 1900.0), traffic.uniform(2000.0, 2300.0)];
                        traffic.connection(at, from, (LOGIN, 22), bytes, 0.08);
                    }
                }
            }
            Plan::Beacon => {
                let source = self.next();
                let period = span / self.flows as f64;
                for n in 0..self.flows {
                    let off = traffic.uniform(-0.5, 0.5) * grown(1.0, 0.01);
                    let from = (source, traffic.port());
                    let at = second(period * (n as f64 + 0.5 + off));
                    traffic.connection(at, from, (DROP, 8080), [180.0, 120.0], 0.004);
                }
            }
            Plan::Services => {
                for _ in 0..self.flows {
                    let (at, from) = (traffic.uniform(0.0, span), (self.next(), traffic.port()));
                    let to = (
                        lan(100 + traffic.random.below(100) as u8),
                        1000 + traffic.random.below(9000) as u16,
                    );
                    traffic.connection(second(at), from, to, [400.0, 600.0], 0.01);
                }
            }
        }
    }

    /// The highest score of its rows in the step before: it knows the model as well as we do.
    pub fn hears(&mut self, highest: f64, learn_below: f64, threshold: f64) {
        let limit = if self.plan == Plan::Tail { threshold } else { learn_below };
        self.dares *= if highest < limit - 0.05 { 1.25 } else { 0.6 };
        self.dares = self.dares.clamp(1e3, 8e7);
    }
}

/// What comes at the end, in this order, and to whom. The first is done by a client that was there from the start.
pub const TARGETS: [(&str, [u8; 4]); 8] = [
    ("new service", FILES),
    ("exfiltration", [198, 51, 100, 7]),
    ("exfiltration to the known", DROP),
    ("beacon", [203, 0, 113, 9]),
    ("beacon to the known", DROP),
    ("brute force", LOGIN),
    ("flood", WEB),
    ("scan", WEB),
];

/// A target attack at full strength by one source.
pub fn strike(traffic: &mut Traffic, name: &str, source: [u8; 4], target: [u8; 4]) {
    let second = |n: f64| EPOCH + (n * 1e9) as u64;
    match name {
        "new service" => {
            for n in 0..3 {
                let from = (source, traffic.port());
                traffic.connection(second(0.3 + f64::from(n)), from, (target, 5432), [900.0, 60e3], 0.2);
            }
        }
        "exfiltration" | "exfiltration to the known" => {
            let from = (source, traffic.port());
            traffic.connection(second(0.2), from, (target, 443), [6e7, 4000.0], 5.0);
        }
        "beacon" | "beacon to the known" => {
            for n in 0..10 {
                let from = (source, traffic.port());
                traffic.connection(second(0.2 + f64::from(n)), from, (target, 9000), [180.0, 120.0], 0.004);
            }
        }
        "brute force" => {
            for n in 0..120 {
                let from = (source, traffic.port());
                let at = second(0.1 + f64::from(n) / 15.0);
                traffic.connection(at, from, (target, 22), [1700.0, 2100.0], 0.08);
            }
        }
        "flood" => {
            for n in 0..15_000 {
                let from = (source, traffic.port());
                traffic.syn(second(0.1 + f64::from(n) / 3000.0), from, (target, 80), Answer::HalfOpen);
            }
        }
        _ => {
            for port in 1..=1000 {
                let from = (source, traffic.port());
                traffic.syn(second(0.1 + f64::from(port) * 0.003), from, (target, port), Answer::Refused);
            }
        }
    }
}
