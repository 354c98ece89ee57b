//! The program `vesper` as its users meet it: exit codes, messages, and a mirror port with real connections on it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use sensor::alert::{Alert, ThreatType};
use sensor_tests::mirror::{self, HOST, Mirror, PEER};
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::running::Running;
use serde_json::{Value, json};

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");

fn vesper(arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = Command::new(VESPER).args(arguments).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_bad_configuration_exits_78_and_names_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vesper.toml");
    std::fs::write(&file, "[capture]\nintreface = \"eth0\"\nring_entries = 1000\n").unwrap();
    let (code, message) = vesper(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(code, Some(78), "{message}");
    for part in ["vesper.toml:2", "intreface", "interface", "ring_entries", "1024"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn a_misspelt_interface_gets_the_nearest_name() {
    let (code, message) = vesper(&["run", "--interface", "lo0"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("did you mean lo?"), "{message}");
}

#[test]
fn no_interface_and_no_capture_are_clear_errors() {
    let (code, message) = vesper(&["run"]);
    assert!(code == Some(1) && message.contains("--interface"), "{message}");
    let (code, message) = vesper(&["analyze", "/nonexistent.pcap"]);
    assert!(code == Some(1) && message.contains("/nonexistent.pcap"), "{message}");
    assert_eq!(vesper(&["analyze"]).0, Some(2));
}

#[test]
fn a_store_of_a_newer_version_exits_78_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (file, database) = (folder.path().join("vesper.toml"), folder.path().join("vesper.db"));
    std::fs::write(&file, format!("state_dir = {:?}\n", folder.path())).unwrap();
    let newer = rusqlite::Connection::open(&database).unwrap();
    newer.pragma_update(None, "application_id", i32::from_be_bytes(*b"Vspr")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.close().unwrap();
    let before = std::fs::read(&database).unwrap();
    let (code, message) = vesper(&["run", "--interface", "lo", "--config", file.to_str().unwrap()]);
    assert_eq!(code, Some(78), "{message}");
    assert!(message.contains("schema 99") && message.contains("install a newer vesper"), "{message}");
    assert_eq!(std::fs::read(&database).unwrap(), before);
}

/// Mirror mode drops what it does not sample: not the talk of this machine's own programs.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn mirror_mode_is_refused_on_the_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vesper.toml");
    std::fs::write(&file, format!("state_dir = {:?}\n", folder.path())).unwrap();
    let namespace = Namespace::new("loopback");
    let mut command = namespace.command(VESPER);
    let output = command.args(["run", "--interface", "lo", "--config"]).arg(&file).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("refusing mirror mode on lo"), "{message}");
}

/// AF_XDP says nothing when its interface goes away; the sensor must.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_removed_interface_is_said_and_unhealthy() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    std::fs::write(&config, format!("state_dir = {:?}\n[capture]\ninterface = \"rx0\"\n", folder.path()))
        .unwrap();
    let namespace = Namespace::new("removed");
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    namespace.ip(&["link", "del", "rx0"]);
    running.wait_for("no longer attached");
    // The state that /health reads is written once a second.
    let mut health = String::new();
    for _ in 0..50 {
        health = running.get(&namespace, "/health");
        if health.starts_with("HTTP/1.1 503") {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    assert!(health.starts_with("HTTP/1.1 503"), "{health}");
    running.stop();
}

/// Sinks change while packets come; what cannot is named, and what is wrong changes nothing.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_reload_takes_up_sinks_and_names_what_needs_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let begin = format!("state_dir = {:?}\n[capture]\ninterface = \"rx0\"\n", folder.path());
    let write = |more: &str| std::fs::write(&config, format!("{begin}{more}")).unwrap();
    write("");
    let namespace = Namespace::new("reload");
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    let sinks = |running: &Running, wanted: &[&str]| {
        // The state that the API reads is written once a second.
        for _ in 0..50 {
            let answer = running.get(&namespace, "/api/v1/sinks");
            if wanted.iter().all(|name| answer.contains(&format!("\"name\":\"{name}\"")))
                && answer.matches("\"name\":").count() == wanted.len()
            {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{wanted:?}: {}", running.get(&namespace, "/api/v1/sinks"));
    };
    let reload = || {
        let url = "http://127.0.0.1:8888/api/v1/config/reload";
        let arguments = ["--silent", "--max-time", "10", "-X", "POST", url];
        let output = namespace.command("curl").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    sinks(&running, &["jsonl"]);
    write("[flow]\nmax_flows = 70000\n[[sinks.webhook]]\nname = \"soc\"\nurl = \"http://127.0.0.1:1\"\n");
    let answer = reload();
    assert!(answer.contains(r#""taken_up":["sinks"]"#), "{answer}");
    assert!(answer.contains(r#""need_restart":["flow.max_flows"]"#), "{answer}");
    sinks(&running, &["jsonl", "soc"]);
    write("[[sinks.webhook]]\nurl = \"gopher://x\"\n");
    let answer = reload();
    assert!(answer.contains("url is not an http") && answer.contains("remedy"), "{answer}");
    sinks(&running, &["jsonl", "soc"]);
    write("[sinks.eve]\nenabled = true\n");
    let pid = running.process.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    running.wait_for("settings read");
    sinks(&running, &["jsonl", "eve"]);
    let summary = running.stop();
    assert_eq!(summary["residue"]["sinks"], 0, "{summary}");
}

/// Two hosts talk over a veth pair; tc mirrors one end of it to the sensor's port, as a switch would.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_port_scan_on_a_mirror_port_becomes_an_alert() {
    const NAME: &str = "a_port_scan_on_a_mirror_port_becomes_an_alert";
    if inside() {
        return play();
    }
    let Mirror { host, peer, sensor } = Mirror::new();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    std::fs::write(&config, mirror::settings(folder.path())).unwrap();
    let mut running = Running::start(VESPER, &sensor, &config);
    let role = |namespace: &Namespace, role: &str| mirror::role(namespace, NAME, role);
    running.wait_for("watching");
    let _server = role(&host, "server");
    let _client = role(&peer, "client");
    running.wait_for("active");
    let mut scanner = role(&peer, "scanner");
    assert!(scanner.0.wait().unwrap().success());
    running.wait_for("PortScan");
    let health = running.get(&sensor, "/health");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let metrics = running.get(&sensor, "/metrics");
    assert!(metrics.contains("vesper_alert_stored_total"), "{metrics}");
    let summary = running.stop();

    let text = std::fs::read_to_string(folder.path().join("alerts.jsonl")).unwrap();
    let alerts: Vec<Alert> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!alerts.is_empty());
    for alert in &alerts {
        assert_eq!(alert.threat_type, ThreatType::PortScan, "{alert:?}");
        assert_eq!(alert.source_ip, PEER);
        assert_eq!(alert.destination_ip, HOST);
        assert!(alert.details.score > alert.details.threshold, "{alert:?}");
    }
    for (equation, residue) in summary["residue"].as_object().unwrap() {
        assert_eq!(residue, 0, "{equation}: {summary}");
    }
    // The mirror is all the sensor's port carries; the kernel counted what it received.
    assert!(summary["packets"].as_u64().unwrap() > 1000, "{summary}");
}

/// What was done the first time is what the second alert recommends.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_second_alert_names_what_was_done_at_the_first() {
    const NAME: &str = "the_second_alert_names_what_was_done_at_the_first";
    const DONE: &str = "moved the inventory scanner to the management network";
    if inside() {
        return play();
    }
    let Mirror { host, peer, sensor } = Mirror::new();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let settings = mirror::settings(folder.path()) + "[alert]\nrefold_after = \"6s\"\n";
    std::fs::write(&config, settings).unwrap();
    let mut running = Running::start(VESPER, &sensor, &config);
    let role = |namespace: &Namespace, role: &str| mirror::role(namespace, NAME, role);
    running.wait_for("watching");
    let _server = role(&host, "server");
    let _client = role(&peer, "client");
    running.wait_for("active");
    let scans = |count: usize| -> Vec<Value> {
        for _ in 0..100 {
            let answer = running.get(&sensor, "/api/v1/alerts?type=PortScan");
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let alerts: Value = serde_json::from_str(body).unwrap_or_default();
            if let Some(alerts) = alerts["items"].as_array().filter(|alerts| alerts.len() >= count) {
                return alerts.clone();
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("no {count} alerts of a scan");
    };
    assert!(role(&peer, "scanner").0.wait().unwrap().success());
    let first = scans(1).remove(0);
    let id = first["threat_id"].as_str().unwrap();
    assert_ne!(first["recommendation"]["action"], DONE);
    let resolution =
        json!({"action": DONE, "root_cause": "a forgotten inventory scanner", "note": "ticket 4711"});
    let resolved = running.post(&sensor, &format!("/api/v1/alerts/{id}/resolve"), &resolution);
    assert_eq!(resolved["state"], "resolved", "{resolved}");
    let incident = resolved["incident_id"].as_str().unwrap();

    // Longer than an attack may pause and still be the same.
    thread::sleep(Duration::from_secs(8));
    assert!(role(&peer, "scanner").0.wait().unwrap().success());
    let second = scans(2).remove(0);
    let recommendation = &second["recommendation"];
    println!("{recommendation:#}");
    assert_ne!(second["threat_id"], first["threat_id"]);
    assert_eq!(recommendation["incident_id"], incident, "{recommendation}");
    assert_eq!(recommendation["action"], DONE);
    assert!(recommendation["similarity"].as_f64().unwrap() > 0.5, "{recommendation}");
    for search in [json!({"words": "forgotten inventory"}), json!({"threat_id": second["threat_id"]})] {
        let found = running.post(&sensor, "/api/v1/incidents/search", &search);
        assert_eq!(found["items"][0]["incident"]["id"], incident, "{search}: {found}");
    }
    running.stop();
}

/// Other lists are in force with a reload; those that cannot be read, and settings that are wrong, change nothing.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_reload_takes_up_lists_and_keeps_those_before_where_others_are_bad() {
    const NAME: &str = "a_reload_takes_up_lists_and_keeps_those_before_where_others_are_bad";
    if inside() {
        return play();
    }
    let Mirror { host, peer, sensor } = Mirror::new();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let write = |more: &str| {
        let begin = mirror::settings(folder.path());
        std::fs::write(&config, format!("{begin}[intel]\nown_networks = []\n{more}")).unwrap();
    };
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let list = |name: &str, file: &str| {
        format!("[[intel.feed]]\nname = {name:?}\npath = {:?}\n", folder.path().join(file))
    };
    file("first.txt", &format!("{PEER}\n"));
    file("second.txt", "192.0.2.0/24\n198.51.100.7\n");
    write("");
    let mut running = Running::start(VESPER, &sensor, &config);
    running.wait_for("watching");
    let _server = mirror::role(&host, NAME, "server");
    let _client = mirror::role(&peer, NAME, "client");
    let reload = || running.post(&sensor, "/api/v1/config/reload", &json!({})).to_string();
    let shows = |lines: &[&str]| {
        let mut metrics = String::new();
        for _ in 0..80 {
            metrics = running.get(&sensor, "/metrics");
            if lines.iter().all(|line| metrics.contains(line)) {
                return metrics;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let intel: Vec<&str> = metrics.lines().filter(|line| line.contains("vesper_intel")).collect();
        panic!("{lines:?} in {intel:#?}");
    };
    assert!(!shows(&["vesper_capture_seen_packets_total"]).contains("vesper_intel_prefixes"));

    // A list where there was none: who talks already is found.
    write(&list("ours", "first.txt"));
    let answer = reload();
    assert!(
        answer.contains(r#""taken_up":["intel"]"#) && answer.contains(r#""need_restart":[]"#),
        "{answer}"
    );
    shows(&["vesper_intel_prefixes 1", "vesper_intel_matches_total{feed=\"ours\"}"]);

    // Another source of the same name that cannot be read: what was known stays, beside what is new.
    write(&format!("{}{}", list("ours", "nowhere.txt"), list("more", "second.txt")));
    assert!(reload().contains(r#""taken_up":["intel"]"#));
    let kept = "vesper_intel_entries{feed=\"ours\",kind=\"ip\"} 1";
    shows(&["vesper_intel_prefixes 3", kept, "vesper_intel_feed_up{feed=\"ours\"} 0"]);

    write(&format!("allow = [\"no network\"]\n{}", list("more", "second.txt")));
    assert!(reload().contains("neither a network nor a domain"));
    shows(&["vesper_intel_prefixes 3", kept]);

    // It can be read at last, and what it says is allowed.
    file("nowhere.txt", &format!("{PEER}\n203.0.113.9\n"));
    write(&format!("allow = [{PEER:?}]\n{}", list("ours", "nowhere.txt")));
    assert!(reload().contains(r#""taken_up":["intel"]"#));
    let metrics = shows(&[kept, "vesper_intel_feed_up{feed=\"ours\"} 1"]);
    assert!(!metrics.contains("feed=\"more\",kind"), "a list that is gone is not in force");

    write("enabled = false\n");
    assert!(reload().contains(r#""taken_up":["intel"]"#));
    for _ in 0..50 {
        if !running.get(&sensor, "/metrics").contains("vesper_intel_prefixes") {
            running.stop();
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("lists that are off are shown");
}

/// What the hosts do, each in its namespace.
fn play() {
    match std::env::var("ROLE").unwrap().as_str() {
        "server" => mirror::serve(),
        "client" => mirror::talk(600),
        "scanner" => mirror::scan(),
        role => panic!("no role {role}"),
    }
}
