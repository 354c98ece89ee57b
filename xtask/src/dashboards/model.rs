//! What the model does, what it learns from, how far the traffic moved, and whether another would do better.

use super::panel::{Panel, bars, graph, number};
use super::{Dashboard, Row};

pub fn dashboard() -> Dashboard {
    Dashboard {
        uid: "vesper-model",
        title: "Vesper / Model",
        description: "What the models do, what they learn from, how far the traffic moved since, and what a model in the shadow would say.",
        rows: vec![
            Row("Is it ready, and is the network what it learned?", ready()),
            Row("What does it learn from?", learning()),
            Row("Is it kept?", kept()),
            Row("Would another do better?", shadow()),
        ],
    }
}

fn ready() -> Vec<Panel> {
    vec![
        graph("State", "short", "Sensors in each state; alerts rise only when active. Runbook: VesperModelNotReady.")
            .query("sum by (state) (vesper_score_state{@})", "{{state}}")
            .stacked()
            .size(8, 8),
        graph("On the way to active", "percentunit", "Half of the way is warming, half calibrating.")
            .query("vesper_score_progress_ratio{@}", "{{instance}}")
            .ratio()
            .size(8, 8),
        graph("Threshold", "none", "Score above which a window is unusual, decades of seconds: 3.56 is once an hour; 0 before calibration.")
            .query("vesper_score_threshold{@}", "{{instance}}")
            .size(8, 8),
        graph("Drift", "none", "How far the feature that moved most is from what the reference learned, in usual deviations. Runbook: VesperDrift.")
            .query("max by (kind) (vesper_score_drift{@})", "{{kind}}")
            .nothing("no reference yet")
            .levels(&[(3.0, "yellow")]),
        bars("What moved most", "none", "The ten features that moved most, in usual deviations. Runbook: VesperDrift.")
            .query("sort_desc(topk(10, max by (kind, feature) (vesper_score_drift{@})))", "{{kind}} {{feature}}")
            .levels(&[(3.0, "orange")])
            .nothing("no reference yet"),
    ]
}

fn kept() -> Vec<Panel> {
    vec![
        graph(
            "Age of what was saved",
            "s",
            "Since what was learned was last written to disk. Runbook: VesperModelNotSaved.",
        )
        .query("time() - (vesper_score_model_saved_timestamp_seconds{@} > 0)", "{{instance}}"),
        number("Snapshots", "none", "Snapshots of models on disk, to go back to.")
            .query("sum(vesper_score_model_snapshots{@})", "snapshots")
            .size(6, 8),
        number(
            "Not saved",
            "none",
            "Times in the time shown that what was learned could not be saved. Runbook: VesperModelNotSaved.",
        )
        .query("sum(increase(vesper_score_model_not_saved_total{@}[$__range]))", "times")
        .levels(&[(1.0, "yellow")])
        .size(6, 8),
    ]
}

fn learning() -> Vec<Panel> {
    vec![
        graph("Windows scored", "suffix:/s", "Learned from or withheld: each is in one bin.")
            .query("sum(rate(vesper_score_rows_trained_total{@}[@]))", "learned from")
            .query("sum by (reason) (rate(vesper_score_rows_withheld_total{@}[@]))", "withheld: {{reason}}")
            .stacked(),
        graph("Part that is learned from", "percentunit", "Far below its usual value for long: something keeps the model from learning.")
            .query(
                "sum(rate(vesper_score_rows_trained_total{@}[@])) / clamp_min(sum(rate(vesper_score_rows_total{@}[@])), 1e-9)",
                "learned from",
            )
            .ratio(),
    ]
}

fn shadow() -> Vec<Panel> {
    vec![
        graph("Agreement", "percentunit", "Part of the windows on the same side of both thresholds; nothing without a model in the shadow.")
            .query(
                "sum(rate(vesper_score_shadow_agreeing_rows_total{@}[@])) / (sum(rate(vesper_score_shadow_rows_total{@}[@])) > 0)",
                "agree",
            )
            .nothing("no model in the shadow")
            .ratio()
            .size(8, 8),
        graph("Unusual windows", "suffix:/s", "Above the threshold of each model; without what rules say.")
            .query("sum by (model) (rate(vesper_score_shadow_unusual_rows_total{@}[@]))", "{{model}}")
            .size(8, 8),
        graph("Scores compared", "none", "Correlation of the scores, and how much higher the shadow's lie above its threshold, decades of seconds.")
            .query("vesper_score_shadow_correlation{@}", "correlation {{instance}}")
            .query("vesper_score_shadow_difference{@}", "difference {{instance}}")
            .signed()
            .size(8, 8),
        number("Models handed over", "none", "Requests in the time shown to go on with another model, granted.")
            .query("sum(increase(vesper_score_model_requests_total{@, result=\"granted\"}[$__range]))", "granted")
            .size(12, 4),
        number("Models refused", "none", "Requests in the time shown to go on with another model, refused; the log says why.")
            .query("sum(increase(vesper_score_model_requests_total{@, result=\"refused\"}[$__range]))", "refused")
            .levels(&[(1.0, "yellow")])
            .size(12, 4),
    ]
}
