//! Closes a window: rows are made, scored and judged in portions that fit into a cache, and learned from.
//!
//! Everything a window needs is kept for the next one: once the traffic is what it was, closing a window allocates
//! nothing for a flow.

use super::exemplars::Exemplars;
use super::{Analysis, Output, journal, scored, top};
use crate::alert::candidate::{Candidate, Unusual, UnusualFlow, UnusualHost, UnusualLink, candidates};
use crate::alert::fingerprint::fingerprint;
use crate::alert::link_rules::judge_link;
use crate::alert::narrative::because;
use crate::alert::report::Reasons;
use crate::alert::rules::{Verdict, judge_flow, judge_host};
use crate::alert::{Neighbour, Raised, Share, ThreatType};
use crate::features::ahead::AT_ONCE;
use crate::features::facts::FlowFacts;
use crate::features::matrix::Matrix;
use crate::features::memory::PairKey;
use crate::features::rows::{Active, Rows, Window};
use crate::features::sketch::mix_address;
use crate::flow::is_group;
use crate::flow::table::{Flow, Grown};
use crate::score::ScoreError;
use crate::score::explain::Explanation;
use crate::score::lessons::Hold;
use crate::score::scorer::{KINDS, Kind, Phase};

/// Features named in an alert.
const EXPLAINED: usize = 5;
/// Past alerts that looked alike, named in an alert.
const NEIGHBOURS: usize = 2;
/// Flows of a window whose latest packet is told, for the delay from packet to score.
const TIMED: usize = 64;

/// What is used again from window to window.
pub(super) struct Workshop {
    rows: Rows,
    /// Of each kind, for one portion.
    portions: [Matrix; KINDS.len()],
    /// Of each kind, in the order of the rows.
    scores: [Vec<f32>; KINDS.len()],
    /// Features of flows, row by row, where they are asked for.
    kept: Vec<f32>,
    /// Of the portion at hand, and of longer ones before.
    facts: Vec<FlowFacts>,
    pub(super) flows: Vec<UnusualFlow>,
    pub(super) hosts: Vec<UnusualHost>,
    links: Vec<UnusualLink>,
    pub(super) exemplars: Exemplars,
    /// Flows the table had no room for.
    pub(super) beyond: Vec<(Flow, Grown)>,
}

impl Workshop {
    pub(super) fn new() -> Workshop {
        Workshop {
            rows: Rows::new(),
            portions: KINDS.map(|kind| Matrix::new(kind.features())),
            scores: Default::default(),
            kept: Vec::new(),
            facts: Vec::new(),
            flows: Vec::new(),
            hosts: Vec::new(),
            links: Vec::new(),
            exemplars: Exemplars::default(),
            beyond: Vec::new(),
        }
    }
}

impl Analysis {
    pub(super) fn close_window(&mut self, window: Window, output: &mut Output) -> Result<(), ScoreError> {
        let state = self.scorer.state();
        self.judge_listed(window, output);
        let closed =
            if std::mem::take(&mut self.resumed) { Ok(()) } else { self.judge_window(window, output) };
        // Whatever happened, the next window begins without this one's flows.
        self.work.beyond.clear();
        self.flows.next_window();
        self.close_journal(window, state, output);
        closed
    }

