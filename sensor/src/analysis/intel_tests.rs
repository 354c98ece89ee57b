//! Lists that come while flows stand, and what is learned from those that are listed.

use std::sync::Arc;

use super::tests::drained;
use super::traffic::{CLIENTS, EPOCH, Traffic};
use super::{Analysis, AnalysisConfig};
use crate::alert::Alert;
use crate::flow::SECOND;
use crate::intel::IntelConfig;
use crate::intel::tests::{feed, set};

const LISTED: [u8; 4] = [203, 0, 113, 7];

/// Ordinary traffic and one long connection to the listed address from its third second on.
fn traffic(seconds: f64) -> Traffic {
    let mut traffic = Traffic::new(4);
    traffic.ordinary(seconds);
    let from = (CLIENTS[1], 40_001);
    traffic.connection(EPOCH + 3 * SECOND, from, (LISTED, 443), [40_000.0, 90_000.0], seconds - 4.0);
    traffic
}

/// When the list comes.
const CAME: u64 = EPOCH + 8 * SECOND;

/// What is alerted, and when, while a list comes.
fn watched(seconds: f64, list: &str) -> (Analysis, Vec<(u64, Alert)>) {
    let listed = Arc::new(set(&IntelConfig::default(), &[(feed("late"), list)]));
    let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
    let mut found = Vec::new();
    for tick in &traffic(seconds).ticks() {
        if tick.time == CAME {
            analysis.lists(listed.clone());
        }
        let alerts = drained(&mut analysis, tick).alerts;
        found.extend(alerts.into_iter().map(|raised| (tick.time, raised.alert)));
    }
    (analysis, found)
}

#[test]
fn a_flow_that_stands_is_looked_up_in_a_list_that_comes_later() {
    let (analysis, found) = watched(16.0, "203.0.113.0/24 # C2\n");
    let [(time, alert)] = &found[..] else { panic!("not one alert: {found:?}") };
    assert!((CAME..=CAME + 3 * SECOND).contains(time), "after {} ns", *time as i64 - CAME as i64);
    let about = alert.details.intel.as_ref().unwrap();
    assert_eq!((about.feed.as_str(), about.indicator.as_str()), ("late", "203.0.113.0/24"));
    assert_eq!(alert.destination_ip, "203.0.113.7");
    assert_eq!(analysis.intel().matches.keys().collect::<Vec<_>>(), ["late"]);
}

#[test]
fn nothing_is_learned_from_what_is_listed() {
    let withheld = |list: &str| {
        let (_, scoring, _) = watched(20.0, list).0.bins();
        assert_eq!(scoring.scored, scoring.trained + scoring.withheld());
        scoring.withheld_attack
    };
    let listed = withheld("203.0.113.7\n");
    assert_eq!(withheld("198.51.100.0/24\n"), 0);
    assert!(listed >= 8, "{listed} rows withheld");
}
