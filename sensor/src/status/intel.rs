//! The metrics of the lists of others. Labels are the lists' names from the configuration.

use super::Status;
use super::exposition::Families;

pub(super) fn metrics(families: &mut Families, status: &Status) {
    let matches = status.intel_counts.matches.iter().map(|(name, count)| (name.as_str(), *count));
    families.counters(
        "intel_matches_total",
        "Listed addresses, names and clients seen: each with a host and in a window once.",
        "feed",
        matches,
    );
    families.counter(
        "intel_matches_beyond_total",
        "Matches beyond what a window takes.",
        status.intel_counts.beyond,
    );
    let Some(intel) = &status.intel else { return };
    families.gauge("intel_prefixes", "Networks that new flows are looked up in.", intel.prefixes as f64);
    families.gauge(
        "intel_size_bytes",
        "Bytes of all lists in memory, without the kernel's.",
        intel.bytes as f64,
    );
    families.gauge(
        "intel_up",
        "Whether the latest set of lists was taken up.",
        f64::from(u8::from(intel.failing.is_empty())),
    );
    let entries = intel.feeds.iter().flat_map(|feed| {
        let kinds = ["ip", "domain", "ja4"].into_iter().zip(feed.entries);
        kinds.map(|(kind, count)| (vec![("feed", feed.name.as_str()), ("kind", kind)], count as f64))
    });
    families.gauges("intel_entries", "Entries of a list in use, by kind.", entries);
    let refused = intel.feeds.iter().flat_map(|feed| {
        feed.refused
            .counts()
            .map(|(why, count)| (vec![("feed", feed.name.as_str()), ("reason", why)], count as f64))
    });
    families.gauges("intel_refused_entries", "Entries of a list that were not taken, by why.", refused);
    let each = |value: fn(&crate::intel::FeedStatus) -> f64| {
        intel.feeds.iter().map(move |feed| (vec![("feed", feed.name.as_str())], value(feed)))
    };
    families.gauges(
        "intel_feed_up",
        "Whether the latest look at a list brought no error.",
        each(|feed| f64::from(u8::from(feed.failing.is_empty()))),
    );
    families.gauges(
        "intel_feed_taken_timestamp_seconds",
        "When the list in use was taken, seconds since the Unix epoch; 0 is never.",
        each(|feed| feed.taken as f64),
    );
    let failures = intel.feeds.iter().map(|feed| (feed.name.as_str(), feed.failures));
    families.counters("intel_feed_failures_total", "Looks at a list that failed.", "feed", failures);
}