    fn judge_window(&mut self, window: Window, output: &mut Output) -> Result<(), ScoreError> {
        self.score_window(window)?;
        let work = &mut self.work;
        let active = Active { table: &mut self.flows, beyond: &mut work.beyond };
        let (rows, scores) = (&work.rows, &work.scores);
        output.exemplars.append(&mut work.exemplars.rows);
        let judging = self.scorer.phase == Phase::Active;
        let threshold = self.scorer.threshold();
        let mut found: Vec<Candidate> = Vec::new();
        if judging {
            found =
                candidates(&work.flows, &work.hosts, &work.links, threshold, &self.alert, self.head.as_ref());
            output.suspects.extend(found.iter().filter_map(|candidate| candidate.verdict.source));
            for candidate in &mut found {
                candidate.tunnel = candidate.key.as_ref().and_then(|key| active.table.tunnel(key));
            }
            for candidate in &found {
                let (scorer, past, row) = (&mut self.scorer, &self.past, candidate.row);
                let (head, least) = (self.head.as_ref(), self.alert.likeness);
                let (mut member, mut print) = ("", Vec::new());
                let alert = self.book.consider(candidate, window.end, |candidate| {
                    let features: &[f32] = match candidate.kind {
                        Kind::Flow => &work.flows[row].features,
                        Kind::Host => &work.hosts[row].features,
                        Kind::Link => &work.links[row].features,
                    };
                    let explained = scorer.explain(features, candidate.kind, EXPLAINED);
                    member = explained.member;
                    let seems =
                        candidate.likeness.best(least).map_or(candidate.verdict.kind, |seems| seems.0);
                    print = fingerprint(candidate.kind, &explained.deviations, seems);
                    let neighbours = past.neighbours(&print, NEIGHBOURS);
                    let types = head.map(|head| head.name.clone()).unwrap_or_default();
                    Reasons { types, ..reasons(candidate, explained, neighbours, scorer.name()) }
                });
                let Some(alert) = alert else { continue };
                if candidate.verdict.kind == ThreatType::Anomaly {
                    self.scorer.told(candidate.kind, member, candidate.told_of());
                }
                if candidate.kind == Kind::Flow {
                    let facts = &work.flows[row].facts;
                    let key = PairKey::new(facts.src, facts.dst, facts.dst_port, facts.key.proto);
                    self.features.memory.suspect(&key);
                }
                self.past.remember(&alert.threat_id, alert.threat_type, &alert.timestamp, print.clone());
                let evidence =
                    if self.keep.evidence { self.witness.raised(&alert, window.end) } else { Vec::new() };
                output.alerts.push(Raised { alert, fingerprint: print, evidence });
            }
        }
        if self.keep.evidence {
            output.evidence.extend(self.witness.gathered(window.end));
        }
        if self.keep.top {
            let threshold = judging.then_some(threshold);
            output.top = Some(top::top(rows, &active, [&scores[0], &scores[1]], threshold));
        }
        if self.keep.scores {
            let state = self.scorer.state();
            scored::scored(rows, &scores[0], &work.kept, &active, &state, &found, &mut output.scores);
        }
        let step = rows.flows.len().div_ceil(TIMED).max(1);
        output.latest.extend(rows.flows.iter().step_by(step).map(|&place| active.get(place).0.last));

        let mut attackers = self.book.attackers(window.end);
        attackers.extend(&self.intel.met);
        let suspect = |address: &[u8; 16]| !attackers.is_empty() && attackers.contains(address);
        let suspects = |flow: &Flow| suspect(&flow.src().0) || suspect(&flow.dst().0);
        for (row, (&place, &score)) in rows.flows.iter().zip(&scores[0]).enumerate() {
            if row % AT_ONCE == 0 {
                self.features.load(&active, &rows.flows[row..rows.flows.len().min(row + AT_ONCE)]);
            }
            let (flow, _) = active.get(place);
            let ordinary = !judging || f64::from(score) <= self.scorer.learn_below();
            let accepted = if is_group(&flow.dst().0) {
                // What is called out to everybody is news once.
                !self.features.is_first_window(flow, window.end)
            } else {
                f64::from(score) <= threshold && !self.features.is_new(flow, window.end)
            };
            if (ordinary || accepted) && !suspects(flow) {
                self.features.absorb(flow);
            } else if !ordinary {
                let facts = self.features.flow_facts(rows, active.get(place));
                let (flow, _) = active.get(place);
                self.features.hold_surprise(&facts, flow);
                if !suspects(flow) {
                    self.features.note_novelty(&facts, flow, window.end);
                }
            }
        }
        if let Some(sample) = &mut self.journal {
            journal::mark(sample, &found, suspect);
        }
        let seed = self.seed;
        let who = |row: usize, kind: Kind| {
            let (source, suspicious) = match kind {
                Kind::Flow => {
                    let (flow, _) = active.get(rows.flows[row]);
                    (flow.src().0, suspects(flow))
                }
                Kind::Host => (rows.hosts[row].address, suspect(&rows.hosts[row].address)),
                Kind::Link => {
                    let facts = &rows.links[row];
                    let address = facts.mac.link_local();
                    (address, suspect(&address) || facts.address.is_some_and(|own| suspect(&own)))
                }
            };
            (!suspicious).then(|| mix_address(seed, &source))
        };
        let hold = match self.ledger_off {
            true => Some(Hold::Ledger),
            false => self.book.attack_goes_on(window.end).then_some(Hold::Attack),
        };
        if let Some(notice) = self.scorer.learn(rows, [&scores[0], &scores[1], &scores[2]], hold, who)? {
            self.features.memory.warming = false;
            if self.scorer.phase == Phase::Active {
                // Whatever was seen up to here is familiar.
                self.features.memory.learned_until = window.end + 1;
            }
            output.notices.push(notice);
        }
        output.updates.extend(self.book.updates(window.end));
        output.windows += 1;
        Ok(())
    }

