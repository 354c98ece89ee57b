//! What was found, how fast, and how many of it may be false. Who did it is in the sensor's console.

use super::panel::{Panel, bars, graph, number};
use super::{Dashboard, Row, lists};

pub fn dashboard() -> Dashboard {
    Dashboard {
        uid: "vesper-detections",
        title: "Vesper / Detections",
        description: "How many alerts, of which type, how fast, and whether the budget of false ones holds. Addresses are in the sensor's console, never in metrics.",
        rows: vec![
            Row("What was found?", found()),
            Row("What do others know?", lists::row()),
            Row("Are there too many?", budget()),
            Row("How fast, and who was told?", delivery()),
        ],
    }
}

fn found() -> Vec<Panel> {
    vec![
        number("New alerts", "short", "In the time shown.")
            .query("sum(increase(vesper_alert_stored_total{@}[$__range]))", "alerts")
            .size(4, 4),
        number("With a type", "short", "New alerts in the time shown to which a rule gave a type.")
            .query("sum(increase(vesper_alert_threats_total{@, type!=\"Anomaly\"}[$__range]))", "alerts")
            .size(4, 4),
        number(
            "Without a type",
            "short",
            "New alerts in the time shown that are unusual, and nothing more is known.",
        )
        .query("sum(increase(vesper_alert_threats_total{@, type=\"Anomaly\"}[$__range]))", "alerts")
        .size(4, 4),
        number("Folded", "short", "Windows in the time shown that belong to an alert which stood already.")
            .query(
                "sum(increase(vesper_alert_suppressed_total{@, reason=\"duplicate\"}[$__range]))",
                "windows",
            )
            .size(4, 4),
        number("Suppressed", "short", "Windows in the time shown beyond the limit of alerts at once.")
            .query("sum(increase(vesper_alert_suppressed_total{@, reason=\"limit\"}[$__range]))", "windows")
            .levels(&[(1.0, "yellow")])
            .size(4, 4),
        number(
            "Models active",
            "percentunit",
            "Sensors whose model is active, of all; others raise no alerts. Runbook: VesperModelNotReady.",
        )
        .query("avg(vesper_score_state{@, state=\"active\"})", "active")
        .size(4, 4),
        graph("New alerts by type", "short", "In each interval.")
            .query("sum by (type) (increase(vesper_alert_threats_total{@}[@]))", "{{type}}")
            .events()
            .size(16, 9),
        bars("By type in the time shown", "short", "New alerts over the range at the top right.")
            .query("sort_desc(sum by (type) (increase(vesper_alert_threats_total{@}[$__range])))", "{{type}}")
            .size(8, 9),
    ]
}

fn budget() -> Vec<Panel> {
    vec![
        graph(
            "Alerts without a type, an hour",
            "short",
            "Over the last six hours, beside what alert.budget_per_hour allows, all chosen sensors together. Runbook: VesperFalseAlarmBudget.",
        )
        .query("sum(increase(vesper_alert_threats_total{@, type=\"Anomaly\"}[6h])) / 6", "seen")
        .query("sum(vesper_alert_budget_per_hour{@})", "budget")
        .size(8, 8),
        graph("Windows that called for an alert", "suffix:/s", "A second; an alert folds many of them.")
            .query("sum(rate(vesper_alert_raised_total{@}[@]))", "raised")
            .size(8, 8),
        graph("Threshold", "none", "Score above which a window is unusual, decades of seconds: 3.56 is once an hour, 4.94 once a day.")
            .query("max by (instance) (vesper_score_threshold{@})", "{{instance}}")
            .size(8, 8),
    ]
}

fn delivery() -> Vec<Panel> {
    vec![
        graph(
            "From packet to alert",
            "s",
            "Time from a packet's arrival to the alert it led to, over the last hour.",
        )
        .query(
            "histogram_quantile(0.5, sum by (le) (rate(vesper_alert_latency_seconds_bucket{@}[1h])))",
            "median",
        )
        .query(
            "histogram_quantile(0.99, sum by (le) (rate(vesper_alert_latency_seconds_bucket{@}[1h])))",
            "99 %",
        )
        .size(8, 8),
        graph("Taken by sinks", "short", "Alerts and their updates that each sink took, in each interval.")
            .query("sum by (sink) (increase(vesper_sinks_delivered_total{@}[@]))", "{{sink}}")
            .size(8, 8),
        graph(
            "Not told",
            "short",
            "Alerts that were given up and wait for a person, and in each interval those that cannot be tried again. Runbooks: VesperDeadLetters, VesperAlertsLost.",
        )
        .query("sum by (sink) (vesper_sinks_dead_letters{@})", "{{sink}} given up")
        .query("sum by (sink) (increase(vesper_sinks_expired_total{@}[@]))", "{{sink}} too old")
        .size(8, 8),
    ]
}
