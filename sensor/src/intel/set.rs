//! All lists as one: what is looked up, and what the kernel's trie is filled with.
//!
//! In: what each list says, in the order of the configuration. Out: lookups by address, name and fingerprint. What is allowed,
//! and one's own networks, win over whatever is listed, at any length of prefix: that is settled here, once, so that the
//! longest prefix decides everywhere else.

use std::sync::Arc;

use hashbrown::HashMap;

use super::config::{FeedConfig, IntelConfig};
use super::item::{Item, Refused, Value};
use super::prefix::Prefix;
use super::ranges::Ranges;
use crate::alert::{Severity, ThreatType};
use crate::capture::ListedPrefix;

/// Of a name, so many of its last labels are looked at, beside all of it.
const LABELS: usize = 8;
/// Longest name.
const LONGEST: usize = 255;

/// What a list's matches are.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The list.
    pub name: String,
    /// What a match is.
    pub threat: ThreatType,
    /// How bad.
    pub severity: Severity,
}

/// Who says what of an indicator.
#[derive(Clone, Copy, Debug)]
struct Said {
    feed: u16,
    confidence: u8,
    /// Bits of a network's prefix.
    len: u8,
    description: u32,
}

/// A match.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Which list says it.
    pub feed: Arc<Label>,
    /// What is listed.
    pub indicator: String,
    /// `ip`, `domain` or `ja4`.
    pub kind: &'static str,
    /// In the list's words; may be empty.
    pub description: Arc<str>,
    /// 0 to 100.
    pub confidence: u8,
}

/// What one list says, and its place in the configuration.
pub struct FeedItems<'a> {
    /// Its settings.
    pub config: &'a FeedConfig,
    /// What it says.
    pub items: Vec<Item>,
}

/// See the module. Never changed once made.
#[derive(Debug, Default)]
pub struct Set {
    labels: Vec<Arc<Label>>,
    said: Vec<Said>,
    descriptions: Vec<Arc<str>>,
    four: Ranges<u32>,
    six: Ranges<u128>,
    /// 0 is allowed.
    domains: HashMap<Box<str>, u32>,
    ja4: HashMap<Box<str>, u32>,
    trie: Vec<ListedPrefix>,
    /// What was refused while the lists were put together, list by list.
    pub refused: Vec<Refused>,
    /// What each list has in the set: networks, domains and fingerprints.
    pub entries: Vec<[usize; 3]>,
}

/// A number that is nobody's: 0 says that nothing is listed.
const ALLOWED: u32 = 0;

impl Set {
    /// Puts lists together.
    pub fn build(config: &IntelConfig, lists: Vec<FeedItems<'_>>) -> Set {
        let mut builder = Builder::new(config, lists.len());
        for list in lists.iter().filter(|list| list.config.allow) {
            list.items.iter().for_each(|item| builder.allow(&item.value));
        }
        builder.allowed_nets = outermost(std::mem::take(&mut builder.allowed_nets));
        for (feed, list) in lists.into_iter().enumerate() {
            builder.add(feed, list);
        }
        builder.finish()
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.said.len() <= 1
    }

