//! Rows of a window that may be learned from, and whether something keeps the model from learning.

use super::random::Random;
use crate::features::matrix::Matrix;
use crate::features::spec::Feature;

/// Why nothing may be learned from a whole window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Packets, samples or rows do not add up: what is seen may not be what there is.
    Ledger,
    /// An attack goes on.
    Attack,
}

/// As many rows as are wanted, evenly by chance.
pub struct Lessons {
    /// The rows.
    pub rows: Matrix,
    /// Their places in the window.
    pub places: Vec<usize>,
    wanted: usize,
    left: usize,
}

impl Lessons {
    /// Without rows.
    pub fn new(features: &'static [Feature]) -> Lessons {
        Lessons { rows: Matrix::new(features), places: Vec::new(), wanted: 0, left: 0 }
    }

    /// A window with `all` rows begins, of which up to `wanted` are wanted.
    pub fn begin(&mut self, all: usize, wanted: usize) {
        self.rows.clear();
        self.places.clear();
        (self.left, self.wanted) = (all, all.min(wanted));
    }

    /// Chooses among the next rows, of which the first has place `first` (selection sampling: Knuth, 3.4.2, S).
    pub fn choose(&mut self, rows: &Matrix, first: usize, random: &mut Random) {
        for row in 0..rows.rows() {
            if self.wanted == 0 {
                return;
            }
            if self.wanted >= self.left || random.below(self.left) < self.wanted {
                self.wanted -= 1;
                self.rows.push_encoded(rows.row(row));
                self.places.push(first + row);
            }
            self.left = self.left.saturating_sub(1);
        }
    }
}
