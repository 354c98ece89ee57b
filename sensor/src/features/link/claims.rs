//! Who says that an address is his: owners, and who contests them.
//!
//! An address belongs to the MAC address that claimed it by ARP. Somebody else's claim makes a contest, unless the owner
//! has not been heard of for long. What the owner does meanwhile decides what it was: after a failover or a new lease he
//! is silent, and the address moves; under a spoofer he goes on talking.

use super::wire::{Arp, Mac};
use crate::flow::SECOND;
use crate::flow::index::{Key, Seed};
use crate::flow::slab::Slab;

/// An owner who was silent for so long may be followed by anybody.
const ALIVE: u64 = 600 * SECOND;
/// An owner who was silent for so long since another one announced himself has handed the address over.
const HANDOVER: u64 = 30 * SECOND;
/// A contest without a claim for so long is over.
pub const RECENT: u64 = 30 * SECOND;
/// A reply may follow a request by so much: hosts ask again after a second.
const ANSWER: u64 = 2 * SECOND;
/// Contests of one MAC address at a time.
const CONTESTS: usize = 16;
/// Requests that wait for their reply.
const REQUESTS: usize = 16_384;
/// Entries looked at per window for what can be forgotten.
const SWEEP: usize = 4096;
const NOWHERE: u32 = u32::MAX;

/// An address in a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Both VLAN ids.
    pub vlan: u32,
    /// The address.
    pub address: [u8; 4],
}

impl Key for Place {
    fn hash(&self, seed: &Seed) -> u64 {
        seed.words(&[], u64::from(self.vlan) << 32 | u64::from(u32::from_be_bytes(self.address)))
    }
}

/// Who asked for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    by: Mac,
    place: Place,
}

impl Key for Asked {
    fn hash(&self, seed: &Seed) -> u64 {
        let address = u64::from(u32::from_be_bytes(self.place.address));
        let mut wide = [0; 16];
        wide[..8].copy_from_slice(&self.by.number().to_be_bytes());
        seed.words(&[wide], u64::from(self.place.vlan) << 32 | address)
    }
}

/// How an address was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// By asking for another address.
    Request,
    /// To everybody, of one's own accord (RFC 5227, 3; RFC 5944, 4.6).
    Announcement,
    /// To one host that had asked.
    Answer,
    /// To one host that had not.
    Unasked,
}

/// The owner of an address.
#[derive(Clone, Copy, Debug)]
struct Owner {
    mac: Mac,
    /// Latest sign of him with this address.
    seen: u64,
    /// Who contested last.
    rival: Option<Mac>,
}

/// Claims of one MAC address to an address that is another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contest {
    /// What is claimed.
    pub place: Place,
    /// Whose it is.
    pub owner: Mac,
    /// First claim.
    pub first: u64,
    /// Latest claim.
    pub last: u64,
    /// Claims, by [`Means`].
    pub claims: [u32; 4],
    /// Signs of the owner between claims: he is still there.
    pub defended: u32,
    /// He showed himself since the latest claim.
    answered: bool,
    /// Whom the latest unasked claim was told to.
    pub told: Option<[u8; 4]>,
    /// The claimer sent packets in the address's name.
    pub relayed: bool,
}

impl Contest {
    /// Claims made one way.
    pub fn by(&self, means: Means) -> u32 {
        self.claims[means as usize]
    }

    /// Whether it goes on.
    pub fn is_recent(&self, now: u64) -> bool {
        now.saturating_sub(self.last) <= RECENT
    }
}

/// The contests of a MAC address.
#[derive(Clone, Debug, Default)]
pub struct Contests {
    /// Few, in the order in which they began.
    pub held: Vec<Contest>,
    /// Whose address was contested last, which, and when.
    against: Option<(Mac, Place, u64)>,
}

