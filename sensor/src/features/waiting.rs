//! Questions whose answer may be under way. A resolver asks others first and takes seconds: what it did not answer by the
//! end of the window has not failed, as long as it answers.

/// Questions that may wait for each flow that was answered.
const LATE: u64 = 4;

/// Of a host in a window: of what it asked, and of what it was asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waiting {
    questions: [u64; 2],
    answers: [u64; 2],
}

impl Waiting {
    /// Adds a flow on the host's side.
    pub(super) fn add(&mut self, side: usize, questions: u64, answered: bool) {
        self.questions[side] += questions;
        self.answers[side] += u64::from(answered);
    }

    /// Questions that are more than could still be answered: of a flood, or of a service that fails.
    pub(super) fn never(&self, side: usize) -> u64 {
        self.questions[side].saturating_sub(LATE * self.answers[side].max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_answered_may_wait_and_a_flood_may_not() {
        let mut waiting = Waiting::default();
        (0..10).for_each(|_| waiting.add(1, 0, true));
        waiting.add(1, 30, false);
        assert_eq!((waiting.never(0), waiting.never(1)), (0, 0));
        waiting.add(1, 3000, false);
        assert_eq!((waiting.never(0), waiting.never(1)), (0, 2990));
    }
}
