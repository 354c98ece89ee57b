//! When to look at a flow again: a wheel of lists, each for a part of the timeout.
//!
//! A flow is looked at once in a timeout, however many packets it had: growing costs nothing here.

/// Lists; a timeout is divided among all but two, so that none is filled while it is looked at.
const LISTS: u64 = 130;

/// See the module.
pub(super) struct Wheel {
    lists: Vec<Vec<u32>>,
    /// The list that is looked at, in turn.
    due: Vec<u32>,
    timeout: u64,
    /// Nanoseconds that a list stands for.
    part: u64,
    /// Parts of time that were looked at so far.
    done: u64,
}

impl Wheel {
    /// Empty; slots are looked at when they may have been silent for `timeout` nanoseconds.
    pub(super) fn new(timeout: u64) -> Wheel {
        // Rounded up, so that the lists are enough.
        let part = (timeout / (LISTS - 2) + 1).max(1_000_000);
        Wheel { lists: vec![Vec::new(); LISTS as usize], due: Vec::new(), timeout, part, done: 0 }
    }

    /// Looks at `slot` when it was silent since `last` for the timeout.
    pub(super) fn watch(&mut self, slot: u32, last: u64) {
        // After a list that was looked at already it would wait for a whole turn.
        let part = (last.saturating_add(self.timeout) / self.part).max(self.done + 1);
        self.lists[(part % LISTS) as usize].push(slot);
    }

    /// Looks at what is due at `now`: `look` says when a slot was last in use, or `None` when it is gone.
    pub(super) fn turn(&mut self, now: u64, mut look: impl FnMut(u32) -> Option<u64>) {
        let until = now / self.part;
        // A turn past every list sees everything there is.
        let from = self.done.max(until.saturating_sub(LISTS));
        self.done = self.done.max(until.saturating_sub(1));
        for part in from + 1..until {
            let mut due =
                std::mem::replace(&mut self.lists[(part % LISTS) as usize], std::mem::take(&mut self.due));
            for slot in due.drain(..) {
                if let Some(last) = look(slot) {
                    self.watch(slot, last);
                }
            }
            self.due = due;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_looked_at_soon_after_its_timeout() {
        const MS: u64 = 1_000_000;
        for (timeout, step) in [(15_000 * MS, 100 * MS), (1_000 * MS, 10 * MS), (15_000 * MS, 40_000 * MS)] {
            let mut wheel = Wheel::new(timeout);
            let mut last = vec![0u64; 100];
            let begin = 1_700_000_000_000 * MS;
            wheel.turn(begin, |_| None);
            for (slot, last) in last.iter_mut().enumerate() {
                *last = begin + slot as u64 * 7 * MS;
                wheel.watch(slot as u32, *last);
            }
            let mut left = last.len();
            let mut now = begin;
            while left > 0 {
                now += step;
                if now < begin + 3 * timeout {
                    last[3] = now;
                }
                wheel.turn(now, |slot| {
                    let seen = last[slot as usize];
                    let silent = now.saturating_sub(seen);
                    assert!(silent <= timeout + timeout / 50 + 2 * step, "{slot} was silent for {silent}");
                    if silent <= timeout {
                        return Some(seen);
                    }
                    left -= 1;
                    None
                });
                assert!(now < begin + 10 * timeout + 3 * step, "{left} are never looked at");
            }
        }
    }
}
