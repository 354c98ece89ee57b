//! What others know: the lists that addresses, names and clients are looked up in.

use super::panel::{Panel, bars, number, third};

const NO_LIST: &str = "no list is configured";

pub fn row() -> Vec<Panel> {
    vec![
        number("Lists", "none", "Whether the latest look at every list brought no error. Runbook: VesperListFailing.")
            .query("min(vesper_intel_feed_up{@})", "lists")
            .words(&[(0.0, "failing", "red"), (1.0, "well", "green")])
            .nothing(NO_LIST)
            .size(4, 8),
        bars("Age of the lists", "s", "Time since the list in use was taken. Runbook: VesperListFailing.")
            .query("time() - max by (instance, feed) (vesper_intel_feed_taken_timestamp_seconds{@} > 0)", "{{feed}}")
            .nothing(NO_LIST)
            .size(6, 8),
        bars("Entries in use", "short", "Networks, domains and clients of each list.")
            .query("sum by (feed, kind) (vesper_intel_entries{@}) > 0", "{{feed}}, {{kind}}")
            .nothing(NO_LIST)
            .size(6, 8),
        third("Matches", "short", "Listed addresses, names and clients seen, in each interval; each with a host and in a window once.")
            .query("sum by (feed) (increase(vesper_intel_matches_total{@}[@]))", "{{feed}}")
            .query("sum(increase(vesper_intel_matches_beyond_total{@}[@]))", "beyond what a window takes")
            .nothing(NO_LIST)
            .events(),
    ]
}
