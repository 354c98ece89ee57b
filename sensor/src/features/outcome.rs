//! What became of a connection that was tried.

use super::facts::Outcome;
use crate::flow::table::{Flow, Grown};
use crate::flow::{SECOND, is_group};
use sensor_ebpf::flow::proto;

/// A SYN this close to the end of the window may still be answered.
const TOO_EARLY: u64 = SECOND / 20;
/// A probe is at most so many packets.
const PROBE_PACKETS: u64 = 3;

/// What became of what the initiator tried in this window: to open a connection, or to provoke an answer.
pub(super) fn outcome(flow: &Flow, grown: &Grown, now: u64) -> Outcome {
    let begun = flow.total.packets == grown.carried.packets;
    match flow.key.proto {
        proto::TCP if grown.carried.flags[0].syn > 0 => opened(flow, now),
        proto::TCP | proto::UDP if begun => probed(flow, now),
        _ => Outcome::None,
    }
}

/// A SYN was sent.
fn opened(flow: &Flow, now: u64) -> Outcome {
    if flow.total.flags[1].syn == 0 && flow.total.flags[1].rst > 0 {
        Outcome::Refused
    } else if flow.total.established() {
        Outcome::Completed
    } else if now.saturating_sub(flow.last) < TOO_EARLY {
        Outcome::None
    } else if flow.total.packets[1] > 0 {
        Outcome::HalfOpen
    } else {
        Outcome::Unanswered
    }
}

/// A flow began in this window without a SYN: a few packets to a port that resets or says nothing are a probe (the
/// ACK, FIN, NULL, Xmas and UDP scans of nmap). What more packets are, or an answer is, was there before us.
fn probed(flow: &Flow, now: u64) -> Outcome {
    let [out, back] = flow.total.packets;
    let resets = u64::from(flow.total.flags[1].rst);
    let ends = flow.total.flags[0].rst > 0;
    let (dst, _) = flow.dst();
    if out > PROBE_PACKETS || ends || flow.total.flags[1].syn > 0 || is_group(&dst) {
        Outcome::None
    } else if back > 0 {
        if resets == back { Outcome::Refused } else { Outcome::None }
    } else if now.saturating_sub(flow.last) < TOO_EARLY {
        Outcome::None
    } else {
        Outcome::Unanswered
    }
}
