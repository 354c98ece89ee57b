//! Closes a window: rows are made, scored and judged in portions that fit into a cache, and learned from.
//!
//! Everything a window needs is kept for the next one: once the traffic is what it was, closing a window allocates
//! nothing for a flow.

use super::{Analysis, Output, scored};
use crate::alert::candidate::{Candidate, Unusual, UnusualFlow, UnusualHost, candidates};
use crate::features::matrix::Matrix;
use crate::features::rows::{Active, Rows, Window, pair_key};
use crate::features::sketch::mix_address;
use crate::features::spec;
use crate::flow::table::{Flow, Grown};
use crate::score::ScoreError;
use crate::score::scorer::Phase;

/// Features named in an alert.
const EXPLAINED: usize = 5;
/// Flows of a window whose latest packet is told, for the delay from packet to score.
const TIMED: usize = 64;

/// What is used again from window to window.
pub(super) struct Workshop {
    rows: Rows,
    /// Of flows and of hosts, for one portion.
    portions: [Matrix; 2],
    /// Of flows and of hosts, in the order of the rows.
    scores: [Vec<f32>; 2],
    flows: Vec<UnusualFlow>,
    hosts: Vec<UnusualHost>,
    /// Flows the table had no room for.
    pub(super) beyond: Vec<(Flow, Grown)>,
}

impl Workshop {
    pub(super) fn new() -> Workshop {
        Workshop {
            rows: Rows::new(),
            portions: [Matrix::new(&spec::FLOW), Matrix::new(&spec::HOST)],
            scores: [Vec::new(), Vec::new()],
            flows: Vec::new(),
            hosts: Vec::new(),
            beyond: Vec::new(),
        }
    }
}

impl Analysis {
    pub(super) fn close_window(&mut self, window: Window, output: &mut Output) -> Result<(), ScoreError> {
        let closed = self.judge_window(window, output);
        // Whatever happened, the next window begins without this one's flows.
        self.work.beyond.clear();
        self.flows.next_window();
        closed
    }

    fn judge_window(&mut self, window: Window, output: &mut Output) -> Result<(), ScoreError> {
        self.score_window(window)?;
        let work = &mut self.work;
        let active = Active { table: &mut self.flows, beyond: &mut work.beyond };
        let (rows, scores) = (&work.rows, &work.scores);
        let judging = self.scorer.phase == Phase::Active;
        let thresholds = [self.scorer.flow.threshold, self.scorer.host.threshold];
        let mut found: Vec<Candidate> = Vec::new();
        if judging {
            found = candidates(&work.flows, &work.hosts, thresholds, &self.alert);
            output.suspects.extend(found.iter().filter_map(|candidate| candidate.verdict.source));
            for candidate in &mut found {
                candidate.tunnel = candidate.key.as_ref().and_then(|key| active.table.tunnel(key));
            }
            let model = self.scorer.name();
            for candidate in &found {
                let (scorer, row) = (&mut self.scorer, candidate.row);
                let explain = |candidate: &Candidate| {
                    let features: &[f32] =
                        if candidate.is_host { &work.hosts[row].features } else { &work.flows[row].features };
                    scorer.explain(features, candidate.is_host, EXPLAINED)
                };
                let alert = self.book.consider(candidate, window.end, &model, explain)?;
                if alert.is_some() && !candidate.is_host {
                    self.features.memory.suspect(&pair_key(&work.flows[row].facts));
                }
                output.alerts.extend(alert);
            }
        }
        if self.keep.scores {
            scored::scored(rows, &scores[0], &active, &self.scorer.state(), &found, &mut output.scores);
        }
        let step = rows.flows.len().div_ceil(TIMED).max(1);
        output.latest.extend(rows.flows.iter().step_by(step).map(|&place| active.get(place).0.last));

        let attackers = self.book.attackers(window.end);
        let suspect = |address: &[u8; 16]| !attackers.is_empty() && attackers.contains(address);
        let suspects = |flow: &Flow| suspect(&flow.src().0) || suspect(&flow.dst().0);
        for (&place, &score) in rows.flows.iter().zip(&scores[0]) {
            let (flow, _) = active.get(place);
            if (!judging || f64::from(score) <= thresholds[0]) && !suspects(flow) {
                self.features.absorb(flow);
            }
        }
        let seed = self.seed;
        let who = |row: usize, is_host: bool| {
            if is_host {
                let address = &rows.hosts[row].address;
                return (!suspect(address)).then(|| mix_address(seed, address));
            }
            let (flow, _) = active.get(rows.flows[row]);
            (!suspects(flow)).then(|| mix_address(seed, &flow.src().0))
        };
        if let Some(notice) = self.scorer.learn(rows, [&scores[0], &scores[1]], who)? {
            self.features.memory.warming = false;
            if self.scorer.phase == Phase::Active {
                // Whatever was seen up to here is familiar.
                self.features.memory.learned_until = window.end + 1;
                self.features.links.learned_until = window.end + 1;
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
        let [flow_scores, host_scores] = &mut work.scores;
        flow_scores.clear();
        host_scores.clear();
        work.flows.clear();
        work.hosts.clear();
        let [portion, host_portion] = &mut work.portions;

        for places in rows.flows.chunks(self.portion) {
            portion.clear();
            for &place in places {
                portion.push(&self.features.flow_facts(rows, active.get(place)).values());
            }
            portion.encode();
            let first = flow_scores.len();
            self.scorer.score(portion, false, flow_scores)?;
            let threshold = self.scorer.flow.threshold;
            for (row, &score) in flow_scores[first..].iter().enumerate() {
                if judging && f64::from(score) > threshold {
                    let facts = self.features.flow_facts(rows, active.get(places[row]));
                    work.flows.push(unusual(facts, portion, row, score));
                }
            }
        }
        for facts in rows.hosts.chunks(self.portion) {
            host_portion.clear();
            facts.iter().for_each(|facts| host_portion.push(&facts.values()));
            host_portion.encode();
            let first = host_scores.len();
            self.scorer.score(host_portion, true, host_scores)?;
            let threshold = self.scorer.host.threshold;
            for (row, &score) in host_scores[first..].iter().enumerate() {
                if judging && f64::from(score) > threshold {
                    work.hosts.push(unusual(facts[row].clone(), host_portion, row, score));
                }
            }
        }
        Ok(())
    }
}

fn unusual<F, const N: usize>(facts: F, portion: &Matrix, row: usize, score: f32) -> Unusual<F, N> {
    let mut features = [0.0; N];
    features.iter_mut().zip(portion.row(row)).for_each(|(into, value)| *into = value);
    Unusual { facts, features, score }
}
