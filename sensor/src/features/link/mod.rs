//! Non-IP traffic and ARP: what each MAC address sent in the open window, and what is remembered of it.
//!
//! In: samples. Out: a row for each MAC address that sent something other than IP, or IP in another's name. Owners of
//! addresses, MAC addresses and streams are remembered, bounded. Never here: a decision, or text from a packet.

pub mod claims;
pub mod facts;
pub mod fading;
pub mod novelty;
mod saved;
mod station;
#[cfg(test)]
pub(crate) mod traffic;
pub mod wire;

pub use facts::LinkFacts;
pub use saved::SavedLinks;
pub use wire::Mac;

use super::config::FeaturesConfig;
use super::fading::patience;
use super::majority::Majority;
use super::rows::Window;
use super::sketch::{Distinct, mix};
use crate::capture::Sample;
use crate::flow::SECOND;
use crate::flow::slab::Slab;
use claims::{Means, Owners, Place, Sign};
use novelty::Novelty;
use sensor_ebpf::parse::mapped;
use station::{Station, Stream, StreamKey};
use wire::{Arp, LinkFrame};

/// What was in so few windows is forgotten after [`PASSING_KEPT`] once half of the table is taken, or invented addresses
/// would fill it.
const PASSING: u32 = 3;
/// See [`PASSING`].
const PASSING_KEPT: u64 = 600 * SECOND;
/// Streams and owners for each MAC address that can be remembered.
const EACH: usize = 4;
/// Entries looked at per window for what can be forgotten.
const SWEEP: usize = 4096;
const NO_WINDOW: u32 = u32::MAX;
const NOWHERE: u32 = u32::MAX;
const ARP: u32 = 0x0806;

/// A MAC address's part of the open window.
#[derive(Default)]
struct Sums {
    slot: u32,
    facts: LinkFacts,
    kind: Majority<u32>,
    targets: Distinct,
    missing: Distinct,
    answered: Distinct,
    forged: Distinct,
}

/// All MAC addresses.
pub struct Links {
    stations: Slab<Mac, Station>,
    streams: Slab<StreamKey, Stream>,
    owners: Owners,
    sums: Vec<Sums>,
    /// Slots of the streams of the open window, in the order in which they began there.
    active: Vec<u32>,
    seed: u64,
    forget_after: u64,
    room: usize,
    new_macs: Novelty,
    new_streams: Novelty,
    samples: u64,
    overflow: u64,
}

/// How full the tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LinkTables {
    /// Samples of frames that are not IP.
    pub samples: u64,
    /// MAC addresses remembered.
    pub macs: usize,
    /// Streams remembered.
    pub streams: usize,
    /// Addresses whose owner is remembered.
    pub owners: usize,
    /// Times one of them was not, for the table was full.
    pub overflow: u64,
}

impl Links {
    /// Empty.
    pub fn new(config: &FeaturesConfig) -> Links {
        let nanos = |d: std::time::Duration| d.as_nanos().min(u128::from(u64::MAX)) as u64;
        Links {
            stations: Slab::new(config.max_macs),
            streams: Slab::new(config.max_macs.saturating_mul(EACH)),
            owners: Owners::new(config.max_macs.saturating_mul(EACH)),
            sums: Vec::new(),
            active: Vec::new(),
            seed: config.seed,
            forget_after: nanos(config.forget_after),
            room: config.max_macs,
            new_macs: Novelty::default(),
            new_streams: Novelty::default(),
            samples: 0,
            overflow: 0,
        }
    }

    /// How full the tables are.
    pub fn tables(&self) -> LinkTables {
        LinkTables {
            samples: self.samples,
            macs: self.stations.len(),
            streams: self.streams.len(),
            owners: self.owners.count(),
            overflow: self.overflow + self.owners.overflow,
        }
    }

    /// Takes a sample that is not IP; says whether its link layer could be read.
    pub fn note(&mut self, sample: &Sample) -> bool {
        let Some(frame) = wire::read(sample) else {
            return false;
        };
        self.samples += 1;
        let (now, weight) = (sample.time, u64::from(sample.weight));
        let bytes = weight * u64::from(sample.wire_len);
        let Some(at) = self.open(frame.source, now) else {
            return true;
        };
        let Sums { facts, kind, .. } = &mut self.sums[at];
        facts.frames += weight;
        facts.bytes += bytes;
        kind.vote(frame.kind, weight);
        match &frame.arp {
            Some(arp) => self.arp(at, &frame, arp, weight, now),
            None if frame.kind == ARP => {}
            None => self.stream(&frame, (weight, bytes), now),
        }
        true
    }

