//! Closes a window: the flows that were active become rows of features.

use super::ahead::{self, AT_ONCE};
use super::app::App;
use super::config::FeaturesConfig;
use super::facts::{FlowFacts, HostFacts};
use super::host::Hosts;
use super::link::{LinkFacts, Links};
use super::memory::{Memory, PairKey, Slots};
use super::moves::is_move;
use super::plain::{addition, await_answer, plain};
use super::pressure::nowhere;
use super::rarity::{Habits, New, Rarity};
use super::sketch::mix_address;
use super::walk::contact;
use crate::flow::table::{Flow, FlowTable, Grown};
use crate::flow::{ip, is_group};
use crate::score::random::Random;
use sensor_ebpf::flow::proto;
use std::net::IpAddr;

/// Internet Group Management Protocol (RFC 3376).
const IGMP: u8 = 2;

/// A window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Nanoseconds since the Unix epoch.
    pub start: u64,
    /// Same; packets up to the tick that closed it are in it.
    pub end: u64,
}

/// The rows of a window. They are read where the flows are: of a flow's row only its place is held.
pub struct Rows {
    /// The window.
    pub window: Window,
    /// Its length, seconds, 1 at least.
    pub seconds: f64,
    /// Places of the flows that have a row, in the order in which they grew first; what comes after those of the
    /// flow table are places beyond it.
    pub flows: Vec<u32>,
    /// Facts of the hosts that have a row, in the order in which they took part.
    pub hosts: Vec<HostFacts>,
    /// Facts of the MAC addresses that sent something other than IP, in the order in which they did.
    pub links: Vec<LinkFacts>,
    /// Rows that there would have been without a limit.
    pub made: u64,
    /// Rows beyond the limit.
    pub shed: u64,
}

/// Makes the rows, and remembers what they need.
pub struct Features {
    config: FeaturesConfig,
    /// Pairs and services.
    pub memory: Memory,
    /// Hosts.
    pub hosts: Hosts,
    /// How often something new turns up.
    pub habits: Habits,
    /// MAC addresses.
    pub links: Links,
    /// What samples say.
    pub app: App,
    random: Random,
}

/// The flows of a window: those of the table, then those it had no room for.
pub struct Active<'a> {
    /// The table.
    pub table: &'a mut FlowTable,
    /// Beyond it.
    pub beyond: &'a mut [(Flow, Grown)],
}

impl Active<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.active() + self.beyond.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A flow by its place.
    pub fn get(&self, place: u32) -> (&Flow, &Grown) {
        match (place as usize).checked_sub(self.table.active()) {
            None => self.table.active_flow(place as usize),
            Some(beyond) => (&self.beyond[beyond].0, &self.beyond[beyond].1),
        }
    }

    fn get_mut(&mut self, place: usize) -> (&mut Flow, &Grown) {
        match place.checked_sub(self.table.active()) {
            None => self.table.active_flow_mut(place),
            Some(beyond) => (&mut self.beyond[beyond].0, &self.beyond[beyond].1),
        }
    }
}

impl Rows {
    /// Without rows.
    pub fn new() -> Rows {
        let window = Window { start: 0, end: 0 };
        Rows {
            window,
            seconds: 1.0,
            flows: Vec::new(),
            hosts: Vec::new(),
            links: Vec::new(),
            made: 0,
            shed: 0,
        }
    }
}

impl Default for Rows {
    fn default() -> Self {
        Rows::new()
    }
}

