//! The snapshot as Prometheus metrics, built anew at each scrape.
//!
//! Every series is there from the start, at zero. No label comes from traffic: values are names in this source,
//! numbers of queues, or names a person wrote into the configuration.

use sensor_ebpf::counter::{Count, Reason};

pub use super::api::ApiCounts;
use super::exposition::Families;
use super::{ModelState, Status, VERSION, process};
use crate::alert::ThreatType;
use crate::capture::Mode;
use crate::capture::nic::counters::NicCounters;
use crate::features::app::AppCounts;
use crate::features::link::LinkTables;

/// Content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Every type of threat with its metric label, which is its name in alerts.
const THREATS: [(ThreatType, &str); 9] = [
    (ThreatType::DoS, "DoS"),
    (ThreatType::DDoS, "DDoS"),
    (ThreatType::PortScan, "PortScan"),
    (ThreatType::WebAttack, "WebAttack"),
    (ThreatType::Infiltration, "Infiltration"),
    (ThreatType::Bot, "Bot"),
    (ThreatType::BruteForce, "BruteForce"),
    (ThreatType::Exfiltration, "Exfiltration"),
    (ThreatType::Anomaly, "Anomaly"),
];

/// The exposition text.
pub fn render(status: &Status, api: &ApiCounts) -> Result<String, prometheus::Error> {
    let mut families = Families::default();
    super::api::metrics(&mut families, api);
    capture(&mut families, status);
    samples(&mut families, status);
    links(&mut families, &status.links);
    app(&mut families, &status.app);
    scoring(&mut families, status);
    super::score::drift(&mut families, status);
    super::score::gpu(&mut families, status);
    alerts(&mut families, status);
    super::store::metrics(&mut families, status.store.as_ref());
    super::sinks::metrics(&mut families, &status.sinks);
    super::journal::metrics(&mut families, &status.journal);
    super::intel::metrics(&mut families, status);
    super::incidents::metrics(&mut families, status.incidents.as_ref(), status.language.as_ref());
    super::model::metrics(&mut families, status);
    super::disk::metrics(&mut families, &status.state_dir);
    sensor(&mut families, status);
    families.text()
}

fn capture(families: &mut Families, status: &Status) {
    let totals = &status.ledger.totals;
    families.counts("capture_seen", "that the XDP program was given", [(vec![], totals.seen)]);
    families.counts("capture_counted", "that belong to a flow", [(vec![], totals.counted)]);
    families.counts(
        "capture_not_counted",
        "that belong to no flow, by why",
        Reason::ALL
            .map(|(reason, label)| (vec![("reason", label)], count_at(&totals.not_counted, reason as usize))),
    );
    families.counts(
        "capture_overflow",
        "of flows that found no entry in the kernel's flow table",
        [
            (vec![("reason", "table_full")], totals.overflow_table_full),
            (vec![("reason", "not_admitted")], totals.overflow_not_admitted),
            (vec![("reason", "no_lane")], totals.overflow_no_lane),
        ],
    );
    let drained = Count { packets: status.ledger.drained_packets, bytes: status.ledger.drained_bytes };
    families.counts(
        "capture_drained",
        "that user space has drained from the flow table",
        [(vec![], drained)],
    );
    let Some(live) = &status.capture else { return };
    let mode = match live.mode {
        Mode::Mirror => "mirror",
        Mode::Host => "host",
    };
    let xdp = if live.native { "native" } else { "generic" };
    families.gauges(
        "capture_info",
        "The interface that is watched, and how; always 1.",
        [(vec![("interface", live.interface.as_str()), ("mode", mode), ("xdp", xdp)], 1.0)],
    );
    families.gauge("capture_link_up", "Whether the link of the interface is up.", f64::from(live.link_up));
    families.gauge("capture_attached", "Whether the XDP program is attached.", f64::from(live.attached));
    families.gauge(
        "capture_last_packet_age_seconds",
        "Time since the latest packet, or since the start when there was none.",
        live.last_packet_age.unwrap_or(status.time.saturating_sub(status.started)) as f64 / 1e9,
    );
    families.gauge(
        "capture_sampling_halved",
        "How often sampling is halved because the analysis is behind; 0 is as configured.",
        live.sampling_halved as f64,
    );
    families.gauge(
        "capture_new_flow_flood_packets",
        "Packets in the latest second that belong to flows without an entry in the kernel's flow table.",
        live.flood.packets as f64,
    );
    families.gauge(
        "capture_new_flow_flood_prefixes",
        "Source prefixes (/24, /48) that those packets came from, estimated.",
        f64::from(live.flood.prefixes),
    );
    families.gauge(
        "capture_flow_map_entries",
        "Flows in the kernel's flow table at the latest drain.",
        live.flow_map_entries as f64,
    );
    families.counter(
        "capture_drains_delayed_total",
        "Drains that waited because the analysis was behind; nothing is lost.",
        live.drains_delayed,
    );
    families.counter("capture_drain_errors_total", "Drains that failed; see the log.", live.drain_errors);
    nic(families, &live.nic);
    let queues: Vec<String> = (0..live.xsk.len()).map(|queue| queue.to_string()).collect();
    families.gauges(
        "capture_queue_zero_copy",
        "Whether samples of this receive queue arrive without a copy.",
        queues
            .iter()
            .zip(&live.zero_copy)
            .map(|(queue, zero)| (vec![("queue", queue.as_str())], f64::from(*zero))),
    );
    families.gauges(
        "capture_queue_huge_pages",
        "Whether samples of this receive queue arrive in huge pages.",
        queues
            .iter()
            .zip(&live.queues)
            .map(|(name, queue)| (vec![("queue", name.as_str())], f64::from(queue.huge_pages))),
    );
    families.labelled_counters(
        "capture_xsk_total",
        "What the kernel counted for the AF_XDP socket of this receive queue (XDP_STATISTICS).",
        queues.iter().zip(&live.xsk).flat_map(|(queue, xsk)| {
            [
                ("rx_dropped", xsk.rx_dropped),
                ("rx_invalid_descs", xsk.rx_invalid_descs),
                ("tx_invalid_descs", xsk.tx_invalid_descs),
                ("rx_ring_full", xsk.rx_ring_full),
                ("rx_fill_ring_empty_descs", xsk.rx_fill_ring_empty_descs),
                ("tx_ring_empty_descs", xsk.tx_ring_empty_descs),
            ]
            .map(|(counter, value)| (vec![("queue", queue.as_str()), ("counter", counter)], value))
        }),
    );
}

