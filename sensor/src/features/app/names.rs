//! What is remembered of the names that a client asks for, by registered domain and in all: bounded and fading.
//!
//! A tunnel over DNS writes data into names, so it cannot ask for the same name twice, and reads its answers, so these
//! differ too. Counted is therefore what is new: names that were not asked for in the last ten minutes, and answers
//! that were not seen, each once, and about how many bytes they carry (after Paxson et al., "Practical Comprehensive
//! Bounds on Surreptitious Communication over DNS", USENIX Security 2013).

use super::bytes::{hash, text_entropy};
use super::dns::{self, Message, Usual};
use super::domain::{KNOWN_FORM, Parts};
use super::facts::{DnsFacts, LASTING};
use super::rolling::Rolling;
use crate::features::sketch::mix;
use crate::flow::index::{Key, Seed};
use crate::flow::slab::Slab;

/// A client, and a domain by its hash; 0 is all that the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainKey {
    client: [u8; 16],
    domain: u64,
}

impl Key for DomainKey {
    fn hash(&self, seed: &Seed) -> u64 {
        seed.words(&[self.client], self.domain)
    }
}

/// What is summed up, each with two time constants.
#[derive(Clone, Copy)]
enum Sum {
    Queries,
    Responses,
    NoSuchName,
    Unusual,
    NewNames,
    Length,
    Entropy,
    Carried,
    /// Bytes carried by what needs no answer to be odd.
    Alone,
    /// Bytes carried by what is odd once its answers differ.
    Answered,
    AnswerBytes,
}

const SUMS: usize = Sum::AnswerBytes as usize + 1;
/// Time constants, seconds. What comes at a steady rate adds up to as much as comes in this time.
const FADES: [f32; 3] = [10.0, 60.0, 600.0];
/// Bytes of a name count so many times by its type: as much as it is odder than an address. Clients hardly ever ask for
/// aliases, mail servers or services by names that carry anything, and nobody asks for obsolete types.
const TEXT: f32 = 2.0;
const NAMES: f32 = 4.0;
const RARE: f32 = 16.0;
/// Part of a name's bytes that counts although its answers say nothing new: from that of a hash of 32 bytes (what virus
/// scanners ask for) to that of 96 bytes (what nothing but data fills).
const ALONE: [f32; 2] = [0.05, 0.3];
/// Part that counts when no answer is seen at all.
const UNANSWERED: f32 = 0.5;
/// The first answers are new whatever they say: it takes more of them to tell that they differ.
const FIRST_ANSWERS: f32 = 2.0;
/// Samples that stand for more packets than this on average are few.
const THIN: f32 = 4.0;
/// New answers of free text count so much, bytes for bytes: much of it is policy and keys.
const TEXT_ANSWER: f32 = 0.25;
/// A sample stands for so many packets at most.
const MOST_WEIGHT: u32 = 1024;
/// Entries among which the least used makes room for a new one.
const AMONG: usize = 8;

struct Domain {
    last: u64,
    names: Rolling,
    answers: Rolling,
    sums: [[f32; 3]; SUMS],
    /// Names and answers that were really samples, and the new ones among these answers: fading with the last constant.
    seen: f32,
    answered: [f32; 2],
}

/// Where a client's domain is remembered: a guess that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    key: DomainKey,
    slot: u32,
}

/// See the module.
pub struct Names {
    domains: Slab<DomainKey, Domain>,
    seed: u64,
    /// Entries that made room before their time.
    pub overflow: u64,
}

impl Names {
    /// Empty; holds `limit` domains at most.
    pub fn new(limit: usize, seed: u64) -> Names {
        Names { domains: Slab::new(limit), seed, overflow: 0 }
    }

    /// Domains held, with one for each client.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Adds a message between `client` and its server, one sample of `weight`.
    pub fn add(
        &mut self,
        client: [u8; 16],
        message: &Message,
        parts: &Parts<'_>,
        now: u64,
        weight: u32,
    ) -> Option<Place> {
        let mut lower = [0; dns::LONGEST];
        let name = lowered(message.name.as_bytes(), &mut lower);
        let name_hash = hash(self.seed, name);
        let registered = &name[name.len() - parts.registered.len()..];
        let observed = Observed { message, parts, name: name_hash, weight: weight.min(MOST_WEIGHT) as f32 };
        let all = DomainKey { client, domain: 0 };
        if let Some((_, domain)) = self.entry(all, now) {
            domain.add(&observed, now);
        }
        // Bit 0 keeps clear of the entry of all.
        let key = DomainKey { client, domain: hash(self.seed, registered) | 1 };
        let (slot, domain) = self.entry(key, now)?;
        domain.add(&observed, now);
        Some(Place { key, slot })
    }

