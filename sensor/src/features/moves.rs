//! Movement inside the network: a host that begins to use services for administration on hosts where it never did.
//!
//! Each target counts for half an hour from the first success on; after that it is one that the host uses. A service that its target never offered to anybody counts double:
//! a client that is logged in to is no server that one more client has found.

use super::facts::FlowFacts;
use super::facts::Outcome;
use crate::flow::{SECOND, ip};
use sensor_ebpf::flow::proto;
use std::net::IpAddr;

/// How long a target counts.
const SPAN: u64 = 1800 * SECOND;
/// Targets remembered of a host.
const TARGETS: usize = 16;

/// Targets of a host, the latest ones. Most hosts have none.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    /// Hash of a target, when it was reached first, and what it counts; [`TARGETS`] at most.
    targets: Vec<(u64, u64, u8)>,
    next: usize,
    /// Targets on which this is nothing new: an administrator's.
    familiar: f32,
}

impl Moves {
    /// The target was used before this was looked for.
    pub(super) fn know(&mut self) {
        self.familiar += 1.0;
    }

    /// A target was reached.
    pub(super) fn reach(&mut self, target: u64, new_service: bool, now: u64) {
        let counts = if new_service { 2 } else { 1 };
        if let Some((.., most)) = self.targets.iter_mut().find(|(known, ..)| *known == target) {
            *most = counts.max(*most);
        } else if self.targets.len() < TARGETS {
            self.targets.push((target, now, counts));
        } else {
            let slot = &mut self.targets[self.next % TARGETS];
            self.familiar += f32::from(u8::from(now.saturating_sub(slot.1) > SPAN));
            *slot = (target, now, counts);
            self.next = self.next.wrapping_add(1);
        }
    }

    /// Whether a target was reached first in the window that ends at `now`.
    pub(super) fn moved(&self, now: u64) -> bool {
        self.targets.iter().any(|(_, time, _)| *time == now)
    }

    /// Targets of the last half hour, by what they count, and on how many it is nothing new.
    pub(super) fn recent(&self, now: u64) -> [f64; 2] {
        let (mut recent, mut familiar) = (0.0, f64::from(self.familiar));
        for (_, time, counts) in &self.targets {
            if now.saturating_sub(*time) <= SPAN {
                recent += f64::from(*counts) / 2.0;
            } else {
                familiar += 1.0;
            }
        }
        [recent, familiar]
    }
}

/// SSH, RPC, NetBIOS, SMB, remote desktop, VNC, WinRM: what an administrator, or an intruder, logs in by.
pub fn is_admin(protocol: u8, port: u16) -> bool {
    protocol == proto::TCP && matches!(port, 22 | 23 | 135 | 139 | 445 | 3389 | 5900 | 5985 | 5986)
}

/// An address of a network that is not the Internet's (RFC 1918, 3927, 4193, 4291).
pub fn is_inside(address: &[u8; 16]) -> bool {
    match ip(address) {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether a flow in its window is a success of this kind.
pub(super) fn is_move(flow: &FlowFacts) -> bool {
    let inside = is_admin(flow.key.proto, flow.dst_port) && is_inside(&flow.src) && is_inside(&flow.dst);
    inside && flow.outcome == Outcome::Completed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_count_once_and_fade_away() {
        let mut moves = Moves::default();
        let minute = 60 * SECOND;
        for (target, new_service, at) in [(1, true, 1), (1, true, 2), (2, false, 3), (3, true, 4)] {
            moves.reach(target, new_service, at * minute);
        }
        assert_eq!(moves.recent(5 * minute), [2.5, 0.0]);
        assert!(moves.moved(4 * minute) && !moves.moved(5 * minute));
        assert_eq!(moves.recent(33 * minute), [1.5, 1.0]);
        // Once more is nothing new.
        moves.reach(3, true, 90 * minute);
        assert_eq!(moves.recent(90 * minute), [0.0, 3.0]);
        (10..40).for_each(|target| moves.reach(target, true, 100 * minute));
        assert_eq!(moves.recent(100 * minute), [TARGETS as f64, 3.0]);
    }
}