impl Contests {
    /// Whether another address than this one, of this owner, was contested lately: then each has one of the other's, as two
    /// interfaces of one host do.
    pub fn also_against(&self, owner: Mac, place: Place, now: u64) -> bool {
        let other = |against: (Mac, Place, u64)| against.0 == owner && against.1 != place;
        self.against.is_some_and(|against| other(against) && now.saturating_sub(against.2) <= ALIVE)
    }

    /// The contest over an address, begun if there is none. When there is no room the one that is quiet longest goes.
    fn over(&mut self, place: Place, owner: Mac, now: u64) -> &mut Contest {
        self.held.retain(|contest| contest.is_recent(now));
        self.against = Some((owner, place, now));
        let at = match self.held.iter().position(|contest| contest.place == place && contest.owner == owner) {
            Some(at) => at,
            None => {
                if self.held.len() >= CONTESTS
                    && let Some(quiet) = (0..CONTESTS).min_by_key(|&at| self.held[at].last)
                {
                    self.held.remove(quiet);
                }
                self.held.push(Contest {
                    place,
                    owner,
                    first: now,
                    last: now,
                    claims: [0; 4],
                    defended: 0,
                    answered: false,
                    told: None,
                    relayed: false,
                });
                self.held.len() - 1
            }
        };
        &mut self.held[at]
    }

    fn find(&mut self, place: Place, now: u64) -> Option<&mut Contest> {
        self.held.iter_mut().find(|contest| contest.place == place && contest.is_recent(now))
    }

    /// The owner of a contested address showed himself; says whether the contest goes on.
    pub fn defend(&mut self, place: Place, now: u64) -> bool {
        let Some(contest) = self.find(place, now) else {
            return false;
        };
        contest.defended += u32::from(!contest.answered);
        contest.answered = true;
        true
    }

    /// The claimer sent a packet in the name of the address.
    pub fn relay(&mut self, place: Place, now: u64) {
        if let Some(contest) = self.find(place, now) {
            contest.relayed = true;
        }
    }

    fn over_with(&mut self, place: Place) {
        self.held.retain(|contest| contest.place != place);
    }
}

/// Owners of addresses, and requests that wait for their reply.
pub struct Owners {
    owners: Slab<Place, Owner>,
    requests: Slab<Asked, u64>,
    /// Times an owner or request was not remembered because the table was full.
    pub overflow: u64,
}

/// What an address is to whom shows a sign of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nobody claimed it.
    Unclaimed,
    /// It is his; another one contests it.
    Contested(Mac),
    /// It is his.
    Own,
    /// It is another's.
    Foreign,
}

impl Owners {
    /// Empty; never holds more than `limit` owners.
    pub fn new(limit: usize) -> Owners {
        Owners { owners: Slab::new(limit), requests: Slab::new(REQUESTS.min(limit)), overflow: 0 }
    }

    /// Addresses with an owner.
    pub fn count(&self) -> usize {
        self.owners.len()
    }

    /// Whether anybody is known to have the address, however long ago he was seen: many hosts say little.
    pub fn is_owned(&self, place: Place) -> bool {
        self.owners.find(&place).is_some()
    }

    /// Whether nobody has the address, or this one.
    pub fn is_free_or_of(&self, place: Place, mac: Mac, now: u64) -> bool {
        let owner = self.owners.find(&place).and_then(|slot| self.owners.get(slot));
        owner.is_none_or(|owner| owner.mac == mac || now.saturating_sub(owner.seen) > ALIVE)
    }

    /// Notes a request, for its reply.
    pub fn ask(&mut self, by: Mac, place: Place, now: u64) {
        match self.requests.find_or_insert(Asked { by, place }, NOWHERE, || now) {
            Some(slot) => self.requests.get_mut(slot).into_iter().for_each(|time| *time = now),
            None => self.overflow += 1,
        }
    }