    /// Makes and scores the rows, a portion at a time; keeps those that are unusual.
    fn score_window(&mut self, window: Window) -> Result<(), ScoreError> {
        let work = &mut self.work;
        let mut active = Active { table: &mut self.flows, beyond: &mut work.beyond };
        self.features.close(window, &mut active, &mut work.rows);
        let rows = &work.rows;
        self.scorer.begin(rows);
        let judging = self.scorer.phase == Phase::Active;
        work.scores.iter_mut().for_each(Vec::clear);
        work.links.clear();
        work.kept.clear();
        let [flow_scores, host_scores, link_scores] = &mut work.scores;
        work.flows.clear();
        work.hosts.clear();
        let [portion, host_portion, link_portion] = &mut work.portions;

        let threshold = self.scorer.threshold();
        work.exemplars.begin();
        for places in rows.flows.chunks(self.scorer.portion(self.portion)) {
            portion.clear();
            for (group, first) in places.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
                self.features.load(&active, group);
                for (&place, at) in group.iter().zip(first..) {
                    match work.facts.get_mut(at) {
                        Some(facts) => self.features.tell(rows, active.get(place), facts),
                        None => work.facts.push(self.features.flow_facts(rows, active.get(place))),
                    }
                    portion.push(&work.facts[at].values());
                }
            }
            portion.encode();
            if self.keep.features {
                (0..portion.rows()).for_each(|row| work.kept.extend(portion.row(row)));
            }
            let first = flow_scores.len();
            self.scorer.score(portion, Kind::Flow, flow_scores);
            if let Some(shadow) = self.shadow.as_mut().filter(|_| judging) {
                shadow.score(portion, Kind::Flow, &flow_scores[first..], threshold);
            }
            if !judging && self.journal.is_none() {
                continue;
            }
            for (row, (facts, score)) in work.facts.iter().zip(&mut flow_scores[first..]).enumerate() {
                let verdict = judge_flow(facts, &self.alert).filter(|_| judging);
                let unusual = judging && lift(score, verdict.as_ref(), threshold);
                if judging {
                    let how = [unusual, verdict.is_some()];
                    work.exemplars.flow(facts, (&*portion, row), window.end, how);
                }
                journal::offer(
                    &mut self.journal,
                    &mut self.scorer,
                    facts,
                    (&*portion, row),
                    (*score, unusual),
                );
                if unusual {
                    work.flows.push(kept(facts.clone(), portion, row, *score));
                }
            }
        }
        for facts in rows.hosts.chunks(self.portion) {
            host_portion.clear();
            facts.iter().for_each(|facts| host_portion.push(&facts.values()));
            host_portion.encode();
            let first = host_scores.len();
            self.scorer.score(host_portion, Kind::Host, host_scores);
            if let Some(shadow) = self.shadow.as_mut().filter(|_| judging) {
                shadow.score(host_portion, Kind::Host, &host_scores[first..], threshold);
            }
            if !judging && self.journal.is_none() {
                continue;
            }
            for (row, (facts, score)) in facts.iter().zip(&mut host_scores[first..]).enumerate() {
                let verdict = judge_host(facts, &self.alert).filter(|_| judging);
                let unusual = judging && lift(score, verdict.as_ref(), threshold);
                let place = (&*host_portion, row);
                if judging {
                    work.exemplars.host(facts, place, window.end, [unusual, verdict.is_some()]);
                }
                journal::offer(&mut self.journal, &mut self.scorer, facts, place, (*score, unusual));
                if unusual {
                    work.hosts.push(kept(facts.clone(), host_portion, row, *score));
                }
            }
        }
        for facts in rows.links.chunks(self.portion) {
            link_portion.clear();
            facts.iter().for_each(|facts| link_portion.push(&facts.values()));
            link_portion.encode();
            let first = link_scores.len();
            self.scorer.score(link_portion, Kind::Link, link_scores);
            if let Some(shadow) = self.shadow.as_mut().filter(|_| judging) {
                shadow.score(link_portion, Kind::Link, &link_scores[first..], threshold);
            }
            if !judging && self.journal.is_none() {
                continue;
            }
            for (row, (facts, score)) in facts.iter().zip(&mut link_scores[first..]).enumerate() {
                let unusual = judging && lift(score, judge_link(facts, &self.alert).as_ref(), threshold);
                let place = (&*link_portion, row);
                journal::offer(&mut self.journal, &mut self.scorer, facts, place, (*score, unusual));
                if unusual {
                    work.links.push(kept(facts.clone(), link_portion, row, *score));
                }
            }
        }
        Ok(())
    }
}

