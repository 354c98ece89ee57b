//! What is remembered of pairs and services from window to window, bounded and fading.

use super::config::FeaturesConfig;
use super::damped::{Multi, Scales};
use super::facts::PairFacts;
use super::fading::{Fading, patience};
pub use super::keys::{PairKey, ServiceKey};
use super::logins::Seen;
use super::pair::More;
pub use super::pair::{Addition, Pair, Service};
use super::peaks::{Peaks, USUAL_BYTES, USUAL_CONNECTIONS};
use super::rarity::Rarity;
use crate::flow::slab::Slab;

/// Keys and what is remembered of them.
pub type Entries<K, V> = Vec<(K, V)>;

/// Not remembered: the table was full.
pub const NOWHERE: u32 = u32::MAX;

/// Where a flow's pair and service are remembered.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    /// The pair.
    pub pair: u32,
    /// The service.
    pub service: u32,
}

/// What was never answered is forgotten after this silence once half of the table is taken, or a scan would fill it.
const UNANSWERED_KEPT: u64 = 60 * crate::flow::SECOND;
/// What took part in an alert stays new for so many times as long as what did not.
const SUSPECT: u64 = 24;
/// An answer takes no longer, with SYNs that are sent again.
const JUST_NOW: u64 = 10 * crate::flow::SECOND;
/// Entries looked at per window for what can be forgotten.
const SWEEP: usize = 16_384;

/// All pairs and services.
pub struct Memory {
    pub(super) pairs: Slab<PairKey, Pair>,
    pub(super) services: Slab<ServiceKey, Service>,
    more: More,
    fading: Fading,
    familiar_after: u64,
    forget_after: u64,
    room: [usize; 2],
    /// What was first seen before this time is familiar; the end of time until the model is active.
    pub learned_until: u64,
    /// Whatever happens is usual.
    pub warming: bool,
    /// Additions the full tables had no room for.
    pub overflow: u64,
}

impl Memory {
    /// Empty; everything is familiar until `learned_until` is set.
    pub fn new(config: &FeaturesConfig) -> Memory {
        let nanos = |d: std::time::Duration| d.as_nanos().min(u128::from(u64::MAX)) as u64;
        Memory {
            pairs: Slab::new(config.max_pairs),
            services: Slab::new(config.max_services),
            more: More::default(),
            fading: Fading {
                memory: nanos(config.memory) as f64,
                latest: (0, 1.0),
                scales: Scales::default(),
            },
            familiar_after: nanos(config.familiar_after),
            forget_after: nanos(config.forget_after),
            room: [config.max_pairs, config.max_services],
            learned_until: u64::MAX,
            warming: true,
            overflow: 0,
        }
    }

    /// Adds what a flow did; says where it is remembered, and whether the pair was not until now. `guess` is
    /// where it was before.
    pub fn add(&mut self, key: PairKey, guess: Slots, now: u64, addition: &Addition) -> (Slots, bool) {
        let mut first = false;
        let pair = self.pairs.find_or_insert(key, guess.pair, || {
            first = true;
            Pair::new(now)
        });
        let service = self.services.find_or_insert(key.service, guess.service, || Service {
            first_seen: now,
            last_seen: now,
            ..Service::default()
        });
        self.overflow += u64::from(pair.is_none()) + u64::from(service.is_none());
        if let Some(pair) = pair.and_then(|slot| self.pairs.get_mut(slot)) {
            pair.add(now, &mut self.fading, &mut self.more, addition);
        }
        if let Some(service) = service.and_then(|slot| self.services.get_mut(slot)) {
            let passed = now.saturating_sub(service.last_seen);
            if passed > 0 {
                service.usual.next_window(self.fading.scales.over(passed), &mut self.more.past);
            }
            service.usual.add(addition.rates);
            service.last_seen = now;
            service.answered |= addition.answered;
        }
        let slots = Slots { pair: pair.unwrap_or(NOWHERE), service: service.unwrap_or(NOWHERE) };
        if self.warming {
            self.absorb(slots);
        }
        (slots, first)
    }

    /// The hashes of a pair and of its service.
    pub(super) fn hashes(&self, key: &PairKey) -> [u64; 2] {
        [self.pairs.hash(key), self.services.hash(&key.service)]
    }

    /// Loads where lookups of these begin; the value means nothing.
    #[inline]
    pub(super) fn touch_index(&self, [pair, service]: [u64; 2]) -> u64 {
        self.pairs.touch_index(pair) ^ self.services.touch_index(service)
    }

    /// Where lookups of these most probably end.
    #[inline]
    pub(super) fn guess(&self, [pair, service]: [u64; 2]) -> Slots {
        let [pair, service] = [self.pairs.guess(pair), self.services.guess(service)];
        Slots { pair: pair.unwrap_or(NOWHERE), service: service.unwrap_or(NOWHERE) }
    }

