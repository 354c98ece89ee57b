//! Is it well, what flows, what is unusual, what does it cost.

use super::panel::{Column, Word, bars, graph, number, table};
use super::{Dashboard, Row};

pub const UP: &[Word] = &[(0.0, "down", "red"), (1.0, "up", "green")];
const ATTACHED: &[Word] = &[(0.0, "detached", "red"), (1.0, "attached", "green")];
const ACTIVE: &[Word] = &[(0.0, "learning", "yellow"), (1.0, "active", "green")];
const FIRING: &[Column] = &[
    ("alertname", "Alert", "", &[]),
    ("severity", "Severity", "", &[]),
    ("instance", "Sensor", "", &[]),
    ("A", "Series", "", &[]),
];

pub fn dashboard() -> Dashboard {
    Dashboard {
        uid: "vesper-overview",
        title: "Vesper / Overview",
        description: "Whether the chosen sensors are well, what flows past them, what is unusual, and what they cost.",
        rows: vec![
            Row("Is it well?", health()),
            Row("What flows?", traffic()),
            Row("What is unusual?", detections()),
            Row("What does it cost?", cost()),
        ],
    }
}

fn health() -> Vec<super::Panel> {
    vec![
        number("Sensors", "none", "Sensors that answer Prometheus. Runbook: VesperDown.").query("sum(up{@})", "sensors"),
        number("Links", "none", "Whether every link is up; one that is down makes it red. Runbook: VesperBlind.")
            .query("min(vesper_capture_link_up{@})", "links")
            .words(UP),
        number("XDP programs", "none", "Whether every XDP program is attached. Runbook: VesperBlind.")
            .query("min(vesper_capture_attached{@})", "programs")
            .words(ATTACHED),
        number("Silence", "s", "Time since the latest packet, of the sensor that waits longest. Runbook: VesperBlind.")
            .query("max(vesper_capture_last_packet_age_seconds{@})", "silence")
            .levels(&[(60.0, "yellow"), (300.0, "red")]),
        number(
            "Ledger",
            "short",
            "What is left over when the bins of all equations are added up; 0 is right. Runbook: VesperLedgerNotZero.",
        )
        .query("sum(abs(vesper_ledger_residue{@}))", "left over")
        .levels(&[(1.0, "red")]),
        number(
            "Lost before XDP",
            "percentunit",
            "Part of the packets that the interface had no room for, or that never came to XDP. Runbook: VesperDropping.",
        )
        .query(
            "sum(rate(vesper_capture_nic_rx_missed_total{@}[@]) + rate(vesper_capture_nic_unseen_total{@}[@])) / \
             clamp_min(sum(rate(vesper_capture_nic_rx_missed_total{@}[@]) + rate(vesper_capture_nic_unseen_total{@}[@]) + \
             rate(vesper_capture_seen_packets_total{@}[@])), 1)",
            "lost",
        )
        .levels(&[(0.0001, "yellow"), (0.01, "red")]),
        number("Models", "none", "Whether every model is active; alerts rise only then. Runbook: VesperModelNotReady.")
            .query("min(vesper_score_state{@, state=\"active\"})", "models")
            .words(ACTIVE),
        number("Store, sinks", "none", "Whether the latest alerts could be kept and told. Runbooks: VesperStoreFailing, VesperSinkFailing.")
            .query("min(vesper_store_up{@} or vesper_sinks_up{@})", "store and sinks")
            .words(UP),
        table(
            "Alerts of Prometheus that fire",
            "Alerts about the sensors themselves, by the rules in dashboards/prometheus. Empty is good.",
            FIRING,
        )
        .query("count by (alertname, severity, instance) (ALERTS{@, alertname=~\"Vesper.+\", alertstate=\"firing\"})", "")
        .size(24, 5)
        .nothing("no alert fires"),
    ]
}

fn traffic() -> Vec<super::Panel> {
    vec![
        graph("Packets", "pps", "What XDP was given, and where it went.")
            .query("sum(rate(vesper_capture_seen_packets_total{@}[@]))", "seen")
            .query("sum(rate(vesper_capture_counted_packets_total{@}[@]))", "in a flow")
            .query("sum(rate(vesper_capture_not_counted_packets_total{@}[@]))", "in no flow")
            .query("sum(rate(vesper_capture_overflow_packets_total{@}[@]))", "of flows without an entry"),
        graph("Bits", "bps", "Bits a second that XDP was given, Ethernet header included.")
            .query("8 * sum(rate(vesper_capture_seen_bytes_total{@}[@]))", "seen"),
        graph("New flows", "suffix:/s", "Flows that began, a second.")
            .query("sum(rate(vesper_flow_flows_total{@}[@]))", "new flows"),
        graph(
            "Flow table",
            "percentunit",
            "How full the fullest flow table is. Runbook: VesperFlowTableFull.",
        )
        .query("max(vesper_flow_table_entries{@} / vesper_flow_table_limit_entries{@})", "fullest")
        .ratio()
        .levels(&[(0.8, "yellow"), (0.95, "red")]),
    ]
}

fn detections() -> Vec<super::Panel> {
    vec![
        graph("New alerts by type", "short", "New alerts in each interval.")
            .query("sum by (type) (increase(vesper_alert_threats_total{@}[@]))", "{{type}}")
            .events(),
        bars("Alerts in the time shown", "short", "New alerts by type over the range at the top right.")
            .query(
                "sort_desc(sum by (type) (increase(vesper_alert_threats_total{@}[$__range])))",
                "{{type}}",
            ),
    ]
}

fn cost() -> Vec<super::Panel> {
    vec![
        graph(
            "CPU",
            "percentunit",
            "Of one core, by the sensor's process; the XDP program runs in the kernel and is not in it.",
        )
        .query("rate(process_cpu_seconds_total{@}[@])", "{{instance}}")
        .size(8, 8),
        graph("Memory", "bytes", "Resident memory of the process.")
            .query("process_resident_memory_bytes{@}", "{{instance}}")
            .size(8, 8),
        graph("Free disk", "percentunit", "Of the disk that state_dir lies on. Runbook: VesperDiskFilling.")
            .query("vesper_state_free_bytes{@} / vesper_state_size_bytes{@}", "{{instance}}")
            .ratio()
            .size(8, 8),
    ]
}