fn nic(families: &mut Families, nic: &NicCounters) {
    families.counter(
        "capture_nic_rx_packets_total",
        "Packets the interface's driver counted as received; some drivers leave out what XDP takes.",
        nic.rx_packets,
    );
    families.counter("capture_nic_rx_bytes_total", "Bytes of those packets.", nic.rx_bytes);
    families.counter(
        "capture_nic_rx_missed_total",
        "Packets the interface had no room for: they never reached XDP.",
        nic.rx_missed,
    );
    families.counter(
        "capture_nic_rx_dropped_total",
        "Packets dropped between driver and network stack; drivers differ in what that is.",
        nic.rx_dropped,
    );
    families.counter(
        "capture_nic_unseen_total",
        "Packets the driver received and XDP never saw; 0 where the driver's count cannot be compared.",
        nic.unseen,
    );
    families.gauge(
        "capture_nic_comparable",
        "Whether the driver's count of packets can be compared with XDP's.",
        f64::from(nic.comparable),
    );
}

fn samples(families: &mut Families, status: &Status) {
    let (totals, bins) = (&status.ledger.totals, &status.ledger.samples);
    families.counter("capture_samples_chosen_total", "Packets chosen for a closer look.", totals.sampled);
    families.counter("capture_samples_delivered_total", "Samples that reached user space.", bins.delivered);
    families.counters(
        "capture_samples_lost_total",
        "Samples lost between the XDP program and user space, by why.",
        "reason",
        [
            ("no_socket", totals.lost_no_socket),
            ("ringbuf_full", totals.lost_ringbuf_full),
            ("no_headroom", totals.lost_no_headroom),
            ("rx_ring_full", bins.lost_rx_ring_full),
            ("fill_ring_empty", bins.lost_fill_ring_empty),
            ("rx_dropped", bins.lost_rx_dropped),
            ("invalid_descs", bins.lost_invalid_descs),
            ("restart", bins.lost_restart),
        ],
    );
    families.counter(
        "capture_samples_earlier_total",
        "Samples that sensors accounted for before this one took over from them.",
        status.ledger.samples_before,
    );
    families.counter(
        "flow_samples_parsed_total",
        "Samples whose headers were read: those of flows, and those that are not IP.",
        bins.parsed,
    );
    families.counters(
        "flow_samples_shed_total",
        "Delivered samples that were not looked at, by why.",
        "reason",
        [("queue_full", bins.shed_queue_full), ("not_in_flow", bins.shed_not_in_flow)],
    );
    families.gauge("flow_table_entries", "Flows in the flow table.", status.flow.entries as f64);
    families.gauge("flow_table_limit_entries", "Flows the flow table can hold.", status.flow.limit as f64);
    families.counter("flow_flows_total", "Flows seen.", status.flow.total);
    families.counter(
        "flow_refused_packets_total",
        "Packets of flows that found the flow table full; their hosts' windows still have them.",
        status.flow.refused,
    );
}

