//! What alerts give as reasons, held against the model: shares add up, the feature named first made the score, and sampled
//! Shapley values say the same.

use super::tests::drained;
use super::traffic::{Traffic, attacks};
use super::{Analysis, AnalysisConfig};
use crate::alert::ThreatType;
use crate::features::spec::Feature;
use crate::score::explain::Explanation;
use crate::score::random::Random;
use crate::score::scorer::{Kind, Phase};

/// Rows looked at.
const ROWS: usize = 1000;
/// Of which so many are held against Shapley values, of so many orders of features each.
const SAMPLED: usize = 40;
const ORDERS: usize = 60;

struct Tally {
    rows: usize,
    lowered: usize,
    accepted: usize,
    accepted_fits: usize,
    told: usize,
    sampled: usize,
    same_top: usize,
    distance: f64,
}

fn place(features: &[Feature], name: &str) -> usize {
    features.iter().position(|feature| feature.name == name).unwrap()
}

/// The row with a feature as the model expected it.
fn with(features: &[Feature], row: &[f32], name: &str, value: f64) -> Vec<f32> {
    let (mut row, place) = (row.to_vec(), place(features, name));
    row[place] = features[place].encode(value);
    row
}

fn check(analysis: &mut Analysis, kind: Kind, row: &[f32], random: &mut Random, tally: &mut Tally) {
    let threshold = analysis.scorer.threshold();
    let explained = analysis.scorer.explain(row, kind, 5);
    let model = analysis.scorer.model(kind);
    // What only a rule calls unusual has the rule as its reason.
    if explained.score <= threshold {
        return;
    }
    tally.rows += 1;
    let features = model.features;
    let sum: f64 = explained.shares.iter().map(|share| share.share).sum();
    assert!((sum - 1.0).abs() < 1e-4, "shares add up to {sum}");
    let score = f64::from(model.score_row(row.iter().copied()));
    let added: f64 = explained.shares.iter().map(|share| share.share * explained.score).sum();
    assert!((added - score).abs() < 1e-4 * score.abs(), "{added} is not {score}");

    let top = &explained.shares[0];
    let without = with(features, row, &top.feature, top.expected);
    let lowered = model.score_row(without.into_iter()) < score as f32;
    tally.lowered += usize::from(lowered);
    if let Some(accepted) = top.accepted {
        tally.accepted += 1;
        let tried = with(features, row, &top.feature, accepted);
        tally.accepted_fits += usize::from(f64::from(model.score_row(tried.into_iter())) <= threshold + 0.05);
    }
    if tally.sampled < SAMPLED && tally.rows.is_multiple_of(ROWS / SAMPLED) {
        shapley(analysis, kind, row, &explained, random, tally);
    }
}

/// Shapley values of the member's value before its logarithm, by sampled orders of its features: what a feature adds when
/// it turns from expected to seen, on average over what turned before it.
fn shapley(
    analysis: &mut Analysis,
    kind: Kind,
    row: &[f32],
    explained: &Explanation,
    random: &mut Random,
    tally: &mut Tally,
) {
    let model = analysis.scorer.model(kind);
    let features = model.features;
    let mut places: Vec<usize> =
        explained.shares.iter().map(|share| place(features, &share.feature)).collect();
    let expected: Vec<f32> = explained
        .shares
        .iter()
        .zip(&places)
        .map(|(share, &at)| features[at].encode(share.expected))
        .collect();
    let mut base = row.to_vec();
    places.iter().zip(&expected).for_each(|(&at, &value)| base[at] = value);
    let mut gains = vec![0.0f64; features.len()];
    for _ in 0..ORDERS {
        for last in (1..places.len()).rev() {
            places.swap(last, random.below(last + 1));
        }
        let mut tried = base.clone();
        let mut before = model.sum_of(explained.member, &tried);
        for &at in &places {
            tried[at] = row[at];
            let after = model.sum_of(explained.member, &tried);
            gains[at] += f64::from(after - before);
            before = after;
        }
    }
    let total: f64 = gains.iter().sum();
    let of = |name: &str| gains[place(features, name)] / total;
    let best = (0..gains.len()).max_by(|&one, &other| gains[one].total_cmp(&gains[other])).unwrap();
    tally.sampled += 1;
    tally.same_top += usize::from(features[best].name == explained.shares[0].feature);
    tally.distance +=
        explained.shares.iter().map(|share| (share.share - of(&share.feature)).abs()).sum::<f64>() / 2.0;
}

#[test]
fn reasons_hold() {
    let mut random = Random::new(7);
    let mut tally = Tally {
        rows: 0,
        lowered: 0,
        accepted: 0,
        accepted_fits: 0,
        told: 0,
        sampled: 0,
        same_top: 0,
        distance: 0.0,
    };
    for seed in 0.. {
        let mut traffic = Traffic::new(seed);
        traffic.ordinary(125.0);
        attacks(&mut traffic, 42.0, 16.0);
        let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
        for tick in &traffic.ticks() {
            let output = drained(&mut analysis, tick);
            for raised in output.alerts {
                let details = &raised.alert.details;
                let sum: f64 = details.explanation.iter().map(|share| share.share).sum();
                assert!((sum - 1.0).abs() < 1e-4, "{details:?}");
                if raised.alert.threat_type == ThreatType::Anomaly && tally.told < 5 {
                    tally.told += 1;
                    println!("{}", details.narrative);
                }
            }
            if output.windows == 0 || analysis.scorer.phase != Phase::Active {
                continue;
            }
            let flows: Vec<Vec<f32>> = analysis.work.flows.iter().map(|row| row.features.to_vec()).collect();
            let hosts: Vec<Vec<f32>> = analysis.work.hosts.iter().map(|row| row.features.to_vec()).collect();
            // A flood's flows are all alike: a few of them, so that every attack has its say.
            for row in flows.iter().take(12) {
                check(&mut analysis, Kind::Flow, row, &mut random, &mut tally);
            }
            for row in hosts.iter().take(12) {
                check(&mut analysis, Kind::Host, row, &mut random, &mut tally);
            }
        }
        if tally.rows >= ROWS {
            break;
        }
        assert!(seed < 40, "only {} rows", tally.rows);
    }
    println!(
        "{} rows; without the first feature lower {}; accepted values {} of which hold {}; Shapley: same first feature {} \
         of {}, mean distance of shares {:.3}",
        tally.rows,
        tally.lowered,
        tally.accepted,
        tally.accepted_fits,
        tally.same_top,
        tally.sampled,
        tally.distance / tally.sampled as f64
    );
    assert!(tally.lowered * 100 >= tally.rows * 95);
    assert_eq!(tally.accepted_fits, tally.accepted);
    assert!(tally.same_top * 10 >= tally.sampled * 8);
}
