//! What an alert looks like, as numbers: for every feature of every kind of row how far it was from what the model
//! expected, signed and weighted, 0 for the kinds of rows that the alert is not about; then a 1 at its type.
//!
//! Fingerprints of other lengths come from versions with other features and are never compared.

use super::record::TYPES;
use crate::alert::ThreatType;
use crate::config::nearest;
use crate::features::spec::{FLOW, HOST, LINK};
use crate::score::scorer::Kind;

/// Numbers in a fingerprint of this version.
pub const LENGTH: usize = DEVIATIONS + TYPES.len();
/// Of which deviations.
const DEVIATIONS: usize = FLOW.len() + HOST.len() + LINK.len();
/// Longer ones are nobody's.
pub(super) const LONGEST: usize = 4096;

/// Where a kind of row begins.
const fn begin(kind: Kind) -> usize {
    match kind {
        Kind::Flow => 0,
        Kind::Host => FLOW.len(),
        Kind::Link => FLOW.len() + HOST.len(),
    }
}

/// The fingerprint of an alert about a row of this kind: `deviations` are those of its features in order.
pub fn of_row(kind: Kind, deviations: &[f32], threat_type: ThreatType) -> Vec<f32> {
    let mut fingerprint = of_type(Some(threat_type));
    let block = fingerprint.get_mut(begin(kind)..begin(kind) + kind.features().len()).unwrap_or_default();
    for (place, deviation) in block.iter_mut().zip(deviations) {
        *place = *deviation;
    }
    fingerprint
}

/// The fingerprint of which only the type is known.
pub fn of_type(threat_type: Option<ThreatType>) -> Vec<f32> {
    let mut fingerprint = vec![0.0; LENGTH];
    let at = TYPES.iter().position(|kind| Some(*kind) == threat_type);
    if let Some(place) = at.and_then(|at| fingerprint.get_mut(DEVIATIONS + at)) {
        *place = 1.0;
    }
    fingerprint
}

/// A fingerprint from names: `host.ports`, `flow.recent_short`, `link.addresses_contested`.
pub(super) fn of_features<'a>(
    features: impl Iterator<Item = (&'a str, f32)>,
    threat_type: Option<ThreatType>,
) -> Result<Vec<f32>, String> {
    let mut fingerprint = of_type(threat_type);
    for (name, value) in features {
        let place = position(name).and_then(|at| fingerprint.get_mut(at));
        match place {
            Some(place) if value.is_finite() => *place = value,
            Some(_) => return Err(format!("{name} = {value} is no number")),
            None => {
                let shown = crate::telemetry::printable(name, 60);
                let names: Vec<String> = names().collect();
                let near = nearest(name, names.iter().map(String::as_str));
                return Err(match near {
                    Some(near) => format!("there is no feature {shown:?}; did you mean {near}?"),
                    None => {
                        format!("there is no feature {shown:?}: write them as host.ports or flow.packets_out")
                    }
                });
            }
        }
    }
    Ok(fingerprint)
}

fn position(name: &str) -> Option<usize> {
    names().position(|known| known == name)
}

fn names() -> impl Iterator<Item = String> {
    let blocks = [("flow", FLOW.as_slice()), ("host", HOST.as_slice()), ("link", LINK.as_slice())];
    blocks
        .into_iter()
        .flat_map(|(kind, features)| features.iter().map(move |feature| format!("{kind}.{}", feature.name)))
}

/// The form in which fingerprints are compared: of length 1, each number on a logarithmic scale, so that one feature
/// that is far off does not hide the others. `None` when nothing is left.
pub(super) fn direction(fingerprint: &[f32]) -> Option<Vec<f32>> {
    if fingerprint.is_empty() || fingerprint.len() > LONGEST {
        return None;
    }
    let flat = |value: &f32| if value.is_finite() { value.signum() * value.abs().ln_1p() } else { 0.0 };
    let mut direction: Vec<f32> = fingerprint.iter().map(flat).collect();
    let length = direction.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length <= f32::EPSILON {
        return None;
    }
    direction.iter_mut().for_each(|value| *value /= length);
    Some(direction)
}

/// As it is stored: little endian.
pub fn to_bytes(fingerprint: &[f32]) -> Vec<u8> {
    fingerprint.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Back from [`to_bytes`]; `None` for what is none.
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
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