    /// Takes a sample of an IP packet: who sends in whose name.
    pub fn note_ip(&mut self, sample: &Sample) {
        let Some((frame, address)) = wire::read(sample).and_then(|frame| Some((frame, frame.source_ip?)))
        else {
            return;
        };
        let now = sample.time;
        let place = Place { vlan: frame.vlan, address };
        match self.owners.seen(place, frame.source, now) {
            Sign::Own | Sign::Unclaimed => {}
            Sign::Contested(rival) => self.defend(place, rival, now),
            Sign::Foreign => {
                let hash = mix(self.seed, u64::from(u32::from_be_bytes(address)));
                if let Some(at) = self.open(frame.source, now) {
                    self.sums[at].forged.add(hash);
                }
                if let Some(station) = self.station(frame.source) {
                    station.contests.relay(place, now);
                }
            }
        }
        let class = mix(self.seed, u64::from(u32::from_be_bytes(address))) & 63;
        if let Some(station) = self.station(frame.source) {
            station.sources |= 1 << class;
        }
    }

    fn station(&mut self, mac: Mac) -> Option<&mut Station> {
        self.stations.find(&mac).and_then(|slot| self.stations.get_mut(slot))
    }

    /// Where the sums of a MAC address are in the open window; `None` when there is no room for it.
    fn open(&mut self, mac: Mac, now: u64) -> Option<usize> {
        let slot = self.stations.find_or_insert(mac, NOWHERE, || Station::new(now));
        let Some((slot, station)) = slot.and_then(|slot| Some((slot, self.stations.get_mut(slot)?))) else {
            self.overflow += 1;
            return None;
        };
        if station.window == NO_WINDOW {
            station.window = self.sums.len() as u32;
            station.windows = station.windows.saturating_add(1);
            let facts = LinkFacts { mac, seen: [now, now], ..LinkFacts::default() };
            self.sums.push(Sums { slot, facts, ..Sums::default() });
        }
        station.last_seen = station.last_seen.max(now);
        station.turn_half_minute(now);
        let at = station.window as usize;
        let [first, last] = &mut self.sums[at].facts.seen;
        (*first, *last) = ((*first).min(now), (*last).max(now));
        Some(at)
    }

    fn stream(&mut self, frame: &LinkFrame, (frames, bytes): (u64, u64), now: u64) {
        let LinkFrame { source, destination, kind, .. } = *frame;
        let slot = self
            .streams
            .find_or_insert(StreamKey { source, destination, kind }, NOWHERE, || Stream::new(now));
        let Some((slot, stream)) = slot.and_then(|slot| Some((slot, self.streams.get_mut(slot)?))) else {
            self.overflow += 1;
            return;
        };
        if stream.frames == 0 {
            self.active.push(slot);
        }
        stream.frames += frames;
        stream.bytes += bytes;
        stream.last_seen = stream.last_seen.max(now);
    }

    fn arp(&mut self, at: usize, frame: &LinkFrame, arp: &Arp, weight: u64, now: u64) {
        let place = |address| Place { vlan: frame.vlan, address };
        let facts = &mut self.sums[at].facts;
        let means = self.owners.means(arp, frame.destination, frame.vlan, now);
        match means {
            Means::Announcement => facts.announcements += weight,
            Means::Request => facts.requests += weight,
            Means::Answer => facts.replies += weight,
            Means::Unasked => {
                (facts.replies, facts.unasked) = (facts.replies + weight, facts.unasked + weight)
            }
        }
        let mismatched = arp.sender != frame.source;
        facts.mismatched += if mismatched { weight } else { 0 };
        if means == Means::Request {
            self.ask(at, frame.source, place(arp.target_ip), now);
        } else if means == Means::Answer {
            self.answer(frame.destination, place(arp.sender_ip), now);
        }
        let claims = arp.sender_ip != [0; 4] && arp.sender.is_station() && frame.source.is_station();
        // Who speaks of another is no sign of that other.
        if claims && !(mismatched && self.owners.is_free_or_of(place(arp.sender_ip), arp.sender, now)) {
            self.claim(frame, arp, means, now);
        }
    }

    /// A request.
    fn ask(&mut self, at: usize, by: Mac, place: Place, now: u64) {
        let hash = mix(self.seed, u64::from(u32::from_be_bytes(place.address)));
        let sums = &mut self.sums[at];
        sums.targets.add(hash);
        if !self.owners.is_owned(place) {
            sums.missing.add(hash);
            if let Some(station) = self.stations.get_mut(sums.slot) {
                station.missing[0].add(hash);
            }
        }
        self.owners.ask(by, place, now);
    }

    /// A reply to one who had asked: what he asked for is there.
    fn answer(&mut self, to: Mac, place: Place, now: u64) {
        let hash = mix(self.seed, u64::from(u32::from_be_bytes(place.address)));
        let Some(station) = self.station(to) else {
            return;
        };
        station.turn_half_minute(now);
        station.answered[0].add(hash);
        let at = station.window as usize;
        if let Some(sums) = self.sums.get_mut(at) {
            sums.answered.add(hash);
        }
    }

