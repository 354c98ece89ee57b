//! The plain facts of a link row, in their units.

use super::claims::{Contest, Means};
use super::wire::Mac;
use crate::features::spec;

/// What one MAC address sent in a window, IP aside. Counts are of the window unless they say otherwise, and estimated:
/// a sample counts as often as its weight says.
#[derive(Clone, Debug, Default)]
pub struct LinkFacts {
    /// The MAC address.
    pub mac: Mac,
    /// An address that is its own: the latest it claimed by ARP and that was nobody else's.
    pub address: Option<[u8; 16]>,
    /// Length of the window, seconds, 1 at least.
    pub seconds: f64,
    /// First and latest sample.
    pub seen: [u64; 2],
    /// Frames that are not IP.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames per second over 10 s, 1 min and 10 min, fading.
    pub rates: [f64; 3],
    /// Protocol of most of them: an EtherType, or LLC's service access points and
    /// [`LLC`](super::wire::LLC).
    pub kind: Option<u32>,
    /// Streams, of one protocol to one MAC address each; ARP aside.
    pub streams: u64,
    /// Surprise of a stream that was never seen before, nats; 0 without one.
    pub new_stream: f64,
    /// The most that a stream is above its usual rate, times.
    pub surge: f64,
    /// The most that a stream's mean size differs from its usual one, over that one.
    pub size_change: f64,
    /// ARP requests.
    pub requests: u64,
    /// Distinct addresses asked for.
    pub targets: f64,
    /// Of these, those that nobody has and nobody answered for.
    pub missing: f64,
    /// The same in the last half to whole minute.
    pub missing_minute: f64,
    /// ARP replies.
    pub replies: u64,
    /// Of these, those that nobody had asked for.
    pub unasked: u64,
    /// Announcements of one's own address.
    pub announcements: u64,
    /// ARP packets that name another sender than the frame does.
    pub mismatched: u64,
    /// Distinct addresses of others, as ARP has them, that it sent IP packets from.
    pub forged: f64,
    /// Addresses of others that it claims, lately; those between two interfaces of one host aside.
    pub contests: Vec<Contest>,
    /// It sends IP packets from many addresses: a router.
    pub router: bool,
    /// Surprise of a MAC address that was never seen before, nats; 0 for one that was.
    pub new_mac: f64,
}

impl LinkFacts {
    /// Distinct owners of contested addresses for which `holds`.
    pub fn owners(&self, holds: impl Fn(&Contest) -> bool) -> usize {
        let all = |contest: &&Contest| holds(contest);
        let earlier = |at: usize| self.contests[..at].iter().filter(all);
        let mut contests = self.contests.iter().enumerate().filter(|(_, contest)| holds(contest));
        let mut count = 0;
        for (at, contest) in contests.by_ref() {
            count += usize::from(earlier(at).all(|other| other.owner != contest.owner));
        }
        count
    }

    /// The features, in their units, in the order of [`spec::LINK`].
    pub fn values(&self) -> [f64; spec::LINK.len()] {
        let rate = |count: u64| count as f64 / self.seconds;
        let [rate_10s, rate_1m, rate_10m] = self.rates;
        [
            rate(self.frames),
            rate(self.bytes),
            self.bytes as f64 / self.frames.max(1) as f64,
            rate_10s,
            rate_1m,
            rate_10m,
            (self.surge - 1.0).max(0.0),
            self.size_change,
            self.streams as f64,
            rate(self.requests),
            self.targets / self.seconds,
            rate(self.replies),
            rate(self.unasked),
            rate(self.announcements),
            self.forged,
            self.missing / self.seconds,
            self.missing_minute,
            rate(self.mismatched),
            self.contests.len() as f64,
            self.owners(|contest| contest.by(Means::Unasked) > 0) as f64,
            self.contests.iter().map(|contest| f64::from(contest.defended)).fold(0.0, f64::max),
            self.new_mac,
            self.new_stream,
        ]
    }
}
