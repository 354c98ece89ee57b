//! How an alert looks, as numbers that can be compared: for each feature of its kind of row how far it was from what the
//! model expected, and its type. Features have fixed ranges and deviations are in usual ones, so that fingerprints of
//! different days, and of different models of the same version, compare.

use super::{Neighbour, ThreatType};
use crate::score::scorer::KINDS;
use crate::score::scorer::Kind;
use std::collections::VecDeque;

/// Every type, in the order of its place in a fingerprint.
pub const TYPES: [ThreatType; 9] = [
    ThreatType::DoS,
    ThreatType::DDoS,
    ThreatType::PortScan,
    ThreatType::WebAttack,
    ThreatType::Infiltration,
    ThreatType::Bot,
    ThreatType::BruteForce,
    ThreatType::Exfiltration,
    ThreatType::Anomaly,
];

/// What the type weighs beside the features, whose squares add up to 1.
const TYPE_WEIGHT: f32 = 0.7;
/// Past alerts that are remembered.
const REMEMBERED: usize = 1000;
/// Less alike is no neighbour.
const ALIKE: f64 = 0.5;

/// Numbers in a fingerprint: the features of all kinds of rows, then the types.
pub fn length() -> usize {
    KINDS.iter().map(|kind| kind.features().len()).sum::<usize>() + TYPES.len()
}

/// The fingerprint of a row of a kind: `deviations` as [`crate::score::explain::Explanation::deviations`]. Its length is
/// 1, so that the cosine of two is their product.
pub fn fingerprint(kind: Kind, deviations: &[f32], threat: ThreatType) -> Vec<f32> {
    let mut print = Vec::with_capacity(length());
    let size = deviations.iter().map(|one| one * one).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    for one in KINDS {
        if one == kind {
            print.extend(deviations.iter().map(|deviation| deviation / size));
        } else {
            print.extend(one.features().iter().map(|_| 0.0));
        }
    }
    print.extend(TYPES.iter().map(|&one| if one == threat { TYPE_WEIGHT } else { 0.0 }));
    let size = print.iter().map(|one| one * one).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    print.iter_mut().for_each(|one| *one /= size);
    print
}

/// The latest alerts, to be compared with a new one.
#[derive(Debug, Default)]
pub struct Past(VecDeque<(Neighbour, Vec<f32>)>);

impl Past {
    /// The past alerts most like this one, `most` at most.
    pub fn neighbours(&self, print: &[f32], most: usize) -> Vec<Neighbour> {
        let alike = |(past, other): &(Neighbour, Vec<f32>)| {
            let cosine: f32 = print.iter().zip(other).map(|(one, other)| one * other).sum();
            let similarity = (f64::from(cosine.clamp(0.0, 1.0)) * 1000.0).round() / 1000.0;
            Neighbour { similarity, ..past.clone() }
        };
        let mut found: Vec<Neighbour> =
            self.0.iter().map(alike).filter(|neighbour| neighbour.similarity >= ALIKE).collect();
        // The latest first among equals.
        found.reverse();
        found.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
        found.truncate(most);
        found
    }

    /// Remembers an alert, and forgets the oldest.
    pub fn remember(&mut self, threat_id: &str, threat_type: ThreatType, timestamp: &str, print: Vec<f32>) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        let (threat_id, timestamp) = (threat_id.to_owned(), timestamp.to_owned());
        self.0.push_back((Neighbour { threat_id, threat_type, timestamp, similarity: 0.0 }, print));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_is_what_deviates_alike() {
        let features = Kind::Host.features().len();
        let row =
            |at: usize| (0..features).map(|place| if place == at { 3.0 } else { 0.1 }).collect::<Vec<f32>>();
        let scan = fingerprint(Kind::Host, &row(1), ThreatType::PortScan);
        assert_eq!(scan.len(), length());
        let mut past = Past::default();
        past.remember(
            "one",
            ThreatType::PortScan,
            "",
            fingerprint(Kind::Host, &row(1), ThreatType::PortScan),
        );
        past.remember(
            "two",
            ThreatType::PortScan,
            "",
            fingerprint(Kind::Host, &row(7), ThreatType::PortScan),
        );
        past.remember("three", ThreatType::DoS, "", fingerprint(Kind::Flow, &[1.0; 61], ThreatType::DoS));
        let found = past.neighbours(&scan, 2);
        assert_eq!(found[0].threat_id, "one");
        assert_eq!(found[0].similarity, 1.0);
        assert!(found.len() == 1 || found[1].similarity < 0.6, "{found:?}");
    }
}
