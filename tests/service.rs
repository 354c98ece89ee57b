//! The program `vesper` as its users meet it: exit codes, messages, and a mirror port with real connections on it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use sensor::alert::{Alert, ThreatType};
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::running::{Ended, Running};

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

/// Two hosts talk over a veth pair; tc mirrors one end of it to the sensor's port, as a switch would.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_port_scan_on_a_mirror_port_becomes_an_alert() {
    const NAME: &str = "a_port_scan_on_a_mirror_port_becomes_an_alert";
    if inside() {
        return match std::env::var("ROLE").unwrap().as_str() {
            "server" => serve(),
            "client" => talk(),
            "scanner" => scan(),
            role => panic!("no role {role}"),
        };
    }
    let host = Namespace::new("host");
    let peer = Namespace::new("peer");
    let sensor = Namespace::new("sensor");
    host.ip(&["link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", peer.name()]);
    host.ip(&["link", "add", "out", "type", "veth", "peer", "name", "mon0", "netns", sensor.name()]);
    for (namespace, address) in [(&host, "10.9.0.2/24"), (&peer, "10.9.0.1/24")] {
        namespace.ip(&["addr", "add", address, "dev", "lan"]);
        namespace.ip(&["link", "set", "lan", "up"]);
        namespace
            .command("ethtool")
            .args(["-K", "lan", "tso", "off", "gso", "off", "gro", "off"])
            .output()
            .unwrap();
    }
    host.ip(&["link", "set", "out", "up"]);
    sensor.ip(&["link", "set", "mon0", "up"]);
    host.tc(&["qdisc", "add", "dev", "lan", "clsact"]);
    for direction in ["ingress", "egress"] {
        host.tc(&[
            "filter", "add", "dev", "lan", direction, "protocol", "all", "u32", "match", "u32", "0", "0",
            "action", "mirred", "egress", "mirror", "dev", "out",
        ]);
    }

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    std::fs::write(&config, settings(folder.path())).unwrap();
    let mut running = Running::start(VESPER, &sensor, &config);
    let role = |namespace: &Namespace, role: &str| {
        let binary = std::env::current_exe().unwrap();
        let mut command = namespace.command(&binary.to_string_lossy());
        command.args([NAME, "--exact", "--ignored", "--nocapture"]).env("VESPER_TEST_INSIDE", "1");
        Ended(command.env("ROLE", role).stdout(Stdio::null()).spawn().unwrap())
    };
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
        assert_eq!(alert.source_ip, "10.9.0.1");
        assert_eq!(alert.destination_ip, "10.9.0.2");
        assert!(alert.details.score > alert.details.threshold, "{alert:?}");
    }
    for (equation, residue) in summary["residue"].as_object().unwrap() {
        assert_eq!(residue, 0, "{equation}: {summary}");
    }
    // The mirror is all the sensor's port carries; the kernel counted what it received.
    assert!(summary["packets"].as_u64().unwrap() > 1000, "{summary}");
}

fn settings(folder: &Path) -> String {
    format!(
        "state_dir = {folder:?}\n[capture]\ninterface = \"mon0\"\n[score]\nwarmup_rows = 60\nwarmup_time = \"5s\"\n\
         calibration_rows = 30\ncalibration_time = \"3s\"\n"
    )
}

/// Answers every connection on port 80 with a page.
fn serve() {
    let listener = TcpListener::bind("10.9.0.2:80").unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 512];
        if stream.read(&mut request).is_ok() {
            let _ = stream.write_all(&[b'x'; 4000]);
        }
    }
}

/// Fetches pages, a few a second, for a minute.
fn talk() {
    let mut pause = 7u64;
    for _ in 0..600 {
        if let Ok(mut stream) = connect("10.9.0.2:80".parse().unwrap()) {
            let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        }
        pause = pause * 31 % 101;
        thread::sleep(Duration::from_millis(50 + pause));
    }
}

/// Tries 600 closed ports in about three seconds.
fn scan() {
    for port in 1000..1600 {
        assert!(connect(SocketAddr::from(([10, 9, 0, 2], port))).is_err());
        thread::sleep(Duration::from_millis(5));
    }
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, Duration::from_secs(1))
}
