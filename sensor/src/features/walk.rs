//! Scans at any speed: the sequential test of Jung, Paxson, Berger and Balakrishnan ("Fast Portscan Detection Using
//! Sequential Hypothesis Testing", IEEE S&P 2004). Who uses the network mostly reaches what he tries for the first time;
//! who looks for what there is mostly does not. Each first contact of a host with a service is evidence for one or the
//! other, and the evidence is added up, however long the next contact takes.
//!
//! In: how first contacts by TCP ended. Out: the evidence that their source scans, nats. It never falls below nothing
//! (as in Schechter, Jung and Berger, RAID 2004), so a good past is no credit for a scan; it fades within hours. What
//! was tried before is never here, nor what was first tried while the model learned: a retry is no first contact.

use super::facts::{FlowFacts, Outcome};
use sensor_ebpf::flow::proto;

/// First contacts that succeed, of who scans and of who does not, as in the paper.
const SUCCESS: [f64; 2] = [0.2, 0.8];
/// The evidence fades by this, seconds.
const KEPT: f64 = 7200.0;
/// Below this nothing is left of it.
const NOTHING: f32 = 0.5;
/// More evidence is not needed, and would only take longer to fade.
const MOST: f32 = 60.0;
/// What fails less often than this is told once in so many failures: an alert a probe would be none that anybody reads.
const SELDOM: u32 = 30;
const TOLD_EVERY: u16 = 8;

/// How a first contact ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// A connection.
    Made,
    /// A connection, to what was taken for a failure a moment ago: its answer took long.
    MadeLate,
    /// None.
    Failed,
}

/// How a flow's contact ended, if it is one by TCP and it is known. `made` is how many connections its pair had before this
/// window, `first` whether the pair was never seen before it.
pub(super) fn contact(flow: &FlowFacts, made: f64, first: bool) -> Option<Contact> {
    // What begins without a SYN is the rest of a connection as often as a probe.
    if flow.key.proto != proto::TCP || flow.total.flags[0].syn == 0 || made > 0.0 {
        return None;
    }
    match flow.outcome {
        Outcome::Completed if first => Some(Contact::Made),
        Outcome::Completed => Some(Contact::MadeLate),
        Outcome::Refused | Outcome::HalfOpen | Outcome::Unanswered => Some(Contact::Failed),
        Outcome::None => None,
    }
}

/// What the first contacts of a host show, in a window in which one failed and this is worth telling; else nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scanning {
    /// That it scans, nats.
    pub evidence: f64,
    /// About how many services of how many hosts it failed to reach.
    pub failed: f64,
    /// All of them were of one host.
    pub one_host: bool,
}

/// Adds a contact of a host to the evidence against it: with a service of a host, both by hash.
pub(super) fn add(walk: &mut Option<Box<Walk>>, contact: Contact, [target, host]: [u64; 2], now: u64) {
    if contact == Contact::Failed {
        walk.get_or_insert_default();
    }
    if let Some(walk) = walk {
        walk.add(contact, target, host, now);
    }
    walk.take_if(|walk| walk.evidence < NOTHING);
}

/// The evidence against a host. Most hosts have none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    evidence: f32,
    /// End of the windows with the latest contact, and the latest failed one, seconds.
    at: u32,
    failed_at: u32,
    /// From the failed one before to that.
    gap: u32,
    /// What failed, a bit a hash: nothing fails for the first time twice, even if its pair was forgotten meanwhile.
    targets: u64,
    /// The host of all that failed, by hash.
    host: u32,
    many_hosts: bool,
    failures: u16,
}

impl Walk {
    fn add(&mut self, contact: Contact, target: u64, host: u64, now: u64) {
        let now = seconds(now);
        self.fade(now);
        let bit = 1u64 << (target & 63);
        let step = |success: bool| {
            let [scans, uses] = SUCCESS.map(|part| if success { part } else { 1.0 - part });
            (scans / uses).ln() as f32
        };
        match contact {
            Contact::Failed => {
                if self.failed_at != now {
                    (self.gap, self.failed_at) = (now.saturating_sub(self.failed_at), now);
                }
                if self.targets & bit != 0 {
                    return;
                }
                let host = host as u32;
                self.many_hosts |= self.targets != 0 && self.host != host;
                self.host = host;
                self.targets |= bit;
                self.failures = self.failures.saturating_add(1);
                self.evidence = (self.evidence + step(false)).min(MOST);
            }
            Contact::Made => self.evidence += step(true),
            Contact::MadeLate => {
                if self.targets & bit != 0 {
                    self.targets &= !bit;
                    self.failures = self.failures.saturating_sub(1);
                    self.evidence -= step(false);
                }
                self.evidence += step(true);
            }
        }
    }

    /// See [`Scanning`].
    pub(super) fn facts(&self, now: u64) -> Scanning {
        let worth_telling = self.gap <= SELDOM || self.failures.is_multiple_of(TOLD_EVERY);
        if self.failed_at != seconds(now) || !worth_telling {
            return Scanning::default();
        }
        let free = f64::from(self.targets.count_zeros()).max(0.5);
        Scanning {
            evidence: f64::from(self.evidence),
            // Linear counting (Whang 1990).
            failed: (64.0 * (64.0 / free).ln()).max(1.0).round(),
            one_host: !self.many_hosts,
        }
    }