impl Features {
    /// Empty.
    pub fn new(config: &FeaturesConfig) -> Features {
        Features {
            memory: Memory::new(config),
            hosts: Hosts::new(config),
            habits: Habits::default(),
            links: Links::new(config),
            app: App::new(config),
            random: Random::new(config.seed),
            config: config.clone(),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.memory = Memory::new(&self.config);
        self.hosts = Hosts::new(&self.config);
        self.habits = Habits::default();
        self.links = Links::new(&self.config);
    }

    /// Closes a window over the flows that were active in it: remembers what they did, and says which rows there are.
    pub fn close(&mut self, window: Window, active: &mut Active<'_>, rows: &mut Rows) {
        let now = window.end;
        let seconds = (window.end.saturating_sub(window.start) as f64 / 1e9).max(1.0);
        (rows.window, rows.seconds) = (window, seconds);
        let mut answered = 0;
        for place in 0..active.len() {
            if place % AT_ONCE == 0 {
                let group = place..active.len().min(place + AT_ONCE);
                ahead::unknown(&self.memory, &self.hosts, active, group);
            }
            let (flow, grown) = active.get_mut(place);
            let key = PairKey::of(flow);
            let mut facts = plain(flow, grown, seconds, now);
            await_answer(&mut facts, &key, &self.memory);
            let [pair, service, src, dst] = &mut flow.known;
            let guess = Slots { pair: *pair, service: *service };
            let addition = addition(&facts, grown);
            answered += usize::from(addition.answered);
            let (slots, first) = self.memory.add(key, guess, now, &addition);
            (*pair, *service) = (slots.pair, slots.service);
            let new_pair = first && self.memory.is_new(now, now, false);
            self.hosts.add(&facts, [src, dst], grown.began, new_pair, now);
            let (strange, made) = self.memory.met(*pair, addition.connections, now);
            if let Some(contact) = made.and_then(|made| contact(&facts, made, first)) {
                self.hosts.met(*src, contact, (&facts.dst, facts.dst_port), now);
            }
            let packets = if strange { nowhere(&facts) } else { 0 };
            if packets > 0 {
                self.hosts.press(*dst, packets);
            }
            if is_move(&facts)
                && let Some(moves) = self.hosts.moves(*src)
            {
                let pair = self.memory.facts(slots, now);
                match pair.new_pair {
                    true => moves.reach(mix_address(self.config.seed, &facts.dst), pair.new_service, now),
                    false if first => moves.know(),
                    false => {}
                }
            }
        }
        self.hosts.close(seconds, now, &mut rows.hosts);
        self.links.close(window, &mut rows.links);
        rows.made = (active.len() + rows.hosts.len() + rows.links.len()) as u64;
        rows.links.truncate(self.config.max_rows);
        keep_busiest(&mut rows.hosts, self.config.max_rows - rows.links.len());
        let room = self.config.max_rows - rows.links.len() - rows.hosts.len();
        self.choose(active, answered, room, &mut rows.flows);
        rows.shed = rows.made - (rows.flows.len() + rows.hosts.len() + rows.links.len()) as u64;
        self.memory.forget(now);
        self.app.forget(now);
    }

    /// The flows that have a row: all, or `room` of them. Flows that were answered come first, and among equals
    /// chance decides, so that a flood of new flows can neither crowd out what was there nor choose what is seen.
    fn choose(&mut self, active: &Active<'_>, answered: usize, room: usize, chosen: &mut Vec<u32>) {
        chosen.clear();
        let all = active.len();
        if all <= room {
            return chosen.extend(0..all as u32);
        }
        // Of so many left, so many are wanted: answered ones, then others (selection sampling: Knuth, 3.4.2, S).
        let mut wanted = [answered.min(room), room.saturating_sub(answered)];
        let mut left = [answered, all - answered];
        for place in 0..all as u32 {
            let kind = usize::from(active.get(place).0.total.packets[1] == 0);
            if left[kind] > 0 && self.random.below(left[kind]) < wanted[kind] {
                wanted[kind] -= 1;
                chosen.push(place);
            }
            left[kind] = left[kind].saturating_sub(1);
        }
    }

    /// Brings what these flows refer to into the cache, for those that have their facts next.
    pub fn load(&self, active: &Active<'_>, places: &[u32]) {
        ahead::known(&self.memory, &self.hosts, active, places);
    }

    /// All facts of a flow that has a row.
    pub fn flow_facts(&self, rows: &Rows, (flow, grown): (&Flow, &Grown)) -> FlowFacts {
        let mut facts = plain(flow, grown, rows.seconds, rows.window.end);
        self.add_known(rows, flow, &mut facts);
        facts
    }

    /// The same, in place of those of another flow: they are a kilobyte, which nobody should copy about.
    pub fn tell(&self, rows: &Rows, (flow, grown): (&Flow, &Grown), facts: &mut FlowFacts) {
        *facts = plain(flow, grown, rows.seconds, rows.window.end);
        self.add_known(rows, flow, facts);
    }

    #[inline]
    fn add_known(&self, rows: &Rows, flow: &Flow, facts: &mut FlowFacts) {
        let now = rows.window.end;
        await_answer(facts, &PairKey::of(flow), &self.memory);
        let [pair, service, _, dst] = flow.known;
        facts.pair = self.memory.facts(Slots { pair, service }, now);
        facts.app = self.app.facts(&flow.key, now);
        // Joined in its middle, it had its hello before.
        facts.app.tls.no_hello &= flow.total.flags[0].syn > 0;
        facts.pair.new_host = facts.pair.new_pair && self.hosts.is_new(dst, now, &self.memory);
        facts.pair.rarity = self.rarity(facts, flow.known, now);
    }

    /// How surprising it is that a flow's hosts talk.
    fn rarity(&self, facts: &FlowFacts, known: [u32; 4], now: u64) -> Rarity {
        let [pair, service, src, _] = known;
        if is_housekeeping(facts) {
            return Rarity::default();
        }
        let Some((new_service, held)) = self.memory.surprising(Slots { pair, service }, now) else {
            return Rarity::default();
        };
        let habit = self.hosts.known(src).map(|host| host.habit).unwrap_or_default();
        self.habits.rarity(self.novelty(facts, known, new_service), &habit).max(held)
    }

    /// What is new about a pair that is a surprise.
    fn novelty(&self, facts: &FlowFacts, [_, _, src, dst]: [u32; 4], new_service: bool) -> New {
        let (begins, group) = (self.hosts.known(src).is_none_or(|host| host.begins), is_group(&facts.dst));
        let (there, serves) = self.hosts.known(dst).map_or((true, true), |host| (host.there, host.serves));
        New {
            source: !begins && !is_self_assigned(&facts.src),
            destination: !there && !group,
            server: !serves && !group,
            service: new_service,
            port: self.habits.is_new_port(facts.key.proto, facts.dst_port),
        }
    }

    /// A pair was unusual in its first window: nothing about it is learned but that such things happen, of each source
    /// once in a while, so that no source makes them ordinary alone.
    pub fn note_novelty(&mut self, facts: &FlowFacts, flow: &Flow, now: u64) {
        let [pair, service, src, _] = flow.known;
        let first = self.memory.is_first_window(pair, now) && !is_housekeeping(facts);
        let surprising = self.memory.surprising(Slots { pair, service }, now).filter(|_| first);
        let Some((new_service, _)) = surprising else {
            return;
        };
        let new = self.novelty(facts, flow.known, new_service);
        if let Some(habit) = self.hosts.may_note(src, now) {
            self.habits.note(new, habit);
        }
    }

    /// Whether the pair of a flow was first seen in the window that ends now.
    pub fn is_first_window(&self, flow: &Flow, now: u64) -> bool {
        self.memory.is_first_window(flow.known[0], now)
    }

    /// A flow was unusual: what else is learned meanwhile does not make it less of a surprise.
    pub fn hold_surprise(&mut self, facts: &FlowFacts, flow: &Flow) {
        let [pair, service, ..] = flow.known;
        self.memory.hold_surprise(Slots { pair, service }, &facts.pair.rarity);
    }

    /// Whether the pair of a flow was first seen after what was learned, and not for long.
    pub fn is_new(&self, flow: &Flow, now: u64) -> bool {
        self.memory.is_new_pair(flow.known[0], now)
    }

    /// A flow was ordinary: it raises what is usual for its pair and service, and nothing about it is new any more.
    pub fn absorb(&mut self, flow: &Flow) {
        let [pair, service, src, dst] = flow.known;
        let slots = Slots { pair, service };
        self.memory.absorb(slots);
        let ((_, _), (address, port)) = (flow.src(), flow.dst());
        let group = is_group(&address);
        // A scan must not make known what it tried.
        let answered = flow.total.packets[1] > 0 || group;
        let (new_pair, new_service) = self.memory.learn(slots, answered);
        let (there, serves) = self.hosts.known_mut(dst).map_or((true, true), |host| {
            let before = (host.there, host.serves);
            (host.there, host.serves) = (host.there || answered, host.serves || answered);
            before
        });
        let source = self.hosts.known_mut(src);
        let begins = source.as_ref().is_none_or(|host| host.begins);
        let new = New {
            source: !begins,
            destination: !there && !group,
            server: !serves && !group,
            service: new_service,
            port: self.habits.is_new_port(flow.key.proto, port),
        };
        let habit = source.map(|host| {
            (host.begins, host.there) = (true, true);
            &mut host.habit
        });
        self.habits.learn(new_pair.then_some(new), habit, flow.key.proto, port);
    }
}

/// Housekeeping of a host that comes up: neighbour discovery (RFC 4861), IGMP and MLD reports to groups.
fn is_housekeeping(facts: &FlowFacts) -> bool {
    is_group(&facts.dst) && matches!(facts.key.proto, proto::ICMPV6 | IGMP)
}

/// An address that a host gave itself, or has none yet: says nothing about who it is (RFC 3927, RFC 4862).
fn is_self_assigned(address: &[u8; 16]) -> bool {
    match ip(address) {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

/// The hosts with the most packets keep their rows; one packet more or less decides nothing that matters.
fn keep_busiest(hosts: &mut Vec<HostFacts>, limit: usize) {
    if hosts.len() > limit {
        hosts.sort_by_key(|facts| std::cmp::Reverse(facts.packets[0] + facts.packets[1]));
        hosts.truncate(limit);
    }
}
