//! What each host did in the open window, summed over its flows, and what is remembered of it.

use super::config::FeaturesConfig;
use super::damped::{Multi, Scales, Usual};
use super::facts::{FlowFacts, HostFacts, Outcome};
use super::fading::patience;
use super::memory::{Memory, NOWHERE};
use super::moves::Moves;
use super::pool::Pool;
use super::pressure::Pressure;
use super::rarity::Habit;
use super::sketch::{Distinct, mix, mix_address};
use super::sums::{Sketches, Sums};
use super::walk::{self, Contact, Walk};
use crate::flow::slab::Slab;
use crate::flow::{SECOND, is_group};
use sensor_ebpf::flow::proto;

/// A host that never had an answer is forgotten after this silence once half of the table is taken, or spoofed
/// addresses would fill it.
const UNANSWERED_KEPT: u64 = 15 * SECOND;
/// Failed targets are counted over half a minute to a whole one.
const HALF_MINUTE: u64 = 30 * SECOND;
/// Of one source, unusual novelty is noted this often.
const NOTED: u64 = 600 * SECOND;
/// Entries looked at per window for what can be forgotten.
const SWEEP: usize = 16_384;
const NO_WINDOW: u32 = u32::MAX;

/// Remembered of a host.
struct Host {
    first_seen: u64,
    last_seen: u64,
    answered: bool,
    known: Known,
    /// Of this half minute and the one before; most hosts have none.
    failed_targets: Option<Box<[Distinct; 2]>>,
    half_minute: u64,
    recent_failed: f64,
    noted: u64,
    moves: Moves,
    pressure: Pressure,
    walk: Option<Box<Walk>>,
    /// Of what it sent, and of what it received.
    usual: [Usual; 2],
    window: u32,
}

impl Host {
    fn new(now: u64) -> Host {
        Host {
            first_seen: now,
            last_seen: now,
            answered: false,
            known: Known::default(),
            failed_targets: None,
            half_minute: now / HALF_MINUTE,
            recent_failed: 0.0,
            noted: 0,
            moves: Moves::default(),
            pressure: Pressure::default(),
            walk: None,
            usual: Default::default(),
            window: NO_WINDOW,
        }
    }
}

/// What ordinary rows showed of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Known {
    /// It began flows.
    pub begins: bool,
    /// It was there: began or answered.
    pub there: bool,
    /// It answered.
    pub serves: bool,
    /// How often it meets something new.
    pub habit: Habit,
}

/// What is saved of a host: when it was first seen, and what is known of it.
pub type SavedHost = ([u8; 16], u64, Known);

/// All hosts.
pub struct Hosts {
    hosts: Slab<[u8; 16], Host>,
    past: Pool<Multi>,
    sums: Vec<Sums>,
    sketches: Sketches,
    seed: u64,
    fading: f64,
    scales: Scales,
    forget_after: u64,
    room: usize,
    /// Times a host was not accounted for because the table was full.
    pub overflow: u64,
}

impl Hosts {
    /// Empty.
    pub fn new(config: &FeaturesConfig) -> Hosts {
        Hosts {
            hosts: Slab::new(config.max_hosts),
            past: Pool::default(),
            sums: Vec::new(),
            sketches: Sketches::default(),
            seed: config.seed,
            fading: config.memory.as_nanos() as f64,
            scales: Scales::default(),
            forget_after: config.forget_after.as_nanos().min(u128::from(u64::MAX)) as u64,
            room: config.max_hosts,
            overflow: 0,
        }
    }

