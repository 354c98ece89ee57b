//! What is remembered of the HTTP requests of pairs, and of their answers: bounded and fading.

use super::facts::HttpFacts;
use crate::features::memory::PairKey;
use crate::flow::slab::Slab;

/// Time constants, seconds.
const FADES: [f32; 2] = [10.0, 60.0];
/// Of these entries, the one silent for longest makes room.
const AMONG: usize = 8;

/// Sums, each with both time constants.
#[derive(Clone, Copy, Default)]
struct Pair {
    last: u64,
    requests: [f32; 2],
    responses: [f32; 2],
    /// Of statuses 4xx and 5xx.
    errors: [[f32; 2]; 2],
}

impl Pair {
    /// As of `now`.
    fn faded(&self, now: u64) -> Pair {
        let passed = now.saturating_sub(self.last) as f32 / 1e9;
        let fades = FADES.map(|constant| (-passed / constant).exp());
        let fade = |sums: [f32; 2]| [sums[0] * fades[0], sums[1] * fades[1]];
        Pair {
            last: self.last.max(now),
            requests: fade(self.requests),
            responses: fade(self.responses),
            errors: self.errors.map(fade),
        }
    }
}

/// See the module.
pub struct Pairs {
    pairs: Slab<PairKey, Pair>,
    /// Pairs that made room before their time.
    pub overflow: u64,
}

impl Pairs {
    /// Empty; holds `limit` pairs at most.
    pub fn new(limit: usize) -> Pairs {
        Pairs { pairs: Slab::new(limit), overflow: 0 }
    }

    /// Notes a request, a sample of `weight`.
    pub fn request(&mut self, key: PairKey, now: u64, weight: u32) {
        self.update(key, now, |pair| add(&mut pair.requests, weight));
    }

    /// Notes the status of an answer, a sample of `weight`.
    pub fn response(&mut self, key: PairKey, status: u16, now: u64, weight: u32) {
        self.update(key, now, |pair| {
            add(&mut pair.responses, weight);
            match status {
                400..=499 => add(&mut pair.errors[0], weight),
                500..=599 => add(&mut pair.errors[1], weight),
                _ => (),
            }
        });
    }

    fn update(&mut self, key: PairKey, now: u64, change: impl FnOnce(&mut Pair)) {
        if self.pairs.is_full() && self.pairs.find(&key).is_none() {
            self.overflow += u64::from(self.pairs.make_room(AMONG, |pair| pair.last as f64));
        }
        let slot = self.pairs.find_or_insert(key, u32::MAX, Pair::default);
        if let Some(pair) = slot.and_then(|slot| self.pairs.get_mut(slot)) {
            *pair = pair.faded(now);
            change(pair);
        }
    }

    /// Tells what is known of a pair at `now`.
    pub fn tell(&self, key: &PairKey, now: u64, facts: &mut HttpFacts) {
        let Some(pair) = self.pairs.find(key).and_then(|slot| self.pairs.get(slot)) else { return };
        let pair = pair.faded(now);
        [facts.requests_10s, facts.requests] = pair.requests;
        (facts.client_errors, facts.server_errors) = (pair.errors[0][1], pair.errors[1][1]);
        let failed = facts.client_errors + facts.server_errors;
        facts.errors = if pair.responses[1] > 0.0 { failed / pair.responses[1] } else { 0.0 };
    }

    /// Forgets, of so many pairs, those silent for so long.
    pub fn forget(&mut self, budget: usize, now: u64, silent: u64) {
        self.pairs.sweep(budget, |_, pair| now.saturating_sub(pair.last) > silent);
    }
}

fn add(sums: &mut [f32; 2], weight: u32) {
    sums.iter_mut().for_each(|sum| *sum += weight as f32);
}
