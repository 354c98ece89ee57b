//! Rows above the threshold become candidates: one for each attack that a window shows.

use super::config::AlertConfig;
use super::likeness::{Head, Likeness, context};
use super::link_rules::judge_link;
use super::rules::{Verdict, judge_flow, judge_host};
use super::{ThreatType, rules};
use crate::features::facts::{FlowFacts, HostFacts};
use crate::features::link::{LinkFacts, Mac};
use crate::features::moves::is_inside;
use crate::features::spec;
use crate::flow::flags::FlagCounts;
use crate::flow::ip;
use crate::flow::tunnel::TunnelRecord;
use crate::score::scorer::Kind;
use sensor_ebpf::flow::FlowKey;
use std::collections::BTreeMap;

/// Who and what an alert is about: the same attack has the same key in every window.
pub type FoldKey = (ThreatType, Option<[u8; 16]>, Option<[u8; 16]>);

/// An attack that a window shows, or something unusual without a type.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it is.
    pub verdict: Verdict,
    /// Score of its most unusual row.
    pub score: f64,
    /// Threshold of such rows.
    pub threshold: f64,
    /// What kind of row that is.
    pub kind: Kind,
    /// Its place among the unusual rows of its kind.
    pub row: usize,
    /// Packets in the window, both directions.
    pub packets: u64,
    /// Bytes in the window, both directions.
    pub bytes: u64,
    /// First and latest packet.
    pub seen: [u64; 2],
    /// Port of the initiator, for a flow.
    pub source_port: u16,
    /// The flow, for a flow.
    pub key: Option<FlowKey>,
    /// What that flow is wrapped in.
    pub tunnel: Option<TunnelRecord>,
    /// TCP flags seen.
    pub flags: FlagCounts,
    /// Who does it, where that is known by its MAC address.
    pub mac: Option<Mac>,
    /// Its source is new here: it never began anything that was ordinary.
    pub newcomer: bool,
    /// What it looks like, where no rule says what it is.
    pub likeness: Likeness,
}

impl Candidate {
    /// See [`FoldKey`]. A scan is one attack however many hosts it tries.
    pub fn fold_key(&self) -> FoldKey {
        let Verdict { kind, source, destination, .. } = self.verdict;
        let source = source.or(self.mac.map(Mac::link_local));
        match kind {
            ThreatType::PortScan => (kind, source, None),
            _ => (kind, source, destination),
        }
    }

    /// Whose doing it is, as far as it can be known: the host inside, for an address outside is anybody's choice.
    pub fn told_of(&self) -> [u8; 16] {
        let Verdict { source, destination, .. } = self.verdict;
        let ends = || [source.or(self.mac.map(Mac::link_local)), destination].into_iter().flatten();
        ends().find(is_inside).or_else(|| ends().next()).unwrap_or_default()
    }

    /// How far the score is above the threshold, decades.
    pub fn margin(&self) -> f64 {
        self.score - self.threshold
    }
}

/// Anomalies looked at per window, the most unusual first.
const ANOMALIES: usize = 256;

/// A row whose score is above the threshold.
#[derive(Clone, Debug)]
pub struct Unusual<F, const N: usize> {
    /// What is known of it.
    pub facts: F,
    /// Its features.
    pub features: [f32; N],
    /// Its score.
    pub score: f32,
}

/// A flow's.
pub type UnusualFlow = Unusual<FlowFacts, { spec::FLOW.len() }>;
/// A MAC address's.
pub type UnusualLink = Unusual<LinkFacts, { spec::LINK.len() }>;
/// A host's.
pub type UnusualHost = Unusual<HostFacts, { spec::HOST.len() }>;

/// The candidates of a window, the surest types first, in a stable order.
pub fn candidates(
    flows: &[UnusualFlow],
    hosts: &[UnusualHost],
    links: &[UnusualLink],
    threshold: f64,
    config: &AlertConfig,
    head: Option<&Head>,
) -> Vec<Candidate> {
    let mut found: BTreeMap<FoldKey, Candidate> = BTreeMap::new();
    let mut note = |candidate: Candidate| match found.entry(candidate.fold_key()) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(candidate);
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => merge(entry.get_mut(), candidate),
    };
    for (row, host) in hosts.iter().enumerate() {
        let mut candidate = of_host(&host.facts, row, f64::from(host.score), threshold, config);
        if let Some(head) = head.filter(|_| candidate.verdict.kind == ThreatType::Anomaly) {
            candidate.likeness = head.judge(Kind::Host, &context::host_row(&host.facts, &host.features));
        }
        note(candidate);
    }
    for (row, flow) in flows.iter().enumerate() {
        let mut candidate = of_flow(&flow.facts, row, f64::from(flow.score), threshold, config);
        if let Some(head) = head.filter(|_| candidate.verdict.kind == ThreatType::Anomaly) {
            candidate.likeness = head.judge(Kind::Flow, &context::flow_row(&flow.facts, &flow.features));
        }
        note(candidate);
    }
    for (row, link) in links.iter().enumerate() {
        note(of_link(&link.facts, row, f64::from(link.score), threshold, config));
    }
    let mut all: Vec<Candidate> = found.into_values().collect();
    // The map's order decides among equals.
    all.sort_by(|one, other| {
        rank(one.verdict.kind)
            .cmp(&rank(other.verdict.kind))
            .then_with(|| other.margin().total_cmp(&one.margin()))
    });
    let definite = all.iter().filter(|candidate| candidate.verdict.kind != ThreatType::Anomaly).count();
    all.truncate(definite + ANOMALIES);
    all
}

