//! What of a window goes into the journal.

use super::{Analysis, Output};
use crate::alert::candidate::Candidate;
use crate::features::facts::{FlowFacts, HostFacts};
use crate::features::link::LinkFacts;
use crate::features::link::Mac;
use crate::features::matrix::Matrix;
use crate::features::rows::Window;
use crate::journal::record::quantise;
use crate::journal::{self, Key, Layout, Row, Sample};
use crate::score::scorer::{KINDS, Kind, ScoreState, Scorer};
use crate::status::ModelState;

/// Attacks of one window that rows are compared with.
const MOST_CAUSES: usize = 64;

impl Analysis {
    /// Asks for [`Output::journal`].
    pub fn keep_journal(&mut self, sample: Sample) {
        self.journal = Some(sample);
    }

    /// What the rows of this program consist of.
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (kind, model) in KINDS.into_iter().zip(&self.scorer.models) {
            let features = kind.features().iter().map(|feature| feature.name.to_owned());
            let members = model.members.iter().map(|member| member.group.name().to_owned());
            layout.features[kind as usize] = features.collect();
            layout.members[kind as usize] = members.collect();
        }
        layout
    }

    /// The window is judged, by a model in this state: what was offered of it goes out.
    pub(super) fn close_journal(&mut self, window: Window, state: ScoreState, output: &mut Output) {
        let Some(sample) = &mut self.journal else { return };
        let (state, threshold) = match state {
            ScoreState::Warming { .. } => (ModelState::Warming, 0.0),
            ScoreState::Calibrating { .. } => (ModelState::Calibrating, 0.0),
            ScoreState::Active { threshold } => (ModelState::Active, threshold as f32),
        };
        output.journal.push(journal::Window {
            start: window.start,
            end: window.end,
            state,
            generation: self.scorer.generation(),
            threshold,
            scored: sample.offered(),
            rows: sample.take(),
        });
    }
}

/// Says of the rows kept so far which attack they are part of, and who is not to be learned from.
pub(super) fn mark(sample: &mut Sample, found: &[Candidate], suspect: impl Fn(&[u8; 16]) -> bool) {
    for row in sample.rows_mut() {
        let [source, destination] = match row.key {
            Key::Flow { src, dst, .. } => [src, dst],
            Key::Host { address } => [address; 2],
            Key::Link { source, address } => [Mac(source).link_local(), address.unwrap_or_default()],
        };
        row.suspect = suspect(&source) || suspect(&destination);
        let cause = found.iter().take(MOST_CAUSES).find(|candidate| {
            let is = |wanted: Option<[u8; 16]>, address| wanted.is_none_or(|wanted| wanted == address);
            let verdict = &candidate.verdict;
            match row.key {
                Key::Flow { .. } => is(verdict.source, source) && is(verdict.destination, destination),
                Key::Host { .. } => verdict.source == Some(source) || verdict.destination == Some(source),
                Key::Link { source: mac, .. } => candidate.mac == Some(Mac(mac)),
            }
        });
        row.alert = cause.filter(|_| row.unusual).map(|candidate| candidate.verdict.kind);
    }
}

/// What a row is about.
pub(super) trait About {
    const KIND: Kind;
    fn key(&self) -> Key;
    /// Packets and bytes, each from it and to it.
    fn volume(&self) -> [[u64; 2]; 2];
}

impl About for FlowFacts {
    const KIND: Kind = Kind::Flow;

    fn key(&self) -> Key {
        let FlowFacts { src, src_port, dst, dst_port, .. } = *self;
        Key::Flow { src, src_port, dst, dst_port, proto: self.key.proto }
    }

    fn volume(&self) -> [[u64; 2]; 2] {
        [self.window.packets, self.window.bytes]
    }
}

impl About for HostFacts {
    const KIND: Kind = Kind::Host;

    fn key(&self) -> Key {
        Key::Host { address: self.address }
    }

    fn volume(&self) -> [[u64; 2]; 2] {
        [self.packets, self.bytes]
    }
}

impl About for LinkFacts {
    const KIND: Kind = Kind::Link;

    fn key(&self) -> Key {
        Key::Link { source: self.mac.0, address: self.address }
    }

    fn volume(&self) -> [[u64; 2]; 2] {
        [[self.frames, 0], [self.bytes, 0]]
    }
}

/// Offers a row that was scored: what it is about, its place in a portion, its score and whether that is unusual.
pub(super) fn offer<F: About>(
    sample: &mut Option<Sample>,
    scorer: &mut Scorer,
    facts: &F,
    (portion, row): (&Matrix, usize),
    (score, unusual): (f32, bool),
) {
    let Some(sample) = sample else { return };
    sample.offer(F::KIND as usize, unusual, score, || {
        let features: Vec<f32> = portion.row(row).collect();
        let [packets, bytes] = facts.volume();
        Row {
            key: facts.key(),
            packets,
            bytes,
            score,
            members: scorer.member_scores(&features, F::KIND),
            features: features.into_iter().map(quantise).collect(),
            weight: 1.0,
            unusual,
            suspect: false,
            alert: None,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::AnalysisConfig;
    use crate::analysis::traffic::{Traffic, attacks};
    use crate::capture::Tick;
    use crate::journal::JournalConfig;

    #[test]
    fn all_that_is_unusual_and_a_sample_of_the_rest_are_kept() {
        let mut traffic = Traffic::new(3);
        traffic.ordinary(100.0);
        attacks(&mut traffic, 42.0, 16.0);
        let config = JournalConfig { ordinary_rows: 9, unusual_rows: 1000, ..JournalConfig::default() };
        let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
        analysis.keep_journal(Sample::new(&config, 1));
        let layout = analysis.layout();
        let (mut scored, mut stands_for, mut alerted, mut suspects) = (0, 0.0, 0, 0);
        for tick in traffic.ticks() {
            analysis.flows(&tick.deltas);
            let output = analysis.tick(&Tick { time: tick.time, ..Tick::default() }).unwrap();
            for window in &output.journal {
                scored += window.scored.iter().sum::<u64>();
                for row in &window.rows {
                    let kind = row.key.kind();
                    assert_eq!(row.features.len(), layout.features[kind].len());
                    assert_eq!(row.members.len(), layout.members[kind].len());
                    let above = window.threshold > 0.0 && row.score > window.threshold;
                    assert!(
                        row.unusual == above && (!above || row.weight == 1.0) && row.weight >= 0.0,
                        "{row:?}"
                    );
                    assert!(row.alert.is_none() || row.unusual);
                    stands_for += f64::from(row.weight);
                    alerted += u64::from(row.alert.is_some());
                    suspects += u64::from(row.suspect);
                }
                let ordinary = window.rows.iter().filter(|row| !row.unusual && row.weight > 0.0).count();
                assert!(ordinary <= 9, "{ordinary}");
            }
        }
        let (_, bins, alerts) = analysis.bins();
        assert_eq!(scored, bins.scored);
        assert!((stands_for / scored as f64 - 1.0).abs() < 1e-4, "{stands_for} of {scored}");
        assert!(alerted >= alerts.stored && suspects > 0, "{alerted} {alerts:?} {suspects}");
    }
}
