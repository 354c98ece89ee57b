//! `vesper analyze` as a whole: generated captures in, result files out.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use sensor::analyze::{AnalyzeError, AnalyzeOptions, analyze};
use sensor::config::Config;
use sensor::status::Summary;
use sensor_tests::capture::{self, Order};
use sensor_tests::traffic::{self, MILLISECOND, SECOND, Traffic};

/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600 * SECOND;

/// Three minutes of a small network, and near the end a port scan.
fn capture_with_scan(folder: &Path) -> (PathBuf, u64) {
    let mut traffic = Traffic::new(1);
    traffic.benign(START, 180 * SECOND, 8);
    traffic.port_scan(START + 150 * SECOND, traffic::client(66), traffic::SSH.0, 1_000, 5 * MILLISECOND);
    write(traffic, &folder.join("capture.pcapng"))
}

/// Writes a capture; says where it is and how many packets it has.
fn write(traffic: Traffic, path: &Path) -> (PathBuf, u64) {
    let packets = traffic.into_packets();
    std::fs::write(path, capture::pcapng(&packets, Order::Little, capture::ETHERNET)).unwrap();
    (path.to_owned(), packets.len() as u64)
}

/// A warm-up that fits the capture.
fn config() -> Config {
    let mut config = Config::default();
    config.score.warmup_rows = 300;
    config.score.warmup_time = Duration::from_secs(60);
    config.score.calibration_rows = 200;
    config.score.calibration_time = Duration::from_secs(40);
    config
}

fn run(capture: &Path, folder: &Path, threads: u32) -> Summary {
    std::fs::create_dir(folder).unwrap();
    let options = AnalyzeOptions {
        files: vec![capture.to_owned()],
        alerts: Some(folder.join("alerts.jsonl")),
        eve: Some(folder.join("eve.jsonl")),
        flows: Some(folder.join("flows.csv")),
        scores: Some(folder.join("scores.csv")),
        threads,
        ..AnalyzeOptions::default()
    };
    analyze(&options, &config()).unwrap()
}

#[test]
fn results_agree_with_each_other_and_with_the_capture() {
    let folder = tempfile::tempdir().unwrap();
    let (path, packets) = capture_with_scan(folder.path());
    let summary = run(&path, &folder.path().join("one"), 1);
    assert_eq!(summary.packets, packets);
    assert!(summary.residue.values().all(|residue| *residue == 0), "{:?}", summary.residue);
    assert!(!summary.truncated);
    assert_eq!(summary.first.as_deref().map(|first| &first[..19]), Some("2026-01-01T00:00:00"));

    let lines = |name: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(folder.path().join("one").join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let alerts = lines("alerts.jsonl");
    assert_eq!(alerts.len() as u64, summary.alerts);
    assert!(alerts.iter().any(|alert| alert["threat_type"] == "PortScan"), "{summary:?}");
    let eve = lines("eve.jsonl");
    let of = |kind: &str| eve.iter().filter(|record| record["event_type"] == kind).count() as u64;
    assert_eq!(of("alert"), summary.alerts);
    assert!(eve.iter().all(|record| record["timestamp"].is_string() && record["src_ip"].is_string()));

    let mut flows = csv::Reader::from_path(folder.path().join("one/flows.csv")).unwrap();
    let flows: Vec<csv::StringRecord> = flows.records().map(Result::unwrap).collect();
    assert!(flows.len() > 1_000 && of("flow") > 1_000, "each attempt of the scan is one");
    let counted: u64 =
        flows.iter().flat_map(|row| [&row[8], &row[9]].map(|n| n.parse::<u64>().unwrap())).sum();
    let arp = packets - counted;
    assert!(arp > 0 && arp < 100, "{arp} packets in no flow: only ARP is");

    let mut scores = csv::Reader::from_path(folder.path().join("one/scores.csv")).unwrap();
    assert_eq!(scores.headers().unwrap().len(), 17);
    let starts: Vec<f64> = scores.records().map(|row| row.unwrap()[0].parse().unwrap()).collect();
    assert!(!starts.is_empty() && starts.is_sorted(), "scores are in time order");

    for threads in [2, 3] {
        let name = format!("with {threads}");
        let again = run(&path, &folder.path().join(&name), threads);
        for file in ["alerts.jsonl", "eve.jsonl", "flows.csv", "scores.csv"] {
            let read = |run: &str| std::fs::read(folder.path().join(run).join(file)).unwrap();
            assert!(read("one") == read(&name), "{file} differs with {threads} threads");
        }
        assert_eq!((again.packets, again.alerts), (summary.packets, summary.alerts));
    }
}

#[test]
fn a_saved_model_alerts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut traffic = Traffic::new(1);
    traffic.benign(START, 130 * SECOND, 8);
    let (ordinary, _) = write(traffic, &folder.path().join("ordinary.pcapng"));
    let mut traffic = Traffic::new(2);
    traffic.benign(START + 130 * SECOND, 20 * SECOND, 8);
    traffic.port_scan(START + 140 * SECOND, traffic::client(66), traffic::SSH.0, 1_000, 5 * MILLISECOND);
    let (scan, _) = write(traffic, &folder.path().join("scan.pcapng"));
    let model = folder.path().join("model");

    let options =
        |file: &Path| AnalyzeOptions { files: vec![file.to_owned()], json: true, ..Default::default() };
    let learn = AnalyzeOptions { save_model: Some(model.clone()), ..options(&ordinary) };
    assert_eq!(analyze(&learn, &config()).unwrap().alerts, 0);
    assert_eq!(analyze(&options(&scan), &config()).unwrap().alerts, 0, "still warming up");
    let knowing = AnalyzeOptions { model: Some(model.clone()), ..options(&scan) };
    let summary = analyze(&knowing, &config()).unwrap();
    assert!(summary.threats.contains_key(&sensor::alert::ThreatType::PortScan), "{summary:?}");

    std::fs::write(&model, b"vesper-m but not one").unwrap();
    let Err(error) = analyze(&knowing, &config()) else { panic!("a damaged model was used") };
    assert!(error.to_string().contains("cannot use the model"), "{error}");
}

#[test]
fn two_results_in_one_file_are_refused() {
    let options = AnalyzeOptions {
        files: vec!["-".into()],
        alerts: Some("-".into()),
        json: true,
        ..AnalyzeOptions::default()
    };
    let Err(error) = analyze(&options, &Config::default()) else { panic!("both went to standard output") };
    assert!(matches!(error, AnalyzeError::SameFile { .. }), "{error}");
}