    /// What the kernel's trie is to hold, by first address, larger ones first.
    pub fn trie(&self) -> &[ListedPrefix] {
        &self.trie
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> usize {
        let names: usize = self.domains.keys().chain(self.ja4.keys()).map(|name| name.len() + 32).sum();
        self.four.bytes()
            + self.six.bytes()
            + self.trie.capacity() * size_of::<ListedPrefix>()
            + self.said.capacity() * size_of::<Said>()
            + names
    }

    /// The number of the list that names an address, IPv4 mapped, from 1; 0 is none. The kernel's trie says the same.
    pub fn list(&self, address: &[u8; 16]) -> u32 {
        list_of(&self.said, self.number(address))
    }

    fn number(&self, address: &[u8; 16]) -> u32 {
        let bits = u128::from_be_bytes(*address);
        match Prefix::new(bits, 128).four() {
            Some((four, _)) => self.four.get(four),
            None => self.six.get(bits),
        }
    }

    /// What is said of an address, IPv4 mapped.
    pub fn address(&self, address: &[u8; 16]) -> Option<Hit> {
        let number = self.number(address);
        let said = self.said.get(number as usize).filter(|_| number != ALLOWED)?;
        let listed = Prefix::new(u128::from_be_bytes(*address), said.len);
        Some(self.hit(said, "ip", listed.to_string()))
    }

    /// What is said of a name, or of a name that it is below; as a packet spelt it.
    pub fn domain(&self, name: &[u8]) -> Option<Hit> {
        if self.domains.is_empty() || name.len() > LONGEST {
            return None;
        }
        let mut lower = [0; LONGEST];
        let lower = &mut lower[..name.len()];
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let name = std::str::from_utf8(lower).ok()?;
        let name = name.strip_suffix('.').unwrap_or(name);
        let dots = || name.bytes().enumerate().rev().filter(|(_, byte)| *byte == b'.');
        let mut found = None;
        // From the shortest to the whole: the longest match tells most, and one that allows wins over all.
        let parents = dots().skip(1).take(LABELS - 1).map(|(at, _)| &name[at + 1..]);
        for name in parents.chain([name]) {
            match self.domains.get_key_value(name) {
                Some((_, &ALLOWED)) => return None,
                Some((listed, &number)) => found = Some((listed, number)),
                None => {}
            }
        }
        let (listed, number) = found?;
        self.said.get(number as usize).map(|said| self.hit(said, "domain", listed.to_string()))
    }

    /// What is said of a TLS client's fingerprint.
    pub fn ja4(&self, fingerprint: &str) -> Option<Hit> {
        let number = self.ja4.get(fingerprint).filter(|number| **number != ALLOWED)?;
        self.said.get(*number as usize).map(|said| self.hit(said, "ja4", fingerprint.to_owned()))
    }

    fn hit(&self, said: &Said, kind: &'static str, indicator: String) -> Hit {
        Hit {
            feed: self.labels[usize::from(said.feed)].clone(),
            indicator,
            kind,
            description: self.descriptions[said.description as usize].clone(),
            confidence: said.confidence,
        }
    }
}

struct Builder<'a> {
    config: &'a IntelConfig,
    set: Set,
    own: Vec<Prefix>,
    allowed_nets: Vec<Prefix>,
    nets: Vec<(Prefix, u32)>,
    known: HashMap<Arc<str>, u32>,
}

impl<'a> Builder<'a> {
    fn new(config: &'a IntelConfig, lists: usize) -> Builder<'a> {
        let nothing = Said { feed: 0, confidence: 0, len: 0, description: 0 };
        let set = Set {
            said: vec![nothing],
            descriptions: vec!["".into()],
            refused: vec![Refused::default(); lists],
            entries: vec![[0; 3]; lists],
            ..Set::default()
        };
        let own = config.own_networks.iter().filter_map(|net| Prefix::of(*net).ok()).collect();
        let mut builder = Builder {
            config,
            set,
            own: outermost(own),
            allowed_nets: Vec::new(),
            nets: Vec::new(),
            known: HashMap::new(),
        };
        config.allow.iter().filter_map(|text| Value::guess(text)).for_each(|value| builder.allow(&value));
        builder
    }

    fn allow(&mut self, value: &Value) {
        match value {
            Value::Net(prefix) => self.allowed_nets.push(*prefix),
            Value::Domain(name) => drop(self.set.domains.insert(name.clone(), ALLOWED)),
            Value::Ja4(text) => drop(self.set.ja4.insert(text.clone(), ALLOWED)),
        }
    }

    fn add(&mut self, feed: usize, list: FeedItems<'_>) {
        let FeedConfig { name, threat, severity, confidence, allow, .. } = list.config;
        let label = Label { name: name.clone(), threat: *threat, severity: *severity };
        self.set.labels.push(Arc::new(label));
        if *allow {
            for item in &list.items {
                self.set.entries[feed][kind(&item.value)] += 1;
            }
            return;
        }
        for item in list.items {
            let said = Said {
                feed: feed as u16,
                confidence: item.confidence.unwrap_or(*confidence),
                len: if let Value::Net(prefix) = &item.value { prefix.len } else { 0 },
                description: self.description(&item.description),
            };
            match item.value {
                Value::Net(prefix) => self.net(prefix, said),
                Value::Domain(name) => self.name(name, said, |set| &mut set.domains),
                Value::Ja4(text) => self.name(text, said, |set| &mut set.ja4),
            }
        }
    }

    fn description(&mut self, text: &Arc<str>) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = self.set.descriptions.len() as u32;
        self.set.descriptions.push(text.clone());
        self.known.insert(text.clone(), number);
        number
    }

