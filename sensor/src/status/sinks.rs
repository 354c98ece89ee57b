//! The metrics of the sinks.

use super::exposition::Families;
use crate::sinks::SinkStatus;

pub(super) fn metrics(families: &mut Families, sinks: &[SinkStatus]) {
    let each = |read: fn(&SinkStatus) -> u64| sinks.iter().map(move |sink| (sink.name.as_str(), read(sink)));
    families.counters("sinks_stored_total", "Alerts handed to the sink.", "sink", each(|sink| sink.stored));
    families.counters("sinks_delivered_total", "Alerts the sink took.", "sink", each(|sink| sink.delivered));
    families.counters(
        "sinks_attempts_failed_total",
        "Attempts to deliver that failed, retries included.",
        "sink",
        each(|sink| sink.attempts_failed),
    );
    families.gauges(
        "sinks_pending_alerts",
        "Alerts that wait for the sink.",
        sinks.iter().map(|sink| (vec![("sink", sink.name.as_str())], sink.pending as f64)),
    );
    families.gauges(
        "sinks_up",
        "Whether the latest attempt to deliver succeeded.",
        sinks.iter().map(|sink| (vec![("sink", sink.name.as_str())], f64::from(sink.failing.is_empty()))),
    );
    // No counter: whoever tries them again takes them out.
    families.gauges(
        "sinks_dead_letters",
        "Alerts given up that can be tried again, by why.",
        sinks.iter().flat_map(|sink| {
            [("refused", sink.dead_letter_refused), ("retries_spent", sink.dead_letter_retries_spent)]
                .map(|(reason, value)| (vec![("reason", reason), ("sink", sink.name.as_str())], value as f64))
        }),
    );
    families.labelled_counters(
        "sinks_expired_total",
        "Alerts never delivered because they could not wait, by why.",
        sinks.iter().flat_map(|sink| {
            [
                ("queue_full", sink.expired_queue_full),
                ("removed", sink.expired_removed),
                ("retention", sink.expired_retention),
            ]
            .map(|(reason, value)| (vec![("reason", reason), ("sink", sink.name.as_str())], value))
        }),
    );
}
