//! The metrics of the learned state on disk, and of a model in the shadow.

use super::Status;
use super::exposition::Families;

pub(super) fn metrics(families: &mut Families, status: &Status) {
    let model = &status.model;
    families.counter("score_model_saved_total", "Times what was learned was saved.", model.saved);
    families.counters(
        "score_model_not_saved_total",
        "Times what was learned was due to be saved and was not, by why.",
        "reason",
        [("failed", model.failed), ("disk_behind", model.skipped)],
    );
    families.counters(
        "score_model_requests_total",
        "Requests to go on with another model, by what became of them.",
        "result",
        [("granted", model.promoted), ("refused", model.refused)],
    );
    families.gauge("score_model_snapshots", "Snapshots of the model on disk.", model.snapshots as f64);
    families.gauge(
        "score_model_saved_timestamp_seconds",
        "When what was learned was saved, seconds since the Unix epoch; 0 before the first time.",
        model.saved_at as f64 / 1e9,
    );
    let shadow = status.shadow.unwrap_or_default();
    families.counter("score_shadow_rows_total", "Rows that the model in the shadow scored too.", shadow.rows);
    families.counter(
        "score_shadow_agreeing_rows_total",
        "Rows on the same side of the threshold of both models.",
        shadow.same_side,
    );
    families.counters(
        "score_shadow_unusual_rows_total",
        "Rows above the threshold, by model; without what rules say.",
        "model",
        [("live", shadow.unusual[0]), ("shadow", shadow.unusual[1])],
    );
    families.gauge(
        "score_shadow_correlation",
        "Correlation of the scores of both models, -1 to 1.",
        shadow.correlation(),
    );
    families.gauge(
        "score_shadow_difference",
        "How much higher the shadow's scores lie above its threshold, on the mean, decades of seconds.",
        shadow.difference(),
    );
}
