use super::super::ThreatType::{Anomaly, BruteForce, DoS};
use super::super::fingerprint::TYPES;
use super::train::{Row, fit, measure};
use super::{Head, HeadError, Likeness, context};
use crate::score::random::Random;
use crate::score::scorer::Kind;

/// Rows of two classes and of none, told apart by their first two inputs with some noise.
fn rows(seed: u64, count: usize) -> Vec<Row> {
    let mut random = Random::new(seed);
    let mut unit = || random.below(1000) as f32 / 1000.0;
    let classes = [0, 6, 8];
    let row = |number: usize, noise: [f32; 4]| {
        let class = classes[number % 3];
        let at = |one: usize| if class == classes[one] { 0.5 } else { 0.0 };
        let inputs = vec![at(0) + noise[0] * 0.6, at(1) + noise[1] * 0.6, noise[2], 0.25];
        Row { inputs, class, weight: 1.0 + f64::from(noise[3]) }
    };
    (0..count).map(|number| row(number, [unit(), unit(), unit(), unit()])).collect()
}

const NAMES: [&str; 4] = ["one", "other", "noise", "same"];

#[test]
fn what_is_learned_is_right_calibrated_and_the_same_every_time() {
    let (rows, held_out, unseen) = (rows(1, 900), rows(2, 600), rows(3, 600));
    let weights = fit(&NAMES, &rows, &held_out, 0.0);
    assert_eq!(weights, fit(&NAMES, &rows, &held_out, 0.0));
    assert_eq!(fit(&NAMES, &rows, &held_out, 1.5).temperature, 1.5);
    let measured = measure(&weights, &unseen);
    assert!(measured.right > 0.8 && measured.calibration_error < 0.06, "{measured:?}");
    assert!(weights.weights.iter().all(|own| own[3] == 0.0), "what never varies weighs nothing");
    assert!(weights.weights[0][0] > 0.0 && weights.weights[6][1] > 0.0);
}

#[test]
fn the_shipped_weights_fit_this_version_and_are_calibrated() {
    let head = Head::shipped().unwrap();
    assert_eq!(head.name, "shipped");
    for weights in [&head.flow, &head.host] {
        assert!(weights.measured.calibration_error <= 0.15, "{:?}", weights.measured);
    }
    let bytes = head.encode().unwrap();
    assert_eq!(Head::decode(&bytes).unwrap(), Head::decode(include_bytes!("shipped.json")).unwrap());
}

#[test]
fn files_that_do_not_fit_are_refused_with_their_reason() {
    let head = Head::shipped().unwrap();
    let refused = |head: &Head| match Head::decode(&head.encode().unwrap()) {
        Err(HeadError::Unfit { what }) => what,
        other => panic!("{other:?}"),
    };
    let mut other = head.clone();
    other.flow.inputs[3] = "something".to_owned();
    assert_eq!(refused(&other), "its features are others");
    let mut other = head.clone();
    other.host.weights.pop();
    assert_eq!(refused(&other), "its shape is another one");
    let mut other = head.clone();
    other.flow.temperature = 0.0;
    assert_eq!(refused(&other), "a number in it is impossible");
    let text = String::from_utf8(head.encode().unwrap()).unwrap();
    let changed = text.replacen("0.", "1.", 1);
    assert!(matches!(Head::decode(changed.as_bytes()), Err(HeadError::Checksum { .. })));
    for end in (0..text.len()).step_by(97) {
        assert!(Head::decode(&text.as_bytes()[..end]).is_err());
    }
}

#[test]
fn several_rows_have_the_mean_of_their_opinions_and_none_has_none() {
    let opinion = |kind, chance: f32| {
        Likeness::of(TYPES.map(|one| if one == kind { chance } else { (1.0 - chance) / 8.0 }))
    };
    assert_eq!(Likeness::default().best(0.0), None);
    assert_eq!(opinion(DoS, 0.9).best(0.6), Some((DoS, 0.9)));
    assert_eq!(opinion(DoS, 0.5).best(0.6), None);
    assert_eq!(opinion(Anomaly, 0.9).best(0.6), None, "what looks like nothing has no type");
    let mut both = opinion(BruteForce, 0.9);
    both.add(&opinion(BruteForce, 0.7));
    assert_eq!(both.best(0.6), Some((BruteForce, 0.8)));
    assert_eq!(both.mean().best(0.6), Some((BruteForce, 0.8)));
    let head = Head::shipped().unwrap();
    assert_eq!(head.judge(Kind::Link, &[0.5; 23]).best(0.0), None);
    assert_eq!(context::names(Kind::Flow).len(), context::width(Kind::Flow));
}
