//! Scored flow windows, as `--scores` writes them.

use crate::alert::ThreatType;
use crate::alert::candidate::Candidate;
use crate::alert::report::confidence;
use crate::features::rows::{Active, Rows};
use crate::flow::ip;
use crate::score::scorer::{Kind, ScoreState};
use std::net::IpAddr;

/// A flow in a window, with its score. Index 0 is from the initiator, 1 towards it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredWindow {
    /// Nanoseconds since the Unix epoch.
    pub window_start: u64,
    /// Same.
    pub window_end: u64,
    /// The initiator.
    pub src: IpAddr,
    /// Its port.
    pub src_port: u16,
    /// The other side.
    pub dst: IpAddr,
    /// Its port.
    pub dst_port: u16,
    /// IP protocol number.
    pub proto: u8,
    /// In the window.
    pub packets: [u64; 2],
    /// In the window.
    pub bytes: [u64; 2],
    /// The score.
    pub score: f32,
    /// The threshold, 0 before the model is active.
    pub threshold: f64,
    /// `warming`, `calibrating` or `active`.
    pub state: &'static str,
    /// The attack it is part of.
    pub threat_type: Option<ThreatType>,
    /// How sure, 0 without a type.
    pub confidence: f64,
    /// The score is above the threshold, and the window shows an attack.
    pub alerted: bool,
    /// What it was scored by, each feature between 0 and 1; empty unless asked for.
    pub features: Vec<f32>,
}

/// Appends a window's flows, in the order of their rows.
pub(super) fn scored(
    rows: &Rows,
    scores: &[f32],
    features: &[f32],
    active: &Active<'_>,
    state: &ScoreState,
    found: &[Candidate],
    into: &mut Vec<ScoredWindow>,
) {
    let threshold = if let ScoreState::Active { threshold, .. } = state { *threshold } else { 0.0 };
    let width = Kind::Flow.features().len();
    for (row, (&place, &score)) in rows.flows.iter().zip(scores).enumerate() {
        let (flow, grown) = active.get(place);
        let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
        let cause = found.iter().take(64).find(|candidate| {
            let verdict = &candidate.verdict;
            let source = verdict.source.is_none_or(|source| source == src);
            let destination = verdict.destination.is_none_or(|destination| destination == dst);
            verdict.kind != ThreatType::Anomaly && source && destination
        });
        into.push(ScoredWindow {
            window_start: rows.window.start,
            window_end: rows.window.end,
            src: ip(&src),
            src_port,
            dst: ip(&dst),
            dst_port,
            proto: flow.key.proto,
            packets: grown.carried.packets,
            bytes: grown.carried.bytes,
            score,
            threshold,
            state: state.name(),
            threat_type: cause.map(|candidate| candidate.verdict.kind),
            confidence: cause.map_or(0.0, confidence),
            alerted: cause.is_some(),
            features: features.get(row * width..(row + 1) * width).unwrap_or_default().to_vec(),
        });
    }
}
