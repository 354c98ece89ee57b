//! Floods that are not fast: for how long a host has been sent what leads nowhere, by who never used the service.
//!
//! A server that fails is tried by its clients, and what collects measurements answers nobody: both know each other.
//! So what counts is of pairs that are new; a usual rate that somebody could raise little by little is not kept.

use super::facts::{FlowFacts, Outcome};
use super::moves::is_inside;
use crate::flow::{SECOND, is_group};
use sensor_ebpf::flow::proto;

/// From so many packets a second on it is pressure.
const LEAST: f64 = 25.0;
/// A pause of so many seconds ends it.
const PAUSE: u32 = 2;

/// Since when there is pressure on a host, and when there was last, seconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pressure {
    since: u32,
    last: u32,
}

impl Pressure {
    /// A window with so many packets a second is over; for how many seconds there has been pressure.
    pub(super) fn hold(&mut self, rate: f64, seconds: f64, now: u64) -> f64 {
        let now = (now / SECOND).min(u64::from(u32::MAX)) as u32;
        if rate < LEAST {
            return 0.0;
        }
        let goes_on = self.last > 0 && now.saturating_sub(self.last) <= PAUSE;
        if !goes_on {
            self.since = now;
        }
        self.last = now;
        f64::from(now.saturating_sub(self.since)) + seconds
    }
}

/// Packets of a flow that lead nowhere: connections never completed, and datagrams from outside never answered. Inside,
/// measurements and pictures are sent to who does not answer.
pub(super) fn nowhere(flow: &FlowFacts) -> u64 {
    match flow.outcome {
        _ if flow.key.proto != proto::TCP => {
            let one_sided = flow.total.packets[1] == 0 && !is_group(&flow.dst);
            let comes_in = !is_inside(&flow.src) && is_inside(&flow.dst);
            if one_sided && comes_in { flow.window.packets[0] } else { 0 }
        }
        Outcome::HalfOpen | Outcome::Unanswered => u64::from(flow.window.flags[0].syn).max(1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_holds_while_it_lasts_and_begins_anew_after_a_pause() {
        let mut pressure = Pressure::default();
        let mut held = |second: u64, rate: f64| pressure.hold(rate, 1.0, (1_700_000_000 + second) * SECOND);
        assert_eq!((held(0, 50.0), held(1, 50.0), held(2, 10.0), held(3, 50.0)), (1.0, 2.0, 0.0, 4.0));
        assert_eq!((held(4, 30.0), held(8, 900.0), held(9, 900.0)), (5.0, 1.0, 2.0));
        assert_eq!(held(0, 900.0), 1.0, "time that goes back");
    }
}
