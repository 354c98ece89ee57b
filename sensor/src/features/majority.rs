//! The value that most votes are for, without a table of all.

/// The value that has the majority, if one has (Boyer and Moore 1981): constant memory, exact for a majority.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Majority<T> {
    value: Option<T>,
    votes: u64,
}

impl<T: PartialEq + Copy> Majority<T> {
    /// What may have the majority.
    pub(super) fn value(&self) -> Option<T> {
        self.value
    }

    pub(super) fn vote(&mut self, value: T, weight: u64) {
        match self.value {
            Some(held) if held == value => self.votes += weight,
            _ if weight > self.votes => {
                self.value = Some(value);
                self.votes = weight - self.votes;
            }
            _ => self.votes -= weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_found() {
        let mut majority = Majority::default();
        for value in [1, 2, 1, 3, 1, 1, 2, 1] {
            majority.vote(value, 1);
        }
        assert_eq!(majority.value, Some(1));
    }
}
