//! What the tails learn from alerts that were told.

use super::kind::Kind;
use super::scorer::Scorer;

/// Hosts of which an alert counts in a tail in the time in which the budget allows one.
const TELLING: usize = 8;

impl Scorer {
    /// An alert without a type was told because of a member (see [`Scorer::explain`]): if there are more of them than the
    /// budget allows, its tail is heavier than it was thought to be. No more of a host count than the budget allows: whoever
    /// raises many alerts on purpose would make everybody's ordinary. What many hosts do is what the tail has to learn.
    pub fn told(&mut self, kind: Kind, member: &str, host: [u8; 16]) {
        let (threshold, now) = (self.threshold, self.now);
        let apart = self.telling.unwrap_or((3.6e12 / self.budget()) as u64);
        self.told.retain(|_, at| now.saturating_sub(*at) < apart);
        if self.told.len() >= TELLING || self.told.contains_key(&host) {
            return;
        }
        self.told.insert(host, now);
        let mut members = self.models[kind as usize].members.iter_mut();
        if let Some(member) = members.find(|one| one.group.name() == member) {
            member.told(threshold);
        }
    }
}
