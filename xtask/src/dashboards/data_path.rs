//! Every packet in exactly one bin, from the interface to the sinks, in the order of the path.

use super::overview::UP;
use super::panel::{Column, Panel, Word, bars, graph, number, table, third};
use super::{Dashboard, Row, api};

const YES: &[Word] = &[(0.0, "no", "text"), (1.0, "yes", "green")];
const QUEUES: &[Column] = &[
    ("instance", "Sensor", "", &[]),
    ("queue", "Queue", "", &[]),
    ("A", "Without a copy", "none", YES),
    ("B", "Huge pages", "none", YES),
];
const WATCHED: &[Column] = &[
    ("instance", "Sensor", "", &[]),
    ("interface", "Interface", "", &[]),
    ("mode", "Mode", "", &[]),
    ("xdp", "XDP", "", &[]),
    ("B", "Link", "none", UP),
    ("C", "Driver's count comparable", "none", YES),
];

pub fn dashboard() -> Dashboard {
    Dashboard {
        uid: "vesper-data-path",
        title: "Vesper / Data path",
        description: "Every packet is in exactly one bin from the interface to the sinks; here are the bins, in the order of the path.",
        rows: vec![
            Row("Does the ledger add up?", ledger()),
            Row("Interface: what never reaches XDP?", interface()),
            Row("XDP and the kernel's flow table: what is counted where?", kernel()),
            Row("Samples: what is looked at closely?", samples()),
            Row("Flows, features, scores: what is shed?", stages()),
            Row("Alerts, sinks, journal: what arrives?", outlets()),
            Row("API: who asks?", api::row()),
        ],
    }
}

fn ledger() -> Vec<Panel> {
    vec![
        number("Seen", "short", "Packets since the start that XDP was given. In a flow and in no flow add up to it.")
            .query("sum(vesper_capture_seen_packets_total{@})", "seen")
            .size(4, 4),
        number("In a flow", "short", "Packets since the start that belong to a flow.")
            .query("sum(vesper_capture_counted_packets_total{@})", "in a flow")
            .size(4, 4),
        number("In no flow", "short", "Packets since the start that belong to no flow.")
            .query("sum(vesper_capture_not_counted_packets_total{@})", "in no flow")
            .size(4, 4),
        number("Without an entry", "short", "Of those in a flow: the table had no room, or a flood was kept out of it.")
            .query("sum(vesper_capture_overflow_packets_total{@})", "without an entry")
            .size(4, 4),
        number("Drained", "short", "Of those in a flow: handed to the analysis. With those without an entry they add up, less a tenth of a second's.")
            .query("sum(vesper_capture_drained_packets_total{@})", "drained")
            .size(4, 4),
        number("Left over", "short", "Of all equations together; 0 is right. Runbook: VesperLedgerNotZero.")
            .query("sum(abs(vesper_ledger_residue{@}))", "left over")
            .levels(&[(1.0, "red")])
            .size(4, 4),
        bars(
            "What is left over now",
            "short",
            "The residue of each equation; anything but 0 is a fault of the sensor. Runbook: VesperLedgerNotZero.",
        )
        .query("max by (equation) (abs(vesper_ledger_residue{@}))", "{{equation}}")
        .levels(&[(1.0, "red")])
        .size(8, 9),
        graph("What was left over", "short", "The same over time, with its sign. A line that leaves 0 tells when it began.")
            .query("sum by (equation) (vesper_ledger_residue{@})", "{{equation}}")
            .signed()
            .size(16, 9),
    ]
}

fn interface() -> Vec<Panel> {
    vec![
        table("What is watched", "Interfaces, and how the program is attached.", WATCHED)
            .query("max by (instance, interface, mode, xdp) (vesper_capture_info{@})", "")
            .query("max by (instance) (vesper_capture_link_up{@})", "")
            .query("max by (instance) (vesper_capture_nic_comparable{@})", "")
            .size(24, 5),
        graph("Received by the driver, seen by XDP", "pps", "Where the driver counts what XDP takes, the two are one line.")
            .query("sum(rate(vesper_capture_nic_rx_packets_total{@}[@]))", "driver")
            .query("sum(rate(vesper_capture_seen_packets_total{@}[@]))", "XDP"),
        graph(
            "Lost before XDP",
            "pps",
            "No room in the interface; dropped between driver and stack; received, but never seen by XDP. Runbook: VesperDropping.",
        )
        .query("sum(rate(vesper_capture_nic_rx_missed_total{@}[@]))", "no room in the interface")
        .query("sum(rate(vesper_capture_nic_rx_dropped_total{@}[@]))", "dropped by driver or stack")
        .query("sum(rate(vesper_capture_nic_unseen_total{@}[@]))", "never seen by XDP"),
    ]
}