    /// Notes a datagram on port 53 that is no DNS, of so many bytes.
    pub fn add_foreign(&mut self, client: [u8; 16], bytes: usize, now: u64, weight: u32) -> Option<Place> {
        let key = DomainKey { client, domain: 2 };
        let (slot, domain) = self.entry(key, now)?;
        domain.fade(now);
        let weight = weight.min(MOST_WEIGHT) as f32;
        domain.seen += 1.0;
        domain.grow(Sum::Queries, weight);
        domain.grow(Sum::Alone, weight * bytes as f32 * TEXT_ANSWER);
        Some(Place { key, slot })
    }

    /// What is known at `now`.
    pub fn facts(&self, place: &Place, now: u64) -> DnsFacts {
        let found = self.domains.key(place.slot).is_some_and(|key| *key == place.key);
        let slot = if found { Some(place.slot) } else { self.domains.find(&place.key) };
        let Some(domain) = slot.and_then(|slot| self.domains.get(slot)) else {
            return DnsFacts::default();
        };
        let all =
            self.domains.find(&DomainKey { domain: 0, ..place.key }).and_then(|slot| self.domains.get(slot));
        domain.facts(all, place.key.client, now)
    }

    /// The entry of a key. A new one takes the place of the least used of some entries in turn: a flood of names that are
    /// asked for once takes each other's places, not that of a domain in use.
    fn entry(&mut self, key: DomainKey, now: u64) -> Option<(u32, &mut Domain)> {
        if self.domains.is_full() && self.domains.find(&key).is_none() {
            self.overflow += u64::from(self.domains.make_room(AMONG, |domain| f64::from(domain.used(now))));
        }
        let slot = self.domains.find_or_insert(key, u32::MAX, || Domain::new(now))?;
        self.domains.get_mut(slot).map(|domain| (slot, domain))
    }

    /// Forgets, of so many domains, those silent for so long.
    pub fn forget(&mut self, budget: usize, now: u64, silent: u64) {
        self.domains.sweep(budget, |_, domain| now.saturating_sub(domain.last) > silent);
    }
}

/// A sample, prepared.
struct Observed<'a> {
    message: &'a Message,
    parts: &'a Parts<'a>,
    name: u64,
    weight: f32,
}

impl Domain {
    fn new(now: u64) -> Domain {
        Domain {
            last: now,
            names: Rolling::default(),
            answers: Rolling::default(),
            sums: [[0.0; 3]; SUMS],
            seen: 0.0,
            answered: [0.0; 2],
        }
    }

    fn fade(&mut self, now: u64) {
        let passed = now.saturating_sub(self.last) as f32 / 1e9;
        self.last = self.last.max(now);
        if passed > 0.0 {
            let fade = FADES.map(|constant| (-passed / constant).exp());
            let sums = self.sums.iter_mut();
            sums.for_each(|sum| sum.iter_mut().zip(fade).for_each(|(value, fade)| *value *= fade));
            self.seen *= fade[2];
            self.answered.iter_mut().for_each(|count| *count *= fade[2]);
        }
    }

    fn grow(&mut self, sum: Sum, by: f32) {
        self.sums[sum as usize].iter_mut().for_each(|value| *value += by);
    }

    fn used(&self, now: u64) -> f32 {
        let passed = now.saturating_sub(self.last) as f32 / 1e9;
        (self.sums[Sum::Queries as usize][1] + self.sums[Sum::Responses as usize][1])
            * (-passed / FADES[1]).exp()
    }

    fn add(&mut self, observed: &Observed<'_>, now: u64) {
        let Observed { message, parts, name, weight } = *observed;
        self.fade(now);
        let usual = dns::usual(message.kind);
        let new_name = self.names.add(name, now);
        if new_name > 0.0 {
            // A question and its answer have the same chance to be a sample: each stands for half of a name.
            let share = if weight > 1.0 { weight / 2.0 } else { 1.0 };
            self.add_name(parts, usual, new_name * share);
        }
        if !message.response {
            self.grow(Sum::Queries, weight);
            self.grow(Sum::Unusual, if usual == Usual::Common { 0.0 } else { weight });
            return;
        }
        self.grow(Sum::Responses, weight);
        self.grow(Sum::NoSuchName, if message.code == 3 { weight } else { 0.0 });
        let new_answer =
            if message.answers > 0 { self.answers.add(mix(0, message.answer_hash), now) } else { 0.0 };
        self.answered[0] += 1.0;
        if new_answer > 0.0 {
            self.answered[1] += new_answer;
            let bytes = message.answer_bytes as f32 * new_answer * weight;
            // What the owner of a domain says of a service, such as the key of a mail server, is text but no news.
            let known = if parts.known_form { KNOWN_FORM } else { 1.0 };
            match usual {
                Usual::Common => (),
                Usual::Text | Usual::Name => {
                    self.grow(Sum::AnswerBytes, bytes);
                    self.grow(Sum::Alone, bytes * TEXT_ANSWER * known);
                }
                Usual::Rare => {
                    self.grow(Sum::AnswerBytes, bytes);
                    self.grow(Sum::Alone, bytes);
                }
            }
        }
    }

