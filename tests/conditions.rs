//! What the counters say becomes an alert without any warm-up, once; and settings change while packets come.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use sensor::alert::{Alert, Severity, ThreatType};
use sensor_tests::frames;
use sensor_tests::generator::Generator;
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::running::Running;

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");

fn settings(folder: &Path, capture: &str) -> std::path::PathBuf {
    let config = folder.join("vesper.toml");
    let text =
        format!("state_dir = {folder:?}\n[capture]\ninterface = \"rx0\"\nprepare_nic = false\n{capture}\n");
    std::fs::write(&config, text).unwrap();
    config
}

/// New alerts, less what is told again of alerts that go on.
fn alerts(folder: &Path) -> Vec<Alert> {
    let text = std::fs::read_to_string(folder.join("alerts.jsonl")).unwrap_or_default();
    let all = text.lines().map(|line| serde_json::from_str::<Alert>(line).unwrap());
    all.filter(|alert| alert.details.count == 1).collect()
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_flood_of_new_flows_is_one_alert() {
    const NAME: &str = "a_flood_of_new_flows_is_one_alert";
    if inside() {
        let mut generator = Generator::new("tx0", 1);
        let frame =
            frames::udp(("10.0.0.1".parse().unwrap(), 40_000), ("192.0.2.1".parse().unwrap(), 53), &[0; 18]);
        generator.flood(1 << 40, 1);
        for _ in 0..20 {
            generator.send(&frame, 20_000);
            thread::sleep(Duration::from_millis(250));
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "new_flows_per_second = 2000");
    let namespace = Namespace::new("condition");
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    namespace.run_test(NAME);
    let summary = running.stop();
    assert!(summary["residue"].as_object().unwrap().values().all(|left| left == 0), "{summary}");
    let alerts = alerts(folder.path());
    assert_eq!(alerts.len(), 1, "five seconds of flood are one alert: {alerts:#?}");
    let alert = &alerts[0];
    assert_eq!((alert.threat_type, alert.severity), (ThreatType::DDoS, Severity::High), "{alert:?}");
    for part in ["New-flow flood: ", "the 2000/s that are admitted", "source prefixes", "/24"] {
        assert!(alert.details.narrative.contains(part), "{part}: {}", alert.details.narrative);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn blindness_is_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let namespace = Namespace::new("blind");
    let mut running = Running::start(VESPER, &namespace, &settings(folder.path(), ""));
    running.wait_for("watching");
    namespace.ip(&["link", "set", "tx0", "down"]);
    running.wait_for("The link of rx0 is down");
    namespace.ip(&["link", "del", "rx0"]);
    running.wait_for("The sensor is blind");
    running.stop();
    let told: Vec<(ThreatType, Severity)> =
        alerts(folder.path()).iter().map(|alert| (alert.threat_type, alert.severity)).collect();
    assert_eq!(told, [(ThreatType::Anomaly, Severity::High), (ThreatType::Anomaly, Severity::Critical)]);
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn sampling_changes_at_sighup_and_bad_settings_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "sample = { one_in = 100 }");
    let namespace = Namespace::new("hangup");
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    let hang_up = |running: &Running| {
        let pid = running.process.0.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    settings(folder.path(), "sample = { one_in = 7 }");
    hang_up(&running);
    running.wait_for("sampling changed");
    assert!(running.seen.last().unwrap().contains("one_in: 7"), "{:?}", running.seen.last());
    settings(folder.path(), "sample = { one_inn = 7 }");
    hang_up(&running);
    running.wait_for("going on with those there were");
    settings(folder.path(), "sample = { one_in = 7 }\nring_entries = 512");
    hang_up(&running);
    running.wait_for("in force after a restart");
    running.stop();
}
