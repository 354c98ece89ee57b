//! Joins what lists know with what is seen: flows with listed addresses, and names that samples held.
//!
//! The source looks up the addresses of each new flow; a set that comes later is looked up here for the flows there are.

use super::{Analysis, Output};
use crate::alert::Raised;
use crate::alert::sighting::{Sighting, SightingKey};
use crate::capture::Listed;
use crate::features::app::NameHit;
use crate::features::rows::Window;
use crate::flow::flags::FlagCounts;
use crate::flow::table::{Flow, Grown};
use crate::intel::{Hit, Set};
use sensor_ebpf::flow::FlowKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Flows looked up anew in a tick.
const RECHECKED: usize = 32_768;
/// Ticks until every flow that was looked up in the set before is in the flow table: its packet may still have been under way
/// in the drain that turned to the new set.
const SETTLED: u32 = 2;
/// Indicators, each with a host, in a window.
const MOST: usize = 4096;
/// Listed flows that the flow table had no room for, in a window.
const STRAYS: usize = 1024;

/// What lists are looked up in, and how often something was found.
#[derive(Default)]
pub(super) struct Lookout {
    set: Arc<Set>,
    /// Ticks to wait, then the flow to look up next.
    recheck: Option<(u32, usize)>,
    strays: Vec<FlowKey>,
    /// Listed addresses that somebody spoke with in the window: nothing is learned from that.
    pub(super) met: Vec<[u8; 16]>,
    counts: IntelCounts,
}

/// How often lists knew something.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct IntelCounts {
    /// Matches by list: of an indicator, a host and a window each.
    pub matches: BTreeMap<String, u64>,
    /// Matches beyond what a window takes.
    pub beyond: u64,
}

impl Analysis {
    /// Takes the lists that flows and names are looked up in from now on; flows that there are, too, in a while.
    pub fn lists(&mut self, set: Arc<Set>) {
        self.features.app.lists(set.clone());
        self.intel.set = set;
        self.intel.recheck = Some((SETTLED, 0));
    }

    /// Notes new flows of which the source found an address listed.
    pub fn listed(&mut self, listed: &[Listed]) {
        for flow in listed {
            if !self.flows.note_listed(&flow.key) {
                if self.intel.strays.len() < STRAYS {
                    self.intel.strays.push(flow.key);
                } else {
                    self.intel.counts.beyond += 1;
                }
            }
        }
    }

    /// How often lists knew something.
    pub fn intel(&self) -> &IntelCounts {
        &self.intel.counts
    }

    pub(super) fn recheck_flows(&mut self) {
        let Some((wait, place)) = self.intel.recheck else { return };
        if wait > 0 {
            self.intel.recheck = Some((wait - 1, place));
            return;
        }
        let set = &self.intel.set;
        let listed = |key: &FlowKey| set.list(&key.addr_a) != 0 || set.list(&key.addr_b) != 0;
        self.intel.recheck = self.flows.recheck(place, RECHECKED, listed).map(|place| (0, place));
    }

    /// What lists know of the window; whatever the model's state, for it takes no part.
    pub(super) fn judge_listed(&mut self, window: Window, output: &mut Output) {
        let mut found: BTreeMap<SightingKey, Sighting> = BTreeMap::new();
        let mut beyond = 0;
        let mut note = |sighting: Sighting| match found.entry(sighting.fold_key()) {
            std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().add(sighting),
            std::collections::btree_map::Entry::Vacant(_) if beyond_limit(&mut beyond) => {}
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(sighting)),
        };
        let set = &self.intel.set;
        self.flows.listed().flat_map(|(flow, grown)| sightings(set, flow, grown)).for_each(&mut note);
        for key in self.intel.strays.drain(..) {
            if let Some((flow, grown)) = self.work.beyond.iter().find(|(flow, _)| flow.key == key) {
                sightings(set, flow, grown).into_iter().for_each(&mut note);
            }
        }
        self.features.app.take_hits().into_iter().map(of_name).for_each(&mut note);
        self.intel.counts.beyond += u64::from(beyond.saturating_sub(MOST as u32));
        self.intel.met.clear();
        for sighting in found.into_values() {
            if sighting.hit.kind == "ip" {
                self.intel.met.push(sighting.ends[usize::from(!sighting.comes)]);
            }
            *self.intel.counts.matches.entry(sighting.hit.feed.name.clone()).or_default() += 1;
            output.suspects.push(sighting.host());
            let Some(alert) = self.book.sighting(&sighting, window.end) else { continue };
            let evidence =
                if self.keep.evidence { self.witness.raised(&alert, window.end) } else { Vec::new() };
            output.alerts.push(Raised { alert, fingerprint: Vec::new(), evidence });
        }
    }
}

fn beyond_limit(kinds: &mut u32) -> bool {
    *kinds += 1;
    *kinds > MOST as u32
}

/// What is said of each of a flow's two addresses.
fn sightings(set: &Set, flow: &Flow, grown: &Grown) -> Vec<Sighting> {
    let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
    let said = [(true, set.address(&src)), (false, set.address(&dst))];
    let of = |(comes, hit): (bool, Option<Hit>)| {
        let carried = &grown.carried;
        let mut flags = carried.flags[0];
        flags.add(&carried.flags[1]);
        Some(Sighting {
            hit: hit?,
            key: flow.key,
            ends: [src, dst],
            ports: [src_port, dst_port],
            comes,
            name: None,
            packets: carried.packets,
            bytes: carried.bytes.iter().sum(),
            flags,
            seen: [flow.start, flow.last],
        })
    };
    said.into_iter().filter_map(of).collect()
}

fn of_name(found: NameHit) -> Sighting {
    Sighting {
        hit: found.hit,
        key: found.key,
        ends: found.ends,
        ports: found.ports,
        comes: false,
        name: found.name,
        packets: [1, 0],
        bytes: u64::from(found.bytes),
        flags: FlagCounts::default(),
        seen: [found.time; 2],
    }
}