    /// Loads what is remembered there; the value means nothing.
    #[inline]
    pub(super) fn touch(&self, slots: Slots) -> u64 {
        let pair = self.pairs.get(slots.pair).map_or(0, |pair| {
            let past = self.more.past.get(pair.usual.past()).map_or(0, Multi::touch);
            pair.last_seen ^ u64::from(pair.gaps.n) ^ u64::from(pair.peaks.warm.to_bits()) ^ past
        });
        pair ^ self.services.get(slots.service).map_or(0, |service| service.last_seen)
    }

    /// What was ordinary raises what is usual: at once while warming, else by a tenth a window, so that an attack
    /// that begins slowly does not become usual.
    pub fn absorb(&mut self, slots: Slots) {
        let warming = self.warming;
        let Some(pair) = self.pairs.get_mut(slots.pair) else {
            return;
        };
        if pair.absorbed && !warming {
            return;
        }
        pair.absorbed = true;
        let part = if warming { 1.0 } else { 0.1_f32 };
        let (connections, bytes_out) = (pair.connections, pair.bytes_out);
        let raise = |peaks: &mut Peaks| {
            peaks.raise(connections, bytes_out, part);
            peaks.warm = if warming { peaks.connections } else { peaks.warm };
        };
        raise(&mut pair.peaks);
        if let Some(service) = self.services.get_mut(slots.service) {
            raise(&mut service.peaks);
        }
    }

    /// The pair of a slot if it is a surprise: new, and never in an ordinary row. With it whether its service is one,
    /// and how surprising the pair was at most.
    pub fn surprising(&self, slots: Slots, now: u64) -> Option<(bool, Rarity)> {
        let pair = self.pairs.get(slots.pair)?;
        if pair.learned || !self.is_new(pair.first_seen, now, pair.suspect) && self.learned_until != u64::MAX
        {
            return None;
        }
        let new_service = self.services.get(slots.service).is_some_and(|service| !service.learned);
        let [source, destination, service, port] = pair.surprise.map(f64::from);
        Some((new_service, Rarity { source, destination, service, port }))
    }

    /// Whether a pair was first seen in the window that ends now.
    pub fn is_first_window(&self, pair: u32, now: u64) -> bool {
        self.pairs.get(pair).is_some_and(|pair| pair.first_seen == now)
    }

    /// Whether the service of a pair ever answered anybody.
    pub(super) fn answers(&self, pair: &PairKey) -> bool {
        let slot = self.services.find(&pair.service);
        slot.and_then(|slot| self.services.get(slot)).is_some_and(|service| service.answered)
    }

    /// Whether a pair is new, and how many connections it had before this window's, which adds `made`, if it was met just now.
    pub(super) fn met(&self, pair: u32, made: f64, now: u64) -> (bool, Option<f64>) {
        let Some(pair) = self.pairs.get(pair) else {
            return (false, None);
        };
        let new = self.is_new(pair.first_seen, now, pair.suspect);
        let just_now = new && now.saturating_sub(pair.first_seen) <= JUST_NOW;
        (new, just_now.then(|| (f64::from(pair.connections) - made).max(0.0)))
    }

    /// A pair was unusual: what else is learned meanwhile does not make it less of a surprise.
    pub fn hold_surprise(&mut self, slots: Slots, rarity: &Rarity) {
        let Some(pair) = self.pairs.get_mut(slots.pair) else {
            return;
        };
        let now = [rarity.source, rarity.destination, rarity.service, rarity.port];
        for (held, now) in pair.surprise.iter_mut().zip(now) {
            *held = held.max(now as f32);
        }
    }

    /// A pair was in an ordinary row; its service too, if it answered. Returns what was new about them.
    pub fn learn(&mut self, slots: Slots, answered: bool) -> (bool, bool) {
        let new = |learned: &mut bool, now: bool| now && !std::mem::replace(learned, true);
        let pair = self.pairs.get_mut(slots.pair).is_some_and(|pair| new(&mut pair.learned, true));
        let service = self.services.get_mut(slots.service);
        (pair, service.is_some_and(|service| new(&mut service.learned, answered)))
    }

    /// An alert was raised: time alone no longer makes these familiar.
    pub fn suspect(&mut self, key: &PairKey) {
        if let Some(pair) = self.pairs.find(key).and_then(|slot| self.pairs.get_mut(slot)) {
            pair.suspect = true;
        }
        if let Some(service) = self.services.find(&key.service).and_then(|slot| self.services.get_mut(slot)) {
            service.suspect = true;
        }
    }

