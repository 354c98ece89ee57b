use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::capture::XskStatistics;
use crate::features::link::LinkTables;
use crate::sinks::SinkStatus;
use crate::status::CaptureStatus;

fn full() -> Status {
    let mut status = Status { time: 2_000_000_000, started: 1_000_000_000, ..Status::default() };
    status.capture = Some(CaptureStatus {
        interface: "eth0\"\n".to_owned(),
        native: true,
        zero_copy: vec![true, false],
        xsk: vec![XskStatistics::default(), XskStatistics { rx_ring_full: 7, ..XskStatistics::default() }],
        link_up: true,
        ..CaptureStatus::default()
    });
    status.sinks = vec![SinkStatus {
        name: "jsonl".to_owned(),
        stored: 5,
        delivered: 3,
        pending: 1,
        dead_letter_refused: 1,
        ..SinkStatus::default()
    }];
    status.ledger.totals.not_counted[Reason::Arp as usize].add(60);
    status.ledger.totals.seen.add(60);
    status.threats.insert(ThreatType::PortScan, 2);
    status.links = LinkTables { samples: 9, macs: 3, overflow: 2, ..LinkTables::default() };
    status.residue.flows = -4;
    status.drift[1] = vec![0.0, 2.5];
    status.app.domains = 4;
    status.latency_score.record(20_000_000);
    status.budget_per_hour = 0.5;
    status.state_dir = "/".into();
    status
}

#[test]
fn values_are_where_they_belong() {
    let text = render(&full(), &ApiCounts::default()).unwrap();
    for line in [
        "vesper_capture_seen_packets_total 1",
        "vesper_capture_seen_bytes_total 60",
        "vesper_capture_not_counted_packets_total{reason=\"arp\"} 1",
        "vesper_capture_not_counted_bytes_total{reason=\"llc\"} 0",
        "vesper_capture_info{interface=\"eth0\\\"\\n\",mode=\"mirror\",xdp=\"native\"} 1",
        "vesper_capture_queue_zero_copy{queue=\"1\"} 0",
        "vesper_capture_xsk_total{queue=\"1\",counter=\"rx_ring_full\"} 7",
        "vesper_capture_attached 0",
        "vesper_alert_threats_total{type=\"PortScan\"} 2",
        "vesper_alert_threats_total{type=\"Anomaly\"} 0",
        "vesper_sinks_pending_alerts{sink=\"jsonl\"} 1",
        "vesper_sinks_dead_letters{reason=\"refused\",sink=\"jsonl\"} 1",
        "vesper_ledger_residue{equation=\"flows\"} -4",
        "vesper_ledger_residue{equation=\"sinks\"} 0",
        "vesper_features_link_samples_total 9",
        "vesper_features_link_entries{table=\"macs\"} 3",
        "vesper_features_link_overflow_total 2",
        "vesper_score_drift{feature=\"peers\",kind=\"host\"} 2.5",
        "vesper_score_drift{feature=\"bytes_out\",kind=\"flow\"} 0",
        "vesper_features_app_entries{table=\"domains\"} 4",
        "vesper_score_state{state=\"warming\"} 1",
        "vesper_score_latency_seconds_bucket{le=\"0.01\"} 0",
        "vesper_score_latency_seconds_bucket{le=\"0.025\"} 1",
        "vesper_score_latency_seconds_bucket{le=\"+Inf\"} 1",
        "vesper_alert_latency_seconds_count 0",
        "vesper_alert_budget_per_hour 0.5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn a_disk_has_its_size_and_an_unknown_one_is_not_full() {
    let text = render(&full(), &ApiCounts::default()).unwrap();
    let size = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(size("vesper_state_size_bytes ") >= size("vesper_state_free_bytes "), "{text}");
    assert!(size("vesper_state_size_bytes ") > 0.0, "{text}");
    assert!(!render(&Status::default(), &ApiCounts::default()).unwrap().contains("vesper_state_"));
}

#[test]
fn series_are_there_from_the_start() {
    let series = |status: &Status| -> Vec<String> {
        let text = render(status, &ApiCounts::default()).unwrap();
        let names = text.lines().filter(|line| !line.starts_with('#'));
        names.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    let mut idle = full();
    idle.ledger = Default::default();
    idle.threats.clear();
    idle.residue = Default::default();
    idle.latency_score = Default::default();
    assert_eq!(series(&idle), series(&full()));
    assert!(render(&Status::default(), &ApiCounts::default()).is_ok());
}

#[test]
fn every_threat_has_its_name() {
    for (threat, label) in THREATS {
        assert_eq!(serde_json::to_value(threat).unwrap(), label);
    }
}

#[test]
fn promtool_finds_nothing() {
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match spawned {
        Ok(promtool) => promtool,
        Err(error) => {
            panic!("promtool does not run ({error}): apt-get install --no-install-recommends prometheus")
        }
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(render(&full(), &ApiCounts::default()).unwrap().as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