    /// How a frame from `source` to `destination` claims its sender's address.
    pub fn means(&self, arp: &Arp, destination: Mac, vlan: u32, now: u64) -> Means {
        if arp.sender_ip == arp.target_ip || (!arp.request && !destination.is_station()) {
            return Means::Announcement;
        }
        if arp.request {
            return Means::Request;
        }
        let place = Place { vlan, address: arp.sender_ip };
        let asked = self.requests.find(&Asked { by: destination, place });
        let asked = asked.and_then(|slot| self.requests.get(slot));
        let in_time = asked.is_some_and(|&time| now.saturating_sub(time) <= ANSWER);
        if in_time { Means::Answer } else { Means::Unasked }
    }

    /// Notes a claim to an address. `contests` are those of who sent it.
    pub fn claim(
        &mut self,
        (place, claimed): (Place, Mac),
        (means, told): (Means, [u8; 4]),
        contests: &mut Contests,
        now: u64,
    ) -> Sign {
        let new = || Owner { mac: claimed, seen: now, rival: None };
        let slot = self.owners.find_or_insert(place, NOWHERE, new);
        let Some(owner) = slot.and_then(|slot| self.owners.get_mut(slot)) else {
            self.overflow += 1;
            return Sign::Unclaimed;
        };
        if owner.mac == claimed {
            owner.seen = now;
            return owner.rival.map_or(Sign::Own, Sign::Contested);
        }
        if now.saturating_sub(owner.seen) > ALIVE {
            *owner = new();
            contests.over_with(place);
            return Sign::Own;
        }
        owner.rival = Some(claimed);
        let contest = contests.over(place, owner.mac, now);
        contest.claims[means as usize] = contest.claims[means as usize].saturating_add(1);
        (contest.last, contest.answered) = (now, false);
        if means == Means::Unasked {
            contest.told = Some(told);
        }
        let silent = contest.defended == 0 && now.saturating_sub(contest.first) >= HANDOVER;
        if silent && contest.by(Means::Unasked) == 0 {
            *owner = new();
            contests.over_with(place);
            return Sign::Own;
        }
        Sign::Foreign
    }

    /// Notes what an unasked claim of `by` says of whom it is told to: he has that address. Nobody else may know yet, and
    /// whoever claimed it for himself a moment ago contradicts himself: says whether he does.
    pub fn tell(&mut self, (place, told): (Place, Mac), by: Mac, contests: &mut Contests, now: u64) -> bool {
        let new = || Owner { mac: told, seen: now, rival: None };
        let slot = self.owners.find_or_insert(place, NOWHERE, new);
        let Some(owner) = slot.and_then(|slot| self.owners.get_mut(slot)) else {
            self.overflow += 1;
            return false;
        };
        let contradicts = owner.mac == by && told != by;
        if contradicts {
            *owner = Owner { rival: Some(by), ..new() };
            let contest = contests.over(place, told, now);
            contest.claims[Means::Unasked as usize] += 1;
            contest.last = now;
        }
        contradicts
    }

    /// Notes an IP packet from this address: a sign of its owner, or of somebody else. Claims nothing, for a router sends
    /// in the name of all that are behind it.
    pub fn seen(&mut self, place: Place, source: Mac, now: u64) -> Sign {
        let owner = self.owners.find(&place).and_then(|slot| self.owners.get_mut(slot));
        match owner {
            None => Sign::Unclaimed,
            Some(owner) if owner.mac == source => {
                owner.seen = now;
                owner.rival.map_or(Sign::Own, Sign::Contested)
            }
            Some(owner) if now.saturating_sub(owner.seen) > ALIVE => Sign::Unclaimed,
            Some(_) => Sign::Foreign,
        }
    }

    /// Nobody contests the address any more.
    pub fn at_peace(&mut self, place: Place) {
        if let Some(owner) = self.owners.find(&place).and_then(|slot| self.owners.get_mut(slot)) {
            owner.rival = None;
        }
    }

    /// Forgets a bounded number of what was silent for too long.
    pub fn forget(&mut self, now: u64, after: u64) {
        self.requests.sweep(SWEEP, |_, time| now.saturating_sub(*time) > ANSWER);
        self.owners.sweep(SWEEP, |_, owner| now.saturating_sub(owner.seen) > after);
    }
}