    /// Whether something first seen then is new now.
    pub fn is_new(&self, first_seen: u64, now: u64, suspect: bool) -> bool {
        let familiar = self.familiar_after.saturating_mul(if suspect { SUSPECT } else { 1 });
        first_seen >= self.learned_until && now.saturating_sub(first_seen) < familiar
    }

    /// Whether a pair is new now.
    pub fn is_new_pair(&self, pair: u32, now: u64) -> bool {
        self.pairs.get(pair).is_some_and(|pair| self.is_new(pair.first_seen, now, pair.suspect))
    }

    /// What is known of a pair now.
    pub fn facts(&self, slots: Slots, now: u64) -> PairFacts {
        let Some(pair) = self.pairs.get(slots.pair) else {
            return PairFacts::default();
        };
        let known = self.services.get(slots.service);
        let service = known.copied().unwrap_or_default();
        let usual_connections = pair.peaks.connections.max(service.peaks.connections).max(USUAL_CONNECTIONS);
        let [own, all] = [&pair.peaks, &service.peaks].map(Peaks::trusted_connections);
        let usual_bytes = pair.peaks.bytes_out.max(service.peaks.bytes_out).max(USUAL_BYTES);
        let logins = self.more.logins.get(pair.logins);
        PairFacts {
            connections: f64::from(pair.connections),
            failed: f64::from(pair.failed),
            short: f64::from(pair.short),
            bytes_out: f64::from(pair.bytes_out),
            bytes_in: f64::from(pair.bytes_in),
            gaps: pair.gaps.n,
            gap: pair.gaps.mean(),
            gap_variation: pair.gaps.variation(),
            contact_variation: pair.contact_size.variation(),
            short_size: pair.short_size.mean(),
            short_variation: pair.short_size.variation(),
            logins: logins.map(Seen::facts).unwrap_or_default(),
            new_pair: self.is_new(pair.first_seen, now, pair.suspect),
            new_service: known.is_some() && self.is_new(service.first_seen, now, service.suspect),
            new_host: false,
            connections_surge: f64::from(pair.connections / usual_connections),
            trusted_surge: f64::from(pair.connections / own.max(all).max(USUAL_CONNECTIONS)),
            late_service: known.is_some_and(|service| service.first_seen >= self.learned_until),
            bytes_surge: f64::from(pair.bytes_out / usual_bytes),
            rarity: Rarity::default(),
            deviations: pair.usual.deviations(&self.more.past),
            service_deviations: service.usual.deviations(&self.more.past),
        }
    }

    /// Pairs and services that were answered or learned, in order of key.
    pub fn saved(&self) -> (Entries<PairKey, Pair>, Entries<ServiceKey, Service>) {
        let mut pairs: Vec<_> =
            self.pairs.iter().filter(|(_, p)| p.answered || p.learned).map(|(k, p)| (*k, *p)).collect();
        let mut services: Vec<_> =
            self.services.iter().filter(|(_, s)| s.answered || s.learned).map(|(k, s)| (*k, *s)).collect();
        pairs.sort_unstable_by_key(|(key, _)| *key);
        services.sort_unstable_by_key(|(key, _)| *key);
        (pairs, services)
    }

    /// Takes up what was saved, as far as there is room.
    pub fn restore(
        &mut self,
        pairs: Vec<(PairKey, Pair)>,
        services: Vec<(ServiceKey, Service)>,
        learned_until: u64,
        warming: bool,
    ) {
        for (key, pair) in pairs {
            self.pairs.find_or_insert(key, NOWHERE, || pair);
        }
        for (key, service) in services {
            self.services.find_or_insert(key, NOWHERE, || service);
        }
        self.learned_until = learned_until;
        self.warming = warming;
    }

    /// Pairs remembered.
    pub fn pairs_len(&self) -> usize {
        self.pairs.len()
    }

    /// Forgets a bounded number of what was silent for too long.
    pub fn forget(&mut self, now: u64) {
        let (forget, familiar, learned) = (self.forget_after, self.familiar_after, self.learned_until);
        let unanswered = [
            patience(self.pairs.len(), self.room[0], UNANSWERED_KEPT),
            patience(self.services.len(), self.room[1], UNANSWERED_KEPT),
        ];
        let keep = |first_seen: u64| if first_seen < learned { forget } else { familiar };
        let more = &mut self.more;
        self.pairs.sweep(SWEEP, |_, pair| {
            let kept = if pair.answered { keep(pair.first_seen) } else { unanswered[0] };
            let old = now.saturating_sub(pair.last_seen) > kept;
            if old {
                pair.release(more);
            }
            old
        });
        self.services.sweep(SWEEP, |_, service| {
            let kept = if service.answered { keep(service.first_seen) } else { unanswered[1] };
            let old = now.saturating_sub(service.last_seen) > kept;
            if old {
                service.usual.release(&mut more.past);
            }
            old
        });
    }
}
