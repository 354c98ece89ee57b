//! The journal's metrics.

use super::exposition::Families;
use crate::journal::JournalStatus;

pub(super) fn metrics(families: &mut Families, journal: &JournalStatus) {
    families.counter("journal_rows_kept_total", "Rows handed to the window journal.", journal.rows_kept);
    families.counter("journal_rows_written_total", "Rows written to the journal.", journal.rows_written);
    families.counters(
        "journal_rows_dropped_total",
        "Rows that did not reach the journal, by why.",
        "reason",
        [
            ("queue_full", journal.rows_dropped_queue_full),
            ("write_failed", journal.rows_dropped_write_failed),
            ("shutdown", journal.rows_dropped_shutdown),
        ],
    );
    families.gauge("journal_pending_rows", "Rows that wait for the disk.", journal.rows_pending as f64);
    families.counter("journal_windows_total", "Windows written to the journal.", journal.windows_written);
    families.counters(
        "journal_segments_removed_total",
        "Segments of the journal removed, by why.",
        "reason",
        [("size", journal.segments_removed_size), ("age", journal.segments_removed_age)],
    );
    families.gauge("journal_segments", "Segments of the journal on disk.", journal.segments as f64);
    families.gauge("journal_size_bytes", "Bytes of the journal on disk.", journal.bytes as f64);
    families.counter(
        "journal_torn_bytes_total",
        "Bytes at the end of the journal that were no whole window at the start, cut off.",
        journal.torn_bytes,
    );
    families.gauge(
        "journal_up",
        "Whether the latest window could be written.",
        f64::from(u8::from(journal.failing.is_empty())),
    );
}
