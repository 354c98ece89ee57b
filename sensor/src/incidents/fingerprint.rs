//! Fingerprints (see [`crate::alert::fingerprint`]) as incidents hold them: from names, as bytes, compared.
//!
//! Fingerprints of other lengths come from versions with other features and are never compared.

use crate::alert::ThreatType;
use crate::alert::fingerprint::{TYPES, fingerprint, length};
use crate::config::nearest;
use crate::score::scorer::KINDS;

/// Longer ones are nobody's.
const LONGEST: usize = 4096;

/// The fingerprint of which only the type is known; none for `Anomaly`, which is no type: everything is like everything.
pub(super) fn of_type(threat_type: ThreatType) -> Option<Vec<f32>> {
    let mut fingerprint = vec![0.0; length()];
    let at = TYPES.iter().position(|kind| *kind == threat_type && *kind != ThreatType::Anomaly)?;
    *fingerprint.iter_mut().rev().nth(TYPES.len() - 1 - at)? = 1.0;
    Some(fingerprint)
}

/// A fingerprint from names: `host.ports`, `flow.recent_short`, `link.addresses_contested`. An alert is about one kind of
/// row; what is named of several kinds is like alerts about each of them.
pub(super) fn of_features<'a>(
    features: impl Iterator<Item = (&'a str, f32)>,
    threat_type: Option<ThreatType>,
) -> Result<Vec<f32>, String> {
    let mut deviations: Vec<Vec<f32>> = KINDS.iter().map(|kind| vec![0.0; kind.features().len()]).collect();
    let mut named = [false; KINDS.len()];
    for (name, value) in features {
        let Some((kind, at)) = position(name) else { return Err(unknown(name)) };
        if !value.is_finite() {
            return Err(format!("{name} = {value} is no number"));
        }
        named[kind] = true;
        if let Some(place) = deviations[kind].get_mut(at) {
            *place = value;
        }
    }
    let mut sum = vec![0.0; length()];
    for (kind, deviations) in deviations.iter().enumerate().filter(|(kind, _)| named[*kind]) {
        let one = fingerprint(KINDS[kind], deviations, threat_type.unwrap_or(ThreatType::Anomaly));
        sum.iter_mut().zip(one).for_each(|(sum, value)| *sum += value);
    }
    Ok(sum)
}

fn unknown(name: &str) -> String {
    let shown = crate::telemetry::printable(name, 60);
    let names: Vec<String> = names().map(|(_, _, name)| name).collect();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("there is no feature {shown:?}; did you mean {near}?"),
        None => format!("there is no feature {shown:?}: write them as host.ports or flow.packets_out"),
    }
}

/// The kind of row and the place in it.
fn position(name: &str) -> Option<(usize, usize)> {
    names().find(|(_, _, known)| known == name).map(|(kind, at, _)| (kind, at))
}

fn names() -> impl Iterator<Item = (usize, usize, String)> {
    let kinds = ["flow", "host", "link"];
    KINDS.iter().zip(kinds).enumerate().flat_map(|(kind, (row, name))| {
        let features = row.features().iter().enumerate();
        features.map(move |(at, feature)| (kind, at, format!("{name}.{}", feature.name)))
    })
}

/// The form in which fingerprints are compared: of length 1. `None` when nothing is in it.
pub(super) fn direction(fingerprint: &[f32]) -> Option<Vec<f32>> {
    if fingerprint.len() > LONGEST || fingerprint.iter().any(|value| !value.is_finite()) {
        return None;
    }
    // In f64, where no square of an f32 overflows.
    let length = fingerprint.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    (length > 1e-9).then(|| fingerprint.iter().map(|value| (f64::from(*value) / length) as f32).collect())
}

/// As it is stored: little endian.
pub(super) fn to_bytes(fingerprint: &[f32]) -> Vec<u8> {
    fingerprint.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Back from [`to_bytes`]; `None` for what is none.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    let fits = rest.is_empty() && !values.is_empty() && values.len() <= LONGEST;
    fits.then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// The cosine of the angle between two directions of the same length. Sixteen sums, so that the compiler uses vectors.
#[inline]
pub(super) fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let (chunks, rest) = one.as_chunks::<16>();
    let (other_chunks, other_rest) = other.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for (a, b) in chunks.iter().zip(other_chunks) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest.iter().zip(other_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