/// Whether a row is unusual. What is an attack by definition is one, however ordinary it was while the model learned:
/// its score is above the threshold by what was seen over what the definition asks for.
fn lift(score: &mut f32, verdict: Option<&Verdict>, threshold: f64) -> bool {
    if let Some(verdict) = verdict {
        *score = score.max((threshold + verdict.strength.max(1.0).log10()) as f32 + f32::EPSILON * 16.0);
    }
    f64::from(*score) > threshold
}

/// Why a candidate was one: its features' shares of the score, what the rule added to it, and the rest in one.
fn reasons(
    candidate: &Candidate,
    explained: Explanation,
    neighbours: Vec<Neighbour>,
    model: String,
) -> Reasons {
    let by_model = (explained.score / candidate.score).clamp(0.0, 1.0);
    let mut shares = explained.shares;
    shares.iter_mut().for_each(|share| share.share *= by_model);
    let others = shares.split_off(shares.len().min(EXPLAINED));
    let anomaly = candidate.verdict.kind == ThreatType::Anomaly;
    let because = if anomaly { because(&shares) } else { String::new() };
    if !others.is_empty() {
        shares.push(Share {
            feature: "other".to_owned(),
            unit: "features".to_owned(),
            value: others.len() as f64,
            share: others.iter().map(|other| other.share).sum(),
            ..Share::default()
        });
    }
    if by_model < 1.0 {
        shares.push(Share {
            feature: "rule".to_owned(),
            unit: "times what it asks for".to_owned(),
            value: candidate.verdict.strength,
            expected: 1.0,
            share: 1.0 - by_model,
            ..Share::default()
        });
    }
    let member = explained.member.to_owned();
    Reasons { model, types: String::new(), member, explanation: shares, neighbours, because }
}

fn kept<F, const N: usize>(facts: F, portion: &Matrix, row: usize, score: f32) -> Unusual<F, N> {
    let mut features = [0.0; N];
    features.iter_mut().zip(portion.row(row)).for_each(|(into, value)| *into = value);
    Unusual { facts, features, score }
}
