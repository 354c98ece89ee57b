//! Which rows of a window the journal keeps: those that are unusual, some others by chance, and of these others the one
//! of the highest score: without it nobody could tell later how far ordinary traffic goes.
//!
//! Rows are offered once, in any order, kind by kind or mixed; how many there will be need not be known (reservoir
//! sampling: Vitter 1985, algorithm R). A row that is not kept is not even made.

use super::config::JournalConfig;
use super::record::{KINDS, Row};
use crate::score::random::Random;

/// Rows of one kind and one sort.
#[derive(Debug, Default)]
struct Reservoir {
    rows: Vec<Row>,
    offered: u64,
    limit: usize,
}

impl Reservoir {
    fn offer(&mut self, random: &mut Random, row: impl FnOnce() -> Row) {
        self.offered += 1;
        if self.rows.len() < self.limit {
            self.rows.push(row());
        } else if self.limit > 0 {
            let place = random.below(usize::try_from(self.offered).unwrap_or(usize::MAX));
            if let Some(kept) = self.rows.get_mut(place) {
                *kept = row();
            }
        }
    }

    /// The rows, each with what it stands for.
    fn take(&mut self) -> impl Iterator<Item = Row> + use<> {
        let rows = std::mem::take(&mut self.rows);
        let weight = std::mem::take(&mut self.offered) as f32 / rows.len().max(1) as f32;
        rows.into_iter().map(move |row| Row { weight, ..row })
    }
}

/// See the module. One is used for window after window.
#[derive(Debug)]
pub struct Sample {
    random: Random,
    /// By kind: ordinary, then unusual.
    kinds: [[Reservoir; 2]; KINDS],
    /// By kind, the ordinary row of the highest score.
    highest: [Option<Row>; KINDS],
}

impl Sample {
    /// As many rows a window as the configuration allows; `seed` decides which.
    pub fn new(config: &JournalConfig, seed: u64) -> Sample {
        let room = |limit| Reservoir { limit, ..Reservoir::default() };
        let ordinary = config.ordinary_rows.div_ceil(KINDS);
        Sample {
            random: Random::new(seed),
            kinds: std::array::from_fn(|_| [room(ordinary), room(config.unusual_rows)]),
            highest: Default::default(),
        }
    }

    /// A row of a kind (a place in `KIND_NAMES`). `row` is called if it is kept for now; its weight does not matter.
    pub fn offer(&mut self, kind: usize, unusual: bool, score: f32, mut row: impl FnMut() -> Row) {
        let Some(sorts) = self.kinds.get_mut(kind) else { return };
        let highest = &mut self.highest[kind];
        if !unusual && highest.as_ref().is_none_or(|highest| score > highest.score) {
            *highest = Some(Row { weight: 0.0, ..row() });
        }
        sorts[usize::from(unusual)].offer(&mut self.random, row);
    }

    /// What was offered since the last time, by kind.
    pub fn offered(&self) -> [u64; KINDS] {
        std::array::from_fn(|kind| self.kinds[kind].iter().map(|sort| sort.offered).sum())
    }

    /// The rows kept so far, to be marked; each may still make room for another.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        let kept = self.kinds.iter_mut().flatten().flat_map(|sort| &mut sort.rows);
        kept.chain(self.highest.iter_mut().flatten())
    }

    /// The rows kept of this window, each with its weight; the next window begins.
    pub fn take(&mut self) -> Vec<Row> {
        let highest: Vec<Row> = self.highest.iter_mut().filter_map(Option::take).collect();
        let mut rows: Vec<Row> = self.kinds.iter_mut().flatten().flat_map(Reservoir::take).collect();
        for row in highest {
            // Chance may have chosen it too.
            if !rows.iter().any(|kept| kept.key == row.key) {
                rows.push(row);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::flow_row;
    use super::*;

    #[test]
    fn weights_add_up_to_what_was_offered_and_every_row_has_the_same_chance() {
        let config = JournalConfig { ordinary_rows: 12, unusual_rows: 6, ..JournalConfig::default() };
        let mut sample = Sample::new(&config, 5);
        let mut kept_first = 0;
        for _ in 0..2000 {
            for n in 0..40u16 {
                sample.offer(0, n >= 30, f32::from(n), || Row {
                    score: f32::from(n),
                    unusual: n >= 30,
                    ..flow_row(n)
                });
            }
            sample.offer(1, true, 1.0, || flow_row(99));
            assert_eq!(sample.offered(), [40, 1, 0]);
            let rows = sample.take();
            let ordinary: Vec<&Row> = rows.iter().filter(|row| !row.unusual && row.score > 0.0).collect();
            assert!(ordinary.iter().filter(|row| row.score == 29.0).count() == 1, "the highest, once");
            assert_eq!(rows.iter().filter(|row| row.weight > 0.0).count(), 4 + 6 + 1);
            assert!((rows.iter().map(|row| row.weight).sum::<f32>() - 41.0).abs() < 1e-4);
            kept_first += rows.iter().filter(|row| row.key == flow_row(0).key && row.weight > 0.0).count();
        }
        // 2000 windows, 4 of 30: 267 expected, deviation 15.
        assert!((200..335).contains(&kept_first), "{kept_first}");
        assert!(sample.take().is_empty());
    }
}