    fn fade(&mut self, now: u32) {
        let passed = now.saturating_sub(self.at);
        if passed > 0 && self.at > 0 {
            self.evidence *= (-f64::from(passed) / KEPT).exp() as f32;
        }
        self.at = self.at.max(now);
        if self.evidence < NOTHING {
            *self = Walk { at: self.at, failed_at: self.failed_at, ..Walk::default() };
        }
    }
}

/// Seconds since 1970 do for a window.
fn seconds(time: u64) -> u32 {
    (time / crate::flow::SECOND).min(u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::sketch::mix;
    use crate::flow::SECOND;
    use crate::score::random::Random;

    const BEGIN: u64 = 1_700_000_000;
    /// The default of `alert.scan_evidence`.
    const ASKED: f64 = 20.0;

    /// What is seen of a host that does these things, so many seconds apart.
    fn evidence(apart: u64, contacts: impl IntoIterator<Item = (Contact, u64)>) -> f64 {
        let (mut walk, mut most) = (Walk::default(), 0.0f64);
        for (number, (contact, target)) in contacts.into_iter().enumerate() {
            let now = (BEGIN + number as u64 * apart) * SECOND;
            walk.add(contact, mix(1, target), mix(2, target), now);
            most = most.max(walk.facts(now).evidence);
        }
        most
    }

    #[test]
    fn who_fails_to_reach_much_scans_at_any_speed_and_who_retries_does_not() {
        let scan = |apart| evidence(apart, (0..40).map(|n| (Contact::Failed, n)));
        for apart in [1, 3, 30, 120] {
            assert!(scan(apart) >= ASKED, "one in {apart} s: {}", scan(apart));
        }
        assert!(scan(3600) < ASKED, "one an hour: {}", scan(3600));
        let retries = evidence(3, (0..1000).map(|_| (Contact::Failed, 7)));
        assert!(retries < 2.0, "{retries}");
        let few = evidence(3, (0..1000).map(|n| (Contact::Failed, n % 8)));
        assert!(few < ASKED, "eight that are gone: {few}");
    }

    #[test]
    fn who_mostly_succeeds_does_not_scan_and_has_no_credit_for_it() {
        let mut random = Random::new(5);
        let surfing: Vec<_> = (0..200_000)
            .map(|n| (if random.below(10) < 2 { Contact::Failed } else { Contact::Made }, n))
            .collect();
        let most = evidence(5, surfing);
        assert!(most < ASKED, "one in five fails: {most}");
        let honest = (0..1000).map(|n| (Contact::Made, n));
        let then = (0..40).map(|n| (Contact::Failed, 5000 + n));
        assert!(evidence(3, honest.chain(then)) >= ASKED);
        // One success in five is what a scan meets.
        let scan = (0..60).map(|n| (if n % 5 == 4 { Contact::Made } else { Contact::Failed }, n));
        assert!(evidence(3, scan) >= ASKED);
    }

    #[test]
    fn an_answer_that_took_long_is_no_failure() {
        let slow = (0..400).map(|n| (if n % 2 == 0 { Contact::Failed } else { Contact::MadeLate }, n / 2));
        assert!(evidence(1, slow) < 2.0);
    }

    #[test]
    fn one_host_is_told_from_many_and_rare_failures_are_told_rarely() {
        let mut walk = Walk::default();
        let mut told = 0;
        for n in 0..48 {
            let now = (BEGIN + n * 120) * SECOND;
            walk.add(Contact::Failed, mix(1, n), 9, now);
            let facts = walk.facts(now);
            told += usize::from(facts.evidence >= ASKED);
            assert!(facts.evidence == 0.0 || facts.one_host);
        }
        assert!((1..=4).contains(&told), "{told} times");
        let now = (BEGIN + 48 * 120) * SECOND;
        assert_eq!(walk.facts(now + SECOND), Scanning::default(), "nothing fails now");
        walk.add(Contact::Failed, mix(1, 900), 10, now);
        assert!(walk.many_hosts);
    }

    #[test]
    fn whatever_comes_it_stays_within_its_bounds() {
        let mut random = Random::new(11);
        let mut held: Option<Box<Walk>> = None;
        let mut now = 0;
        for _ in 0..200_000 {
            let contact =
                [Contact::Made, Contact::MadeLate, Contact::Failed, Contact::Failed][random.below(4)];
            // Time that jumps, stands still, or begins anew.
            now = match random.below(50) {
                0 => random.bits(),
                1 => 0,
                2 => u64::MAX,
                _ => now.saturating_add(random.bits() % (20 * SECOND)),
            };
            add(&mut held, contact, [random.bits(), random.bits()], now);
            let Some(walk) = &held else {
                continue;
            };
            let facts = walk.facts(now);
            assert!((NOTHING..=MOST).contains(&walk.evidence), "{walk:?}");
            assert!((0.0..=f64::from(MOST)).contains(&facts.evidence), "{facts:?}");
            assert!((0.0..=311.0).contains(&facts.failed), "{facts:?}");
        }
    }
}