/// Types in the order in which they explain each other: a distributed flood explains its sources.
pub(super) fn rank(kind: ThreatType) -> u8 {
    match kind {
        ThreatType::DDoS => 0,
        ThreatType::DoS => 1,
        ThreatType::PortScan => 2,
        ThreatType::Exfiltration => 3,
        ThreatType::BruteForce => 4,
        ThreatType::Bot | ThreatType::WebAttack | ThreatType::Infiltration => 5,
        ThreatType::Anomaly => 6,
    }
}

/// Two rows show the same: the more unusual one speaks. A host's row counts its flows already.
fn merge(held: &mut Candidate, other: Candidate) {
    let seen = [held.seen[0].min(other.seen[0]), held.seen[1].max(other.seen[1])];
    let both_flows = held.kind == Kind::Flow && other.kind == Kind::Flow;
    let (packets, bytes) = if both_flows {
        (held.packets + other.packets, held.bytes + other.bytes)
    } else {
        (held.packets.max(other.packets), held.bytes.max(other.bytes))
    };
    let (mut flags, mut likeness) = (held.flags, held.likeness);
    flags.add(&other.flags);
    likeness.add(&other.likeness);
    if other.margin() > held.margin() {
        *held = other;
    }
    (held.seen, held.packets, held.bytes, held.flags) = (seen, packets, bytes, flags);
    held.likeness = likeness;
}

/// How often ordinary traffic would look like this.
fn how_rare(margin: f64, config: &AlertConfig) -> String {
    let hours = 10f64.powf(margin) / config.budget_per_hour;
    let (number, unit) = match hours {
        hours if hours < 48.0 => (hours, "hours"),
        hours if hours < 24.0 * 365.0 => (hours / 24.0, "days"),
        // Nobody watched for years.
        _ => return "ordinary traffic here practically never does this".to_owned(),
    };
    let number = number.round().max(1.0);
    let span = if number > 1.0 {
        format!("{number} {unit}")
    } else {
        format!("a{} {}", if unit == "hours" { "n" } else { "" }, unit.trim_end_matches('s'))
    };
    format!("ordinary traffic here does this about once in {span}")
}

fn of_flow(facts: &FlowFacts, row: usize, score: f64, threshold: f64, config: &AlertConfig) -> Candidate {
    let verdict = judge_flow(facts, config).unwrap_or_else(|| rules::Verdict {
        kind: ThreatType::Anomaly,
        source: Some(facts.src),
        destination: Some(facts.dst),
        port: facts.dst_port,
        proto: facts.key.proto,
        strength: 1.0,
        narrative: format!(
            "Traffic of {} to port {} of {} is unlike what was learned: {}.",
            ip(&facts.src),
            facts.dst_port,
            ip(&facts.dst),
            how_rare(score - threshold, config),
        ),
    });
    let mut flags = facts.window.flags[0];
    flags.add(&facts.window.flags[1]);
    Candidate {
        verdict,
        score,
        threshold,
        kind: Kind::Flow,
        row,
        packets: facts.window.packets.iter().sum(),
        bytes: facts.window.bytes.iter().sum(),
        seen: [facts.start, facts.last],
        source_port: facts.src_port,
        key: Some(facts.key),
        tunnel: None,
        flags,
        mac: None,
        newcomer: facts.pair.rarity.source > 0.0,
        likeness: Likeness::default(),
    }
}

fn of_host(facts: &HostFacts, row: usize, score: f64, threshold: f64, config: &AlertConfig) -> Candidate {
    let verdict = judge_host(facts, config).unwrap_or_else(|| rules::Verdict {
        kind: ThreatType::Anomaly,
        source: Some(facts.address),
        destination: None,
        port: 0,
        proto: 0,
        strength: 1.0,
        narrative: format!(
            "{} behaves unlike what was learned: {}.",
            ip(&facts.address),
            how_rare(score - threshold, config),
        ),
    });
    let syn = facts.failed().max(facts.incomplete_in).min(u64::from(u32::MAX)) as u32;
    let rst = facts.refused.max(facts.refused_in).min(u64::from(u32::MAX)) as u32;
    Candidate {
        verdict,
        score,
        threshold,
        kind: Kind::Host,
        row,
        packets: facts.packets.iter().sum(),
        bytes: facts.bytes.iter().sum(),
        seen: facts.seen,
        source_port: 0,
        key: None,
        tunnel: None,
        flags: FlagCounts { syn, rst, ..FlagCounts::default() },
        mac: None,
        newcomer: false,
        likeness: Likeness::default(),
    }
}

fn of_link(facts: &LinkFacts, row: usize, score: f64, threshold: f64, config: &AlertConfig) -> Candidate {
    let verdict = judge_link(facts, config).unwrap_or_else(|| rules::Verdict {
        kind: ThreatType::Anomaly,
        source: facts.address,
        destination: None,
        port: 0,
        proto: 0,
        strength: 1.0,
        narrative: format!(
            "Frames of {} that are not IP are unlike what was learned: {}.",
            facts.mac,
            how_rare(score - threshold, config),
        ),
    });
    Candidate {
        verdict,
        score,
        threshold,
        kind: Kind::Link,
        row,
        packets: facts.frames,
        bytes: facts.bytes,
        seen: facts.seen,
        source_port: 0,
        key: None,
        tunnel: None,
        flags: FlagCounts::default(),
        mac: Some(facts.mac),
        newcomer: false,
        likeness: Likeness::default(),
    }
}
