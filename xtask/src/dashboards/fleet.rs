//! Many sensors at once: which one needs somebody?

use super::overview::UP;
use super::panel::{Column, Panel, Word, bars, graph, number, table};
use super::{Dashboard, Row};

const WELL: &[Word] = &[(0.0, "0", "green")];
const READY: &[Word] = &[(0.0, "learning", "yellow"), (1.0, "active", "green")];
const SENSORS: &[Column] = &[
    ("instance", "Sensor", "", &[]),
    ("version", "Version", "", &[]),
    ("B", "Answers", "none", UP),
    ("C", "Link", "none", UP),
    ("D", "Silence", "s", &[]),
    ("E", "Left over", "short", WELL),
    ("F", "Model", "none", READY),
    ("G", "Packets", "pps", &[]),
    ("H", "Alerts shown", "short", &[]),
    ("I", "Waiting for sinks", "short", &[]),
    ("J", "Up for", "s", &[]),
];

pub fn dashboard() -> Dashboard {
    Dashboard {
        uid: "vesper-fleet",
        title: "Vesper / Fleet",
        description: "All sensors beside each other: which one needs somebody?",
        rows: vec![
            Row("Which one needs somebody?", sensors()),
            Row("How do they compare?", compared()),
            Row("What do they cost?", cost()),
        ],
    }
}

fn sensors() -> Vec<Panel> {
    vec![
        number("Sensors", "none", "That answer Prometheus.").query("sum(up{@})", "sensors").size(4, 4),
        number("Silent sensors", "none", "That do not answer. Runbook: VesperDown.")
            .query("count(up{@}) - sum(up{@})", "sensors")
            .levels(&[(1.0, "red")])
            .size(4, 4),
        number(
            "Blind sensors",
            "none",
            "Link down, program detached, or no packet for five minutes. Runbook: VesperBlind.",
        )
        .query(
            "count(vesper_capture_link_up{@} == 0 or vesper_capture_attached{@} == 0 or \
                 vesper_capture_last_packet_age_seconds{@} > 300) or vector(0)",
            "sensors",
        )
        .levels(&[(1.0, "red")])
        .size(4, 4),
        number("Learning", "none", "Sensors whose model is not active. Runbook: VesperModelNotReady.")
            .query("count(vesper_score_state{@, state=\"active\"} == 0) or vector(0)", "sensors")
            .levels(&[(1.0, "yellow")])
            .size(4, 4),
        number("Versions", "none", "Different versions that run.")
            .query("count(count by (version) (vesper_build_info{@}))", "versions")
            .levels(&[(2.0, "yellow")])
            .size(4, 4),
        number("Alerts", "short", "New alerts of all in the time shown.")
            .query("sum(increase(vesper_alert_stored_total{@}[$__range]))", "alerts")
            .size(4, 4),
        table("Sensors", "One row each; the columns follow the path of a packet.", SENSORS)
            .query("max by (instance, version) (vesper_build_info{@})", "")
            .query("max by (instance) (up{@})", "")
            .query("min by (instance) (vesper_capture_link_up{@})", "")
            .query("max by (instance) (vesper_capture_last_packet_age_seconds{@})", "")
            .query("sum by (instance) (abs(vesper_ledger_residue{@}))", "")
            .query("min by (instance) (vesper_score_state{@, state=\"active\"})", "")
            .query("sum by (instance) (rate(vesper_capture_seen_packets_total{@}[@]))", "")
            .query("sum by (instance) (increase(vesper_alert_stored_total{@}[$__range]))", "")
            .query("sum by (instance) (vesper_sinks_pending_alerts{@})", "")
            .query("time() - max by (instance) (vesper_start_time_seconds{@})", "")
            .size(24, 9),
    ]
}

fn compared() -> Vec<Panel> {
    vec![
        graph("Packets", "pps", "What each XDP program was given.")
            .query("sum by (instance) (rate(vesper_capture_seen_packets_total{@}[@]))", "{{instance}}"),
        graph("Bits", "bps", "Bits a second that each XDP program was given.")
            .query("8 * sum by (instance) (rate(vesper_capture_seen_bytes_total{@}[@]))", "{{instance}}"),
        graph("New alerts", "short", "In each interval.")
            .query("sum by (instance) (increase(vesper_alert_stored_total{@}[@]))", "{{instance}}")
            .events(),
        graph("Samples lost", "percentunit", "Of those chosen. Runbook: VesperSamplesLost.").query(
            "sum by (instance) (rate(vesper_capture_samples_lost_total{@}[@])) / \
                 clamp_min(sum by (instance) (rate(vesper_capture_samples_chosen_total{@}[@])), 1)",
            "{{instance}}",
        ),
    ]
}

fn cost() -> Vec<Panel> {
    vec![
        graph("CPU", "percentunit", "Of one core, by the process.")
            .query("rate(process_cpu_seconds_total{@}[@])", "{{instance}}")
            .size(8, 8),
        graph("Memory", "bytes", "Resident memory of the process.")
            .query("process_resident_memory_bytes{@}", "{{instance}}")
            .size(8, 8),
        bars("Free disk", "percentunit", "Of the disk that state_dir lies on. Runbook: VesperDiskFilling.")
            .query("vesper_state_free_bytes{@} / vesper_state_size_bytes{@}", "{{instance}}")
            .ratio()
            .size(8, 8),
    ]
}