fn links(families: &mut Families, links: &LinkTables) {
    families.counter("features_link_samples_total", "Samples of frames that are not IP.", links.samples);
    families.gauges(
        "features_link_entries",
        "MAC addresses, their streams of other protocols than IP, and addresses claimed by ARP that are remembered.",
        [("macs", links.macs), ("streams", links.streams), ("owners", links.owners)]
            .map(|(table, entries)| (vec![("table", table)], entries as f64)),
    );
    families.counter(
        "features_link_overflow_total",
        "Times a MAC address, a stream, an address or an ARP request found no room to be remembered.",
        links.overflow,
    );
}

fn app(families: &mut Families, app: &AppCounts) {
    families.gauges(
        "features_app_entries",
        "What is remembered of what samples said.",
        [(vec![("table", "flows")], app.flows as f64), (vec![("table", "domains")], app.domains as f64)],
    );
    families.counter(
        "features_app_overflow_total",
        "Flows, pairs and domains that made room before their time.",
        app.overflow,
    );
}

fn scoring(families: &mut Families, status: &Status) {
    let bins = &status.ledger.scoring;
    families.counter("features_rows_total", "Windows of flows and hosts that were made.", bins.made);
    families.counters(
        "features_rows_shed_total",
        "Windows that were made but not scored, by why.",
        "reason",
        [("limit", bins.shed_limit)],
    );
    families.counter("score_rows_total", "Windows scored.", bins.scored);
    families.counter(
        "score_failures_total",
        "Times the windows of a second could not be scored; see the log.",
        status.score_failed,
    );
    families.counter("score_rows_trained_total", "Scored windows the model learned from.", bins.trained);
    families.counters(
        "score_rows_withheld_total",
        "Scored windows the model did not learn from, by why.",
        "reason",
        [
            ("anomalous", bins.withheld_anomalous),
            ("attack", bins.withheld_attack),
            ("reference", bins.withheld_reference),
            ("ledger", bins.withheld_ledger),
            ("budget", bins.withheld_budget),
            ("calibrating", bins.withheld_calibrating),
        ],
    );
    let score = &status.score;
    families.gauges(
        "score_state",
        "What the model is doing: 1 for that state, 0 for the others. Alerts rise only when active.",
        ModelState::ALL
            .map(|(state, label)| (vec![("state", label)], f64::from(u8::from(score.state == state)))),
    );
    families.gauge("score_progress_ratio", "How far the model is on the way to active.", score.progress);
    families.gauges(
        "score_threshold",
        "Score above which a window is unusual; 0 before calibration.",
        [(vec![], score.threshold)],
    );
    families.histogram(
        "score_latency_seconds",
        "Time from a packet's arrival to the score of its window.",
        &status.latency_score,
    );
}

fn alerts(families: &mut Families, status: &Status) {
    let bins = &status.ledger.alerts;
    families.counter("alert_raised_total", "Windows that called for an alert.", bins.raised);
    families.counter("alert_stored_total", "New alerts handed to the store.", bins.stored);
    families.counters(
        "alert_suppressed_total",
        "Windows that called for an alert and made no new one, by why.",
        "reason",
        [("duplicate", bins.suppressed_duplicate), ("limit", bins.suppressed_limit)],
    );
    families.counters(
        "alert_threats_total",
        "New alerts by type of threat.",
        "type",
        THREATS.map(|(threat, label)| (label, status.threats.get(&threat).copied().unwrap_or(0))),
    );
    families.gauge(
        "alert_budget_per_hour",
        "Alerts without a type that the settings allow in an hour.",
        status.budget_per_hour,
    );
    families.histogram(
        "alert_latency_seconds",
        "Time from a packet's arrival to the alert it led to.",
        &status.latency_alert,
    );
}

fn sensor(families: &mut Families, status: &Status) {
    families.gauges(
        "ledger_residue",
        "What is left over when the bins of an equation are added up; anything but 0 is a fault of the sensor.",
        status.residues().map(|(equation, residue)| (vec![("equation", equation)], residue as f64)),
    );
    families.gauges("build_info", "The version that runs; always 1.", [(vec![("version", VERSION)], 1.0)]);
    families.gauge(
        "start_time_seconds",
        "When the sensor started, seconds since the Unix epoch.",
        status.started as f64 / 1e9,
    );
    let process = process::read();
    families.process("cpu_seconds_total", "CPU time used by this process.", process.cpu_seconds);
    families.process(
        "resident_memory_bytes",
        "Memory of this process that is resident.",
        process.resident_bytes,
    );
    families.process("open_fds", "File descriptors this process has open.", process.open_fds);
}

fn count_at(counts: &[Count], index: usize) -> Count {
    counts.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