    fn claim(&mut self, frame: &LinkFrame, arp: &Arp, means: Means, now: u64) {
        let place = |address| Place { vlan: frame.vlan, address };
        let (claimed, source) = (place(arp.sender_ip), frame.source);
        let slot = self.stations.find(&source);
        let Some(station) = slot.and_then(|slot| self.stations.get_mut(slot)) else {
            return;
        };
        let contests = &mut station.contests;
        let sign = self.owners.claim((claimed, arp.sender), (means, arp.target_ip), contests, now);
        if means == Means::Unasked
            && frame.destination == arp.target
            && arp.target.is_station()
            && arp.target != source
            && arp.target_ip != [0; 4]
            && self.owners.tell((place(arp.target_ip), arp.target), source, contests, now)
            && station.address == Some(arp.target_ip)
        {
            station.address = None;
        }
        if matches!(sign, Sign::Own | Sign::Contested(_)) {
            station.address = Some(arp.sender_ip);
        }
        if let Sign::Contested(rival) = sign {
            self.defend(claimed, rival, now);
        }
    }

    /// The owner of a contested address showed himself.
    fn defend(&mut self, place: Place, rival: Mac, now: u64) {
        let goes_on = self.station(rival).is_some_and(|station| station.contests.defend(place, now));
        if !goes_on {
            self.owners.at_peace(place);
        }
    }

    /// The facts of every MAC address that was active, in the order in which they were, and the next window begins.
    pub fn close(&mut self, window: Window, rows: &mut Vec<LinkFacts>) {
        rows.clear();
        let now = window.end;
        let seconds = (window.end.saturating_sub(window.start) as f64 / 1e9).max(1.0);
        self.close_streams(seconds, now);
        let mut all = std::mem::take(&mut self.sums);
        rows.extend(all.drain(..).map(|sums| self.row(sums, seconds, now)));
        self.sums = all;
        let forget = self.forget_after;
        let passing = [
            patience(self.stations.len(), self.room, PASSING_KEPT).min(forget),
            patience(self.streams.len(), self.room.saturating_mul(EACH), PASSING_KEPT).min(forget),
        ];
        let old = |windows: u32, last_seen: u64, passing: u64| {
            now.saturating_sub(last_seen) > if windows < PASSING { passing } else { forget }
        };
        self.stations.sweep(SWEEP, |_, station| old(station.windows, station.last_seen, passing[0]));
        self.streams.sweep(SWEEP, |_, stream| old(stream.windows, stream.last_seen, passing[1]));
        self.owners.forget(now, forget);
    }

    fn close_streams(&mut self, seconds: f64, now: u64) {
        for slot in self.active.drain(..) {
            let Some((&StreamKey { source, .. }, stream)) = self.streams.entry_mut(slot) else {
                continue;
            };
            let (frames, bytes) = (stream.frames as f64, stream.bytes as f64);
            (stream.frames, stream.bytes) = (0, 0);
            stream.windows = stream.windows.saturating_add(1);
            let (surge, size) = stream.fading.change(now, frames, bytes, seconds);
            stream.fading.add(now, frames, bytes);
            let rarity = self.new_streams.see(stream.windows == 1);
            let station = self.stations.find(&source).and_then(|slot| self.stations.get(slot));
            let at = station.map_or(usize::MAX, |station| station.window as usize);
            if let Some(Sums { facts, .. }) = self.sums.get_mut(at) {
                facts.streams += 1;
                facts.new_stream = facts.new_stream.max(rarity);
                facts.surge = facts.surge.max(surge);
                facts.size_change = facts.size_change.max(size);
            }
        }
    }

    fn row(&mut self, sums: Sums, seconds: f64, now: u64) -> LinkFacts {
        let mut facts = sums.facts;
        facts.seconds = seconds;
        facts.kind = sums.kind.value();
        facts.targets = sums.targets.count();
        facts.missing = without(&sums.missing, &sums.answered);
        facts.forged = sums.forged.count();
        let Some(station) = self.stations.get_mut(sums.slot) else {
            return facts;
        };
        station.window = NO_WINDOW;
        station.fading.add(now, facts.frames as f64, facts.bytes as f64);
        facts.rates = [0, 1, 2].map(|scale| station.fading.rate(scale));
        facts.address = station.address.map(mapped);
        facts.router = station.is_router();
        let minute = |halves: &[Distinct; 2]| halves[0].union(&halves[1]);
        facts.missing_minute = without(&minute(&station.missing), &minute(&station.answered));
        facts.new_mac = self.new_macs.see(station.windows == 1);
        facts.contests =
            station.contests.held.iter().filter(|contest| contest.is_recent(now)).copied().collect();
        let mac = facts.mac;
        facts.contests.retain(|contest| {
            let owner = self.stations.find(&contest.owner).and_then(|slot| self.stations.get(slot));
            !owner.is_some_and(|owner| owner.contests.also_against(mac, contest.place, now))
        });
        facts
    }
}

/// About how many distinct values are in the first and not in the second.
fn without(one: &Distinct, other: &Distinct) -> f64 {
    (one.union(other).count() - other.count()).max(0.0)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