    fn net(&mut self, prefix: Prefix, said: Said) {
        let refused = &mut self.set.refused[usize::from(said.feed)];
        if holds(&self.own, &prefix) {
            refused.own += 1;
        } else if holds(&self.allowed_nets, &prefix) {
            refused.allowed += 1;
        } else if self.nets.len() >= self.config.max_prefixes {
            refused.beyond += 1;
        } else {
            // Its part in one's own networks is cut out.
            refused.own += u64::from(self.own.iter().any(|own| prefix.holds(own)));
            self.nets.push((prefix, self.set.said.len() as u32));
            self.set.said.push(said);
        }
    }

    fn name(&mut self, name: Box<str>, said: Said, of: fn(&mut Set) -> &mut HashMap<Box<str>, u32>) {
        let feed = usize::from(said.feed);
        let held = self.set.domains.len() + self.set.ja4.len();
        let number = self.set.said.len() as u32;
        match of(&mut self.set).get(&name).copied() {
            Some(ALLOWED) => self.set.refused[feed].allowed += 1,
            Some(other) if self.set.said[other as usize].confidence >= said.confidence => {}
            None if held >= self.config.max_names => self.set.refused[feed].beyond += 1,
            _ => {
                of(&mut self.set).insert(name, number);
                self.set.said.push(said);
            }
        }
    }

    fn finish(mut self) -> Set {
        let mut nets = std::mem::take(&mut self.nets);
        let said = &self.set.said;
        // Of lists that say the same, the surest one, then the first one is heard.
        let rank = |number: u32| (u8::MAX - said[number as usize].confidence, number);
        nets.sort_unstable_by_key(|(prefix, number)| (*prefix, rank(*number)));
        nets.dedup_by_key(|(prefix, _)| *prefix);
        for (_, number) in &nets {
            self.set.entries[usize::from(said[*number as usize].feed)][0] += 1;
        }
        for (of, names) in [(1, &self.set.domains), (2, &self.set.ja4)] {
            for number in names.values().filter(|number| **number != ALLOWED) {
                self.set.entries[usize::from(said[*number as usize].feed)][of] += 1;
            }
        }
        let exempt = outermost([self.own, self.allowed_nets].concat());
        nets.extend(exempt.into_iter().map(|prefix| (prefix, ALLOWED)));
        nets.sort_unstable();
        let mut end = None;
        nets.retain(|(prefix, number)| {
            let inside = end.is_some_and(|end| prefix.bits <= end);
            if *number != ALLOWED {
                end = end.max(Some(prefix.last()));
            }
            *number != ALLOWED || inside
        });
        let ranges = nets.iter().filter_map(|(prefix, number)| prefix.four().map(|(a, b)| (a, b, *number)));
        self.set.four = Ranges::new(ranges);
        let ranges = nets.iter().filter(|(prefix, _)| prefix.four().is_none());
        self.set.six = Ranges::new(ranges.map(|(prefix, number)| (prefix.bits, prefix.last(), *number)));
        let entry = |(prefix, number): &(Prefix, u32)| {
            ListedPrefix::new(prefix.bits, prefix.len, list_of(said, *number))
        };
        self.set.trie = nets.iter().map(entry).collect();
        self.set
    }
}

fn list_of(said: &[Said], number: u32) -> u32 {
    let said = said.get(number as usize).filter(|_| number != ALLOWED);
    said.map_or(0, |said| u32::from(said.feed) + 1)
}

fn kind(value: &Value) -> usize {
    match value {
        Value::Net(_) => 0,
        Value::Domain(_) => 1,
        Value::Ja4(_) => 2,
    }
}

/// Those that no other one holds, in order.
fn outermost(mut nets: Vec<Prefix>) -> Vec<Prefix> {
    nets.sort_unstable();
    let mut kept: Vec<Prefix> = Vec::new();
    for net in nets {
        if !kept.last().is_some_and(|last| last.holds(&net)) {
            kept.push(net);
        }
    }
    kept
}

/// Whether one of some networks, outermost ones and in order, holds this one.
fn holds(nets: &[Prefix], net: &Prefix) -> bool {
    let after = nets.partition_point(|other| other.bits <= net.bits);
    after > 0 && nets[after - 1].holds(net)
}