    /// Hosts remembered.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Hosts that were answered, or are known, in order of address.
    pub fn saved(&self) -> Vec<SavedHost> {
        let mut all: Vec<_> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.answered || host.known.there)
            .map(|(address, host)| (*address, host.first_seen, host.known))
            .collect();
        all.sort_unstable_by_key(|(address, ..)| *address);
        all
    }

    /// Remembers a host from a saved state.
    pub fn remember(&mut self, (address, first_seen, known): SavedHost, now: u64) {
        self.hosts.find_or_insert(address, NOWHERE, || Host {
            first_seen,
            answered: true,
            known,
            half_minute: 0,
            ..Host::new(now)
        });
    }

    /// The hash of an address, for the lookups that it begins.
    pub(super) fn hash(&self, address: &[u8; 16]) -> u64 {
        self.hosts.hash(address)
    }

    /// Loads where a lookup begins; the value means nothing.
    #[inline]
    pub(super) fn touch_index(&self, hash: u64) -> u64 {
        self.hosts.touch_index(hash)
    }

    /// Where a lookup most probably ends.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> u32 {
        self.hosts.guess(hash).unwrap_or(NOWHERE)
    }

    /// Loads what is remembered there; the value means nothing.
    #[inline]
    pub(super) fn touch(&self, slot: u32) -> u64 {
        self.hosts.get(slot).map_or(0, |host| host.last_seen ^ u64::from(host.window))
    }

    /// What ordinary rows showed of the host of a slot.
    pub fn known(&self, slot: u32) -> Option<&Known> {
        self.hosts.get(slot).map(|host| &host.known)
    }

    /// The same, to be added to.
    pub fn known_mut(&mut self, slot: u32) -> Option<&mut Known> {
        self.hosts.get_mut(slot).map(|host| &mut host.known)
    }

    /// What is remembered of how the host of a slot moves about.
    pub(super) fn moves(&mut self, slot: u32) -> Option<&mut Moves> {
        self.hosts.get_mut(slot).map(|host| &mut host.moves)
    }

    /// The host of a slot made contact with a service for the first time.
    pub(super) fn met(&mut self, slot: u32, contact: Contact, (dst, port): (&[u8; 16], u16), now: u64) {
        let peer = mix_address(self.seed, dst);
        let walk = self.hosts.get_mut(slot).map(|host| &mut host.walk);
        walk.into_iter().for_each(|walk| walk::add(walk, contact, [mix(peer, u64::from(port)), peer], now));
    }

    /// The host of a slot was sent packets that lead nowhere, by who never used the service.
    pub(super) fn press(&mut self, slot: u32, packets: u64) {
        let sums = self.hosts.get(slot).and_then(|host| self.sums.get_mut(host.window as usize));
        sums.into_iter().for_each(|sums| sums.facts.strange_in += packets);
    }

    /// A saved state says that the host used a service for administration.
    pub fn know_move(&mut self, address: &[u8; 16]) {
        if let Some(moves) = self.hosts.find(address).and_then(|slot| self.moves(slot)) {
            moves.know();
        }
    }

    /// The habit of the host of a slot, if it may be added to although what the host did was unusual: once in a while.
    pub fn may_note(&mut self, slot: u32, now: u64) -> Option<&mut Habit> {
        let host = self.hosts.get_mut(slot)?;
        if now.saturating_sub(host.noted) < NOTED {
            return None;
        }
        host.noted = now;
        Some(&mut host.known.habit)
    }

    /// Whether the host of a slot was first seen after what was learned.
    pub fn is_new(&self, slot: u32, now: u64, memory: &Memory) -> bool {
        self.hosts.get(slot).is_some_and(|host| memory.is_new(host.first_seen, now, false))
    }

    /// The place of the sums of a host in the window that ends at `now`. `known` is where it is remembered.
    fn sums(&mut self, address: &[u8; 16], known: &mut u32, now: u64, answered: bool) -> Option<usize> {
        let slot = self.hosts.find_or_insert(*address, *known, || Host::new(now));
        *known = slot.unwrap_or(NOWHERE);
        let Some(host) = self.hosts.get_mut(*known) else {
            self.overflow += 1;
            return None;
        };
        host.answered |= answered;
        if host.window == NO_WINDOW {
            host.window = self.sums.len() as u32;
            let passed = now.saturating_sub(host.last_seen);
            if host.recent_failed > 0.0 {
                host.recent_failed *= (-(passed as f64) / self.fading).exp();
            }
            if passed > 0 {
                let fades = self.scales.over(passed);
                host.usual.iter_mut().for_each(|usual| usual.next_window(fades, &mut self.past));
            }
            host.last_seen = now;
            if host.half_minute != now / HALF_MINUTE {
                let follows = host.half_minute + 1 == now / HALF_MINUTE;
                let before = host.failed_targets.take().filter(|targets| follows && targets[0].ones() > 0);
                host.failed_targets = before.map(|targets| Box::new([Distinct::default(), targets[0]]));
                host.half_minute = now / HALF_MINUTE;
            }
            self.sums.push(Sums::new(*known, *address));
        }
        Some(host.window as usize)
    }

    /// Adds a flow to both its hosts. The target first: a flood of invented sources must not keep it out. `known` is
    /// where initiator and target are remembered.
    pub fn add(&mut self, flow: &FlowFacts, known: [&mut u32; 2], began: bool, new_pair: bool, now: u64) {
        let [src_slot, dst_slot] = known;
        let seed = self.seed;
        let answered = flow.total.packets[1] > 0;
        let tcp = flow.key.proto == proto::TCP;
        let unanswered_datagrams = !answered && !tcp && !is_group(&flow.dst);
        let silent = if unanswered_datagrams { flow.window.packets[0] } else { 0 };
        let (waiting, one_sided) = if flow.awaited { (silent, 0) } else { (0, silent) };
        // A flood may use one source port: every SYN counts, not every flow.
        let syns = u64::from(flow.window.flags[0].syn).max(1);
        let count = |condition: bool| if condition { syns } else { 0 };
        let half_open = count(flow.outcome == Outcome::HalfOpen);
        let unanswered = count(flow.outcome == Outcome::Unanswered);
        let refused = count(flow.outcome == Outcome::Refused);
        let incomplete = half_open + unanswered;
        let source_hash = mix_address(seed, &flow.src);
        // What has no ports is told apart by its protocol: some scans try those.
        let protocol = if matches!(flow.key.proto, proto::TCP | proto::UDP) { 0 } else { flow.key.proto };
        let port_hash = mix(seed, u64::from(flow.dst_port) | u64::from(protocol) << 16);
        let began = u64::from(began);

        if let Some(at) = self.sums(&flow.dst, dst_slot, now, answered) {
            let (sums, distinct) = (&mut self.sums[at], &mut self.sketches.distinct);
            let facts = &mut sums.facts;
            take_part(facts, flow, 1);
            facts.incoming += began;
            facts.incomplete_in += incomplete;
            facts.refused_in += refused;
            facts.one_sided_in += one_sided;
            if is_unreachable(flow) {
                facts.unreachable += flow.window.packets[0];
            }
            sums.sources.add(source_hash, distinct);
            if one_sided > 0 && is_fragments(flow) {
                facts.unasked_in += one_sided;
                sums.unasked_sources.add(source_hash, distinct);
            }
            sums.waiting.add(1, waiting, answered);
            let failing = incomplete + refused + one_sided + waiting;
            if failing > 0 {
                sums.failing_sources.add(source_hash, distinct);
                sums.failing_ports.add(port_hash, distinct);
                sums.source.vote(flow.src, failing);
                sums.port.vote(flow.dst_port, failing);
                facts.port_proto = flow.key.proto;
            }
        }
        if let Some(at) = self.sums(&flow.src, src_slot, now, answered) {
            let (sums, distinct) = (&mut self.sums[at], &mut self.sketches.distinct);
            let facts = &mut sums.facts;
            take_part(facts, flow, 0);
            facts.started += began;
            facts.new_services += u64::from(new_pair);
            facts.one_sided_out += one_sided;
            facts.completed += u64::from(flow.outcome == Outcome::Completed);
            facts.refused += refused;
            facts.half_open += half_open;
            facts.unanswered += unanswered;
            let unasked = flow.unasked();
            if unasked > 0 {
                facts.unasked_in += unasked;
                facts.target_proto = flow.key.proto;
                sums.unasked_sources.add(mix_address(seed, &flow.dst), distinct);
            }
            sums.waiting.add(0, waiting, answered);
            let tried = began > 0 || incomplete + refused > 0;
            let peer = mix_address(seed, &flow.dst);
            if tried {
                sums.peers.add(peer, distinct);
                sums.ports.add(port_hash, distinct);
                sums.port_spread.add(port_hash, &mut self.sketches.spread);
            }
            let failing = incomplete + refused + one_sided;
            if failing > 0 {
                sums.target.vote(flow.dst, failing);
                sums.target_port.vote(flow.dst_port, failing);
                sums.failing_peers.add(peer, distinct);
                sums.tried_ports.add(port_hash, distinct);
                facts.target_proto = flow.key.proto;
                let slot = sums.slot;
                if let Some(host) = self.hosts.get_mut(slot) {
                    let targets = host.failed_targets.get_or_insert_default();
                    targets[0].add(mix(peer, u64::from(flow.dst_port)));
                    host.recent_failed += (incomplete + refused) as f64;
                }
            }
        }
    }

    /// The facts of every host that was active, in the order in which they were, and the next window begins.
    pub fn close(&mut self, seconds: f64, now: u64, rows: &mut Vec<HostFacts>) {
        rows.clear();
        for sums in self.sums.drain(..) {
            let (slot, mut facts) = sums.finish(seconds, &self.sketches);
            if let Some(host) = self.hosts.get_mut(slot) {
                host.window = NO_WINDOW;
                let failed = host.failed_targets.as_ref();
                facts.failed_targets = failed.map_or(0.0, |targets| targets[0].union(&targets[1]).count());
                facts.recent_failed = host.recent_failed;
                facts.scanning = host.walk.as_ref().map(|walk| walk.facts(now)).unwrap_or_default();
                facts.pressed = host.pressure.hold(facts.strange_in as f64 / seconds, seconds, now);
                (facts.moves, facts.moved) = (host.moves.recent(now), host.moves.moved(now));
                for (side, usual) in host.usual.iter_mut().enumerate() {
                    // A host that sent nothing did so, too: the rate is the least there is.
                    let each = |count: u64| ((count as f64 / seconds) as f32).max(1.0);
                    usual.add([each(facts.packets[side]), each(facts.bytes[side])]);
                    facts.deviations[side] = usual.deviations(&self.past);
                }
            }
            rows.push(facts);
        }
        self.sketches.clear();
        let forget = self.forget_after;
        let unanswered = patience(self.hosts.len(), self.room, UNANSWERED_KEPT);
        let past = &mut self.past;
        self.hosts.sweep(SWEEP, |_, host| {
            let old = now.saturating_sub(host.last_seen) > if host.answered { forget } else { unanswered };
            if old {
                host.usual.iter().for_each(|usual| usual.release(past));
            }
            old
        });
    }
}

/// Adds what a flow carried to a host on its `side`, 0 the initiator.
fn take_part(facts: &mut HostFacts, flow: &FlowFacts, side: usize) {
    facts.packets[0] += flow.window.packets[side];
    facts.packets[1] += flow.window.packets[1 - side];
    facts.bytes[0] += flow.window.bytes[side];
    facts.bytes[1] += flow.window.bytes[1 - side];
    facts.seen[0] = facts.seen[0].min(flow.start);
    facts.seen[1] = facts.seen[1].max(flow.last);
}

/// Later fragments of datagrams, which have no ports: large answers come with them.
fn is_fragments(flow: &FlowFacts) -> bool {
    flow.key.proto == proto::UDP && flow.src_port == 0 && flow.dst_port == 0
}

/// ICMP destination unreachable (RFC 792: type 3; RFC 4443: type 1).
fn is_unreachable(flow: &FlowFacts) -> bool {
    matches!((flow.key.proto, flow.src_port), (proto::ICMP, 3) | (proto::ICMPV6, 1))
}