fn kernel() -> Vec<Panel> {
    vec![
        third(
            "In a flow",
            "pps",
            "Packets that belong to a flow, and those that user space has drained from the table.",
        )
        .query("sum(rate(vesper_capture_counted_packets_total{@}[@]))", "counted")
        .query("sum(rate(vesper_capture_drained_packets_total{@}[@]))", "drained"),
        third("In no flow, by why", "pps", "ARP, other protocols than IP, broken headers.")
            .query("sum by (reason) (rate(vesper_capture_not_counted_packets_total{@}[@])) > 0", "{{reason}}")
            .nothing("every packet is in a flow")
            .stacked(),
        third(
            "Of flows without an entry",
            "pps",
            "Counted in total and by source prefix only. Runbooks: VesperFlood, VesperFlowTableFull.",
        )
        .query("sum by (reason) (rate(vesper_capture_overflow_packets_total{@}[@]))", "{{reason}}")
        .stacked(),
        third("Kernel's flow table", "short", "Flows in it at the latest drain.")
            .query("sum(vesper_capture_flow_map_entries{@})", "flows"),
        third(
            "Flood of new flows",
            "short",
            "Packets without an entry in the latest second, and the prefixes they came from.",
        )
        .query("max(vesper_capture_new_flow_flood_packets{@})", "packets")
        .query("max(vesper_capture_new_flow_flood_prefixes{@})", "prefixes"),
        third(
            "Drains",
            "suffix:/s",
            "Drains that waited, because the analysis was behind, and drains that failed.",
        )
        .query("sum(rate(vesper_capture_drains_delayed_total{@}[@]))", "waited")
        .query("sum(rate(vesper_capture_drain_errors_total{@}[@]))", "failed"),
    ]
}

fn samples() -> Vec<Panel> {
    vec![
        third("Samples", "pps", "Chosen in the kernel, arrived in user space, read.")
            .query("sum(rate(vesper_capture_samples_chosen_total{@}[@]))", "chosen")
            .query("sum(rate(vesper_capture_samples_delivered_total{@}[@]))", "delivered")
            .query("sum(rate(vesper_flow_samples_parsed_total{@}[@]))", "parsed"),
        third(
            "Samples lost, by why",
            "pps",
            "Chosen, but never arrived. Packets are counted all the same. Runbook: VesperSamplesLost.",
        )
        .query("sum by (reason) (rate(vesper_capture_samples_lost_total{@}[@]))", "{{reason}}")
        .stacked(),
        third("Samples shed, by why", "pps", "Arrived, but were not looked at. Runbook: VesperBehind.")
            .query("sum by (reason) (rate(vesper_flow_samples_shed_total{@}[@]))", "{{reason}}")
            .stacked(),
        third(
            "AF_XDP sockets",
            "pps",
            "What the kernel counted for the sockets, all queues together; what is 0 is left out.",
        )
        .query("sum by (counter) (rate(vesper_capture_xsk_total{@}[@])) > 0", "{{counter}}")
        .nothing("nothing was lost"),
        number(
            "Sampling halved",
            "none",
            "How often sampling is halved because the analysis is behind. Runbook: VesperBehind.",
        )
        .query("max(vesper_capture_sampling_halved{@})", "times")
        .levels(&[(1.0, "yellow"), (3.0, "red")])
        .size(4, 8),
        table(
            "Receive queues",
            "Whether the driver writes samples into the sensor's memory itself, and where that is.",
            QUEUES,
        )
        .query("max by (instance, queue) (vesper_capture_queue_zero_copy{@})", "")
        .query("max by (instance, queue) (vesper_capture_queue_huge_pages{@})", "")
        .size(12, 8),
    ]
}

