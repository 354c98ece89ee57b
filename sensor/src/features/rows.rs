//! Closes a window: the flows that were active become rows of features.

use super::config::FeaturesConfig;
use super::facts::{FlowFacts, HostFacts, Outcome, PairFacts};
use super::host::Hosts;
use super::memory::{Addition, Memory, PairKey, ServiceKey, Slots};
use super::spec::{self, Feature};
use crate::flow::table::Flow;
use crate::flow::{SECOND, is_group};
use sensor_ebpf::flow::proto;

/// A SYN this close to the end of the window may still be answered.
const TOO_EARLY: u64 = SECOND / 20;
/// A probe is at most so many packets.
const PROBE_PACKETS: u64 = 3;
/// A connection closed within this time was short.
const SHORT: u64 = 5 * SECOND;

/// A window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Nanoseconds since the Unix epoch.
    pub start: u64,
    /// Same; packets up to the tick that closed it are in it.
    pub end: u64,
}

/// Rows of equal width, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// Features, row by row.
    pub data: Vec<f32>,
    /// Features in a row.
    pub width: usize,
}

impl Matrix {
    fn of<const N: usize>(features: &[Feature; N], rows: impl Iterator<Item = [f64; N]>) -> Matrix {
        let mut data = Vec::with_capacity(rows.size_hint().0 * N);
        for values in rows {
            data.extend(features.iter().zip(values).map(|(feature, value)| feature.encode(value)));
        }
        Matrix { data, width: N }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.data.len() / self.width.max(1)
    }

    /// A row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.width..(row + 1) * self.width]
    }
}

/// All rows of a window.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Facts of the flows that have a row, oldest flow first.
    pub flows: Vec<FlowFacts>,
    /// Their features.
    pub flow_matrix: Matrix,
    /// Facts of the hosts that have a row, in order of address.
    pub hosts: Vec<HostFacts>,
    /// Their features.
    pub host_matrix: Matrix,
    /// Rows that there would have been without a limit.
    pub made: u64,
    /// Rows beyond the limit.
    pub shed: u64,
    slots: Vec<Slots>,
}

/// Makes the rows, and remembers what they need.
pub struct Features {
    config: FeaturesConfig,
    /// Pairs and services.
    pub memory: Memory,
    /// Hosts.
    pub hosts: Hosts,
}

impl Features {
    /// Empty.
    pub fn new(config: &FeaturesConfig) -> Features {
        Features { memory: Memory::new(config), hosts: Hosts::new(config), config: config.clone() }
    }

    /// Closes a window over `active` flows (in a stable order) and `beyond`, flows the table had no room for.
    pub fn close(&mut self, window: Window, active: &[&Flow], beyond: &[Flow]) -> Rows {
        let now = window.end;
        let seconds = (window.end.saturating_sub(window.start) as f64 / 1e9).max(1.0);
        let mut flows = Vec::with_capacity(active.len().min(self.config.max_rows));
        let mut slots = Vec::with_capacity(flows.capacity());
        let mut count = 0usize;
        for (place, flow) in active.iter().copied().chain(beyond).enumerate() {
            let facts = facts(flow, seconds, now);
            let key = pair_key(&facts);
            let (slot, new_pair) = self.memory.add(key, now, &addition(flow, &facts));
            self.hosts.add(&facts, flow.began, new_pair, now);
            if place < self.config.max_rows {
                flows.push(facts);
                slots.push(slot);
            }
            count += 1;
        }

        let mut hosts = self.hosts.close(seconds, now);
        let made = count + hosts.len();
        keep_busiest(&mut hosts, (self.config.max_rows / 4).max(1));
        flows.truncate(self.config.max_rows - hosts.len());
        slots.truncate(flows.len());
        for (facts, slot) in flows.iter_mut().zip(&slots) {
            facts.pair = self.memory.facts(*slot, now);
            facts.pair.new_host = facts.pair.new_pair && self.hosts.is_new(&facts.dst, now, &self.memory);
        }
        self.memory.forget(now);
        Rows {
            flow_matrix: Matrix::of(&spec::FLOW, flows.iter().map(FlowFacts::values)),
            host_matrix: Matrix::of(&spec::HOST, hosts.iter().map(HostFacts::values)),
            made: made as u64,
            shed: (made - flows.len() - hosts.len()) as u64,
            flows,
            hosts,
            slots,
        }
    }

