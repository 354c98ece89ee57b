//! Loads that do not wait for each other: what the flows of a group refer to is brought into the cache together, where
//! one after the other would wait for memory. Nothing is computed here.

use super::host::Hosts;
use super::keys::PairKey;
use super::memory::{Memory, NOWHERE, Slots};
use super::rows::Active;
use crate::flow::table::Flow;
use std::hint::black_box;

/// Flows whose cache misses are taken together.
pub const AT_ONCE: usize = 16;

/// What of a flow is looked at.
fn flow(flow: &Flow) -> u64 {
    flow.last ^ flow.total.packets[1] ^ u64::from(flow.total.flags[1].syn) ^ u64::from(flow.key.port_a)
}

/// Loads flows and what is remembered of them.
pub fn known(memory: &Memory, hosts: &Hosts, active: &Active<'_>, places: &[u32]) {
    let mut loaded = 0;
    let mut all = [[0; 4]; AT_ONCE];
    for (known, place) in all.iter_mut().zip(places) {
        let (one, grown) = active.get(*place);
        loaded ^= flow(one) ^ grown.carried.packets[0];
        *known = one.known;
    }
    for [pair, service, src, dst] in &all[..places.len().min(AT_ONCE)] {
        loaded ^=
            memory.touch(Slots { pair: *pair, service: *service }) ^ hosts.touch(*src) ^ hosts.touch(*dst);
    }
    black_box(loaded);
}

/// The same of flows that may be new: what is remembered of them is looked up. Short loops, or a processor could not look
/// far enough ahead to begin the next load.
pub fn unknown(memory: &Memory, hosts: &Hosts, active: &Active<'_>, places: std::ops::Range<usize>) {
    let mut loaded = 0;
    for place in places.clone() {
        let (one, grown) = active.get(place as u32);
        loaded ^= flow(one) ^ grown.carried.packets[0];
    }
    let (mut new, mut hashes) = (0, [[0; 4]; AT_ONCE]);
    for place in places {
        let one = active.get(place as u32).0;
        let [pair, service, src, dst] = one.known;
        if pair == NOWHERE {
            let key = PairKey::of(one);
            let [of_pair, of_service] = memory.hashes(&key);
            hashes[new % AT_ONCE] = [of_pair, of_service, hosts.hash(&key.src), hosts.hash(&key.service.dst)];
            new += 1;
        } else {
            loaded ^= memory.touch(Slots { pair, service }) ^ hosts.touch(src) ^ hosts.touch(dst);
        }
    }
    let hashes = &hashes[..new.min(AT_ONCE)];
    for [pair, service, src, dst] in hashes {
        loaded ^= memory.touch_index([*pair, *service]);
        loaded ^= hosts.touch_index(*src) ^ hosts.touch_index(*dst);
    }
    for [pair, service, src, dst] in hashes {
        loaded ^= memory.touch(memory.guess([*pair, *service]));
        loaded ^= hosts.touch(hosts.guess(*src)) ^ hosts.touch(hosts.guess(*dst));
    }
    black_box(loaded);
}