fn stages() -> Vec<Panel> {
    vec![
        third("Flow table", "short", "Flows in the tables of user space, and what they can hold.")
            .query("sum(vesper_flow_table_entries{@})", "flows")
            .query("sum(vesper_flow_table_limit_entries{@})", "limit"),
        third(
            "Packets refused by the flow table",
            "pps",
            "Their flows found it full; their hosts' windows still have them.",
        )
        .query("sum(rate(vesper_flow_refused_packets_total{@}[@]))", "refused"),
        third(
            "Link layer",
            "short",
            "MAC addresses, their streams and addresses claimed by ARP that are remembered.",
        )
        .query("sum by (table) (vesper_features_link_entries{@})", "{{table}}"),
        third("Windows", "suffix:/s", "Windows of flows and hosts that were made, scored, learned from.")
            .query("sum(rate(vesper_features_rows_total{@}[@]))", "made")
            .query("sum(rate(vesper_score_rows_total{@}[@]))", "scored")
            .query("sum(rate(vesper_score_rows_trained_total{@}[@]))", "learned from"),
        third(
            "Windows not scored",
            "suffix:/s",
            "Beyond features.max_rows, or because scoring failed. Runbook: VesperBehind.",
        )
        .query("sum by (reason) (rate(vesper_features_rows_shed_total{@}[@]))", "{{reason}}")
        .query("sum(rate(vesper_score_failures_total{@}[@]))", "failed seconds"),
        third(
            "From packet to score",
            "s",
            "Time from a packet's arrival to the score of its window; a window is a second.",
        )
        .query(
            "histogram_quantile(0.5, sum by (le) (rate(vesper_score_latency_seconds_bucket{@}[@])))",
            "median",
        )
        .query(
            "histogram_quantile(0.99, sum by (le) (rate(vesper_score_latency_seconds_bucket{@}[@])))",
            "99 %",
        ),
    ]
}

fn outlets() -> Vec<Panel> {
    vec![
        third(
            "Alerts",
            "short",
            "Windows that called for an alert in each interval, and what became of them.",
        )
        .query("sum(increase(vesper_alert_stored_total{@}[@]))", "new alert")
        .query("sum by (reason) (increase(vesper_alert_suppressed_total{@}[@]))", "{{reason}}")
        .events(),
        third("Store", "short", "New alerts in each interval that were handed to the store, and that are not on disk. Runbook: VesperStoreFailing.")
            .query("sum(increase(vesper_store_stored_total{@}[@]))", "on disk")
            .query("sum by (reason) (increase(vesper_store_suppressed_total{@}[@]))", "not kept: {{reason}}")
            .events(),
        third("Waiting for the disk", "short", "New alerts that the store has not committed yet.")
            .query("sum by (instance) (vesper_store_waiting_alerts{@})", "{{instance}}"),
        third("Waiting for sinks", "short", "Alerts that wait for a sink. Runbook: VesperSinkFailing.")
            .query("sum by (sink) (vesper_sinks_pending_alerts{@})", "{{sink}}"),
        third("Sinks", "short", "In each interval: taken, attempts that failed, given up, too old.")
            .query("sum(increase(vesper_sinks_delivered_total{@}[@]))", "taken")
            .query("sum(increase(vesper_sinks_attempts_failed_total{@}[@]))", "attempts failed")
            .query("sum(clamp_min(delta(vesper_sinks_dead_letters{@}[@]), 0))", "given up")
            .query("sum(increase(vesper_sinks_expired_total{@}[@]))", "too old"),
        third("Journal", "suffix:/s", "Rows for the window journal.")
            .query("sum(rate(vesper_journal_rows_kept_total{@}[@]))", "kept")
            .query("sum(rate(vesper_journal_rows_written_total{@}[@]))", "written")
            .query("sum(rate(vesper_journal_rows_dropped_total{@}[@]))", "dropped"),
        third("Size of the journal", "bytes", "On disk; old segments are removed by size and age.")
            .query("sum by (instance) (vesper_journal_size_bytes{@})", "{{instance}}"),
        third("Size of the database", "bytes", "Alerts, events, incidents; of it, the packets around alerts.")
            .query("sum(vesper_store_size_bytes{@})", "database")
            .query("sum(vesper_store_evidence_bytes{@})", "evidence"),
        third(
            "Free disk",
            "bytes",
            "What may still be written to the disk of state_dir. Runbook: VesperDiskFilling.",
        )
        .query("vesper_state_free_bytes{@}", "{{instance}}"),
    ]
}