    fn add_name(&mut self, parts: &Parts<'_>, usual: Usual, weight: f32) {
        self.seen += 1.0;
        self.grow(Sum::NewNames, weight);
        self.grow(Sum::Length, weight * parts.free.len() as f32);
        self.grow(Sum::Entropy, weight * text_entropy(parts.free));
        self.grow(Sum::Carried, weight * parts.carried);
        let times = match usual {
            Usual::Rare => return self.grow(Sum::Alone, weight * parts.carried * RARE),
            // Whoever asks for the text of an address or a service asks what everybody does.
            _ if parts.known_form => 1.0,
            Usual::Common => 1.0,
            Usual::Text => TEXT,
            Usual::Name => NAMES,
        };
        let long = ((parts.carried - 32.0) / 64.0).clamp(0.0, 1.0);
        let alone = ALONE[0] + long * (ALONE[1] - ALONE[0]);
        self.grow(Sum::Alone, weight * parts.carried * times * alone);
        self.grow(Sum::Answered, weight * parts.carried * times * (1.0 - alone));
    }

    fn facts(&self, all: Option<&Domain>, client: [u8; 16], now: u64) -> DnsFacts {
        let slow = |domain: &Domain, sum: Sum| {
            let passed = now.saturating_sub(domain.last) as f32 / 1e9;
            domain.sums[sum as usize][1] * (-passed / FADES[1]).exp()
        };
        let passed = now.saturating_sub(self.last) as f32 / 1e9;
        let fast = |sum: Sum| self.sums[sum as usize][0] * (-passed / FADES[0]).exp();
        let last = |sum: Sum| self.sums[sum as usize][2] * (-passed / FADES[2]).exp();
        let share = |part: f32, of: f32| if of > 0.0 { (part / of).min(1.0) } else { 0.0 };
        let names = slow(self, Sum::NewNames);
        let novelty = if slow(self, Sum::Responses) < 0.05 * slow(self, Sum::Queries) {
            UNANSWERED
        } else {
            let [answers, new] = self.answered;
            ((new - FIRST_ANSWERS) / (answers + FIRST_ANSWERS)).max(0.0)
        };
        let hidden_10min = last(Sum::Alone) + novelty * last(Sum::Answered);
        // A minute of a flow of which one packet in many is a sample says too little.
        let thin = self.sums[Sum::NewNames as usize][2] > THIN * self.seen;
        let of_all = |sum: Sum| all.map_or(0.0, |all| slow(all, sum));
        DnsFacts {
            client,
            queries: slow(self, Sum::Queries),
            queries_10s: fast(Sum::Queries),
            new_names: names,
            new_names_10s: fast(Sum::NewNames),
            name_length: if names > 0.0 { slow(self, Sum::Length) / names } else { 0.0 },
            name_entropy: if names > 0.0 { slow(self, Sum::Entropy) / names } else { 0.0 },
            name_bytes: slow(self, Sum::Carried),
            answer_bytes: slow(self, Sum::AnswerBytes),
            novelty,
            unusual_types: share(slow(self, Sum::Unusual), slow(self, Sum::Queries)),
            hidden: if thin {
                hidden_10min / LASTING
            } else {
                slow(self, Sum::Alone) + novelty * slow(self, Sum::Answered)
            },
            hidden_10min,
            seen: self.seen * (-passed / FADES[2]).exp(),
            client_names: of_all(Sum::NewNames),
            no_such_name: share(of_all(Sum::NoSuchName), of_all(Sum::Responses)),
        }
    }
}

fn lowered<'a>(name: &[u8], into: &'a mut [u8; dns::LONGEST]) -> &'a [u8] {
    into[..name.len()].copy_from_slice(name);
    into[..name.len()].make_ascii_lowercase();
    &into[..name.len()]
}