    /// Flow rows for which `ordinary` holds raise what is usual for their pair and service.
    pub fn absorb(&mut self, rows: &Rows, ordinary: impl Fn(usize) -> bool) {
        for (row, slots) in rows.slots.iter().enumerate() {
            if ordinary(row) {
                self.memory.absorb(*slots);
            }
        }
    }
}

/// The hosts with the most packets keep their rows; one packet more or less decides nothing that matters.
fn keep_busiest(hosts: &mut Vec<HostFacts>, limit: usize) {
    if hosts.len() > limit {
        hosts.sort_by_key(|facts| std::cmp::Reverse(facts.packets[0] + facts.packets[1]));
        hosts.truncate(limit);
        hosts.sort_unstable_by_key(|facts| facts.address);
    }
}

/// The pair a flow belongs to.
pub fn pair_key(facts: &FlowFacts) -> PairKey {
    let icmp = matches!(facts.key.proto, proto::ICMP | proto::ICMPV6);
    let port = if icmp { 0 } else { facts.dst_port };
    PairKey { src: facts.src, service: ServiceKey { dst: facts.dst, port, proto: facts.key.proto } }
}

fn facts(flow: &Flow, seconds: f64, now: u64) -> FlowFacts {
    let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
    FlowFacts {
        key: flow.key,
        src,
        src_port,
        dst,
        dst_port,
        start: flow.start,
        last: flow.last,
        seconds,
        window: flow.window,
        total: flow.total,
        outcome: outcome(flow, now, flow.total.packets == flow.window.packets),
        entropy: flow.entropy,
        pair: PairFacts::default(),
    }
}

/// What became of what the initiator tried in this window: to open a connection, or to provoke an answer.
fn outcome(flow: &Flow, now: u64, begun: bool) -> Outcome {
    match flow.key.proto {
        proto::TCP if flow.window.flags[0].syn > 0 => opened(flow, now),
        proto::TCP | proto::UDP if begun => probed(flow, now),
        _ => Outcome::None,
    }
}

/// A SYN was sent.
fn opened(flow: &Flow, now: u64) -> Outcome {
    if flow.total.flags[1].syn == 0 && flow.total.flags[1].rst > 0 {
        Outcome::Refused
    } else if flow.total.established() {
        Outcome::Completed
    } else if now.saturating_sub(flow.last) < TOO_EARLY {
        Outcome::None
    } else if flow.total.packets[1] > 0 {
        Outcome::HalfOpen
    } else {
        Outcome::Unanswered
    }
}

/// A flow began in this window without a SYN: a few packets to a port that resets or says nothing are a probe (the
/// ACK, FIN, NULL, Xmas and UDP scans of nmap). What more packets are, or an answer is, was there before us.
fn probed(flow: &Flow, now: u64) -> Outcome {
    let [out, back] = flow.total.packets;
    let resets = u64::from(flow.total.flags[1].rst);
    let ends = flow.total.flags[0].rst > 0;
    let (dst, _) = flow.dst();
    if out > PROBE_PACKETS || ends || flow.total.flags[1].syn > 0 || is_group(&dst) {
        Outcome::None
    } else if back > 0 {
        if resets == back { Outcome::Refused } else { Outcome::None }
    } else if now.saturating_sub(flow.last) < TOO_EARLY {
        Outcome::None
    } else {
        Outcome::Unanswered
    }
}

fn addition(flow: &Flow, facts: &FlowFacts) -> Addition {
    let failed = matches!(facts.outcome, Outcome::Refused | Outcome::HalfOpen | Outcome::Unanswered);
    let short = flow.ended
        && flow.total.established()
        && flow.total.flags[0].syn > 0
        && flow.last.saturating_sub(flow.start) <= SHORT;
    Addition {
        connections: f64::from(u8::from(facts.outcome == Outcome::Completed)),
        failed: f64::from(u8::from(failed)),
        bytes: facts.window.bytes.map(|n| n as f64),
        contact: flow.contact,
        short: short.then(|| (flow.total.bytes[0] + flow.total.bytes[1]) as f64),
        answered: flow.total.packets[1] > 0,
    }
}
