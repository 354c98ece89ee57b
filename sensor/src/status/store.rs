//! The store's metrics.

use super::exposition::Families;
use crate::store::IngestStatus;

pub(super) fn metrics(families: &mut Families, store: Option<&IngestStatus>) {
    let none = IngestStatus::default();
    let store = store.unwrap_or(&none);
    families.counter("store_offered_total", "New alerts handed to the store.", store.offered);
    families.counter("store_stored_total", "New alerts on disk.", store.stored);
    families.counters(
        "store_suppressed_total",
        "New alerts that are not on disk, by why.",
        "reason",
        [("queue_full", store.suppressed), ("refused", store.refused)],
    );
    families.gauge("store_waiting_alerts", "New alerts that wait for the disk.", store.waiting as f64);
    families.counter("store_updates_total", "Changes of alerts, and evidence, on disk.", store.updated);
    families.counter(
        "store_dropped_total",
        "Changes of alerts, and evidence, that were dropped.",
        store.dropped,
    );
    families.counter("store_commits_total", "Commits of alerts.", store.commits);
    families.gauge(
        "store_up",
        "Whether the latest alerts could be committed.",
        f64::from(u8::from(store.failing.is_empty())),
    );
    families.gauge("store_size_bytes", "Bytes of the database in use.", store.bytes as f64);
    families.gauge("store_evidence_bytes", "Bytes of evidence in it.", store.evidence_bytes as f64);
    families.counters(
        "store_removed_total",
        "What retention removed.",
        "kind",
        [("alert", store.alerts_removed), ("event", store.events_removed)],
    );
}
