//! Rows of features, laid out so that a feature of 16 rows is done at once: blocks of 16 rows, column by column.

use super::spec::{Feature, Scale};
use crate::score::vectors::widest;

/// Rows in a block: four vectors of the machines that every 64-bit x86 is.
pub const LANES: usize = 16;

/// One feature of the rows of a block.
pub type Column = [f32; LANES];

/// Rows of equal width. Emptied and filled again it allocates nothing.
#[derive(Clone, Debug)]
pub struct Matrix {
    features: &'static [Feature],
    scales: Vec<Encoder>,
    columns: Vec<Column>,
    rows: usize,
}

impl Matrix {
    /// Without rows.
    pub fn new(features: &'static [Feature]) -> Matrix {
        let scales = features.iter().map(Encoder::new).collect();
        Matrix { features, scales, columns: Vec::new(), rows: 0 }
    }

    /// Features in a row.
    pub fn width(&self) -> usize {
        self.features.len()
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes all rows out.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.rows = 0;
    }

    /// Adds a row of values in the features' units: they stay as they are until [`Matrix::encode`].
    pub fn push(&mut self, values: &[f64]) {
        debug_assert_eq!(values.len(), self.width(), "a value for each feature");
        let lane = self.next_lane();
        let block = self.columns.len() - self.width();
        for (column, value) in self.columns[block..].iter_mut().zip(values) {
            column[lane] = *value as f32;
        }
    }

    /// Adds a row of features that are on their scale already; not to be mixed with [`Matrix::encode`].
    pub fn push_encoded(&mut self, row: impl Iterator<Item = f32>) {
        let lane = self.next_lane();
        let block = self.columns.len() - self.width();
        for (column, value) in self.columns[block..].iter_mut().zip(row) {
            column[lane] = value;
        }
    }

    fn next_lane(&mut self) -> usize {
        let lane = self.rows % LANES;
        if lane == 0 {
            self.columns.resize(self.columns.len() + self.width(), [0.0; LANES]);
        }
        self.rows += 1;
        lane
    }

    /// Puts all values on the scale of their feature, once.
    pub fn encode(&mut self) {
        widest(
            #[inline(always)]
            || {
                for block in self.columns.chunks_exact_mut(self.features.len()) {
                    for (column, scale) in block.iter_mut().zip(&self.scales) {
                        scale.encode(column);
                    }
                }
            },
        );
    }

    /// The blocks, each a column for each feature; what is in the last one beyond the rows means nothing.
    pub fn blocks(&self) -> impl Iterator<Item = &[Column]> {
        self.columns.chunks_exact(self.features.len())
    }

    /// A row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = f32> {
        let (block, lane) = (row / LANES * self.width(), row % LANES);
        self.columns[block..block + self.width()].iter().map(move |column| column[lane])
    }
}

/// [`Feature::encode`] for a column, in single precision; a value that is no number is 0.
#[derive(Clone, Copy, Debug)]
struct Encoder {
    high: f32,
    /// For a logarithmic scale.
    per_knee: Option<f32>,
    part: f32,
}

impl Encoder {
    fn new(feature: &Feature) -> Encoder {
        let high = feature.high as f32;
        match feature.scale {
            Scale::Linear => Encoder { high, per_knee: None, part: 1.0 / high },
            Scale::Log { knee } => Encoder {
                high,
                per_knee: Some((1.0 / knee) as f32),
                part: (1.0 / (feature.high / knee).ln_1p()) as f32,
            },
        }
    }

    #[inline(always)]
    fn encode(&self, column: &mut Column) {
        let (high, part) = (self.high, self.part);
        let Some(per_knee) = self.per_knee else {
            return column.iter_mut().for_each(|value| *value = value.max(0.0).min(high) * part);
        };
        column.iter_mut().for_each(|value| *value = ln(1.0 + value.max(0.0).min(high) * per_knee) * part);
    }
}

/// `ln(1 + value)` of a value that is not negative, without a branch.
#[inline(always)]
pub fn ln_1p(value: f32) -> f32 {
    ln(1.0 + value)
}

/// Natural logarithm of a positive normal number within 2 units in the last place; `logf` of the Cephes library
/// (Moshier 1992). No branch, so that a column is done at once, and the same on every machine.
#[inline(always)]
pub(super) fn ln(value: f32) -> f32 {
    const HALF_ROOT: u32 = 0x3f35_04f3;
    let bits = value.to_bits();
    // The power of two that leaves a mantissa between the roots of 1/2 and 2.
    let power = (bits.wrapping_sub(HALF_ROOT) as i32) >> 23;
    let x = f32::from_bits(bits.wrapping_sub((power << 23) as u32)) - 1.0;
    let mut p = 7.037_683_6e-2;
    for coefficient in [
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p * x + coefficient;
    }
    let square = x * x;
    x * square * p - 0.5 * square + x + power as f32 * std::f32::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::spec;

    #[test]
    fn columns_are_encoded_as_single_values_are() {
        let mut matrix = Matrix::new(&spec::FLOW);
        let parts = [0.0, 1e-9, 1e-6, 0.001, 0.03, 0.1, 0.5, 0.9999, 1.0, 7.0, -1.0, f64::NAN];
        for round in 0..3 {
            matrix.clear();
            for part in parts.into_iter().cycle().take(37 + round) {
                matrix.push(&spec::FLOW.map(|feature| feature.high * part));
            }
            matrix.encode();
            assert_eq!((matrix.rows(), matrix.blocks().count()), (37 + round, 3));
            for (row, part) in parts.into_iter().cycle().take(37 + round).enumerate() {
                for (found, feature) in matrix.row(row).zip(&spec::FLOW) {
                    let expected = feature.encode(feature.high * part);
                    assert!((found - expected).abs() < 2e-6, "{feature:?} {part}: {found} {expected}");
                }
            }
        }
    }
}
