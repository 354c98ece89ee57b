//! The interface: made fit to be watched and put back, its limits explained, its link listened to.
//! Everything a veth pair can do; what only hardware has is said by `vesper check` (tests/check), and refused here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use sensor_tests::namespace::Namespace;
use sensor_tests::running::Running;

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");

/// What is looked at from outside: offloads and promiscuity of `rx0`.
fn state(namespace: &Namespace) -> (String, bool) {
    let features = namespace.command("ethtool").args(["-k", "rx0"]).output().unwrap();
    let features = String::from_utf8(features.stdout).unwrap();
    let wanted = ["generic-receive-offload:", "rx-vlan-offload:", "rx-vlan-stag-hw-parse:"];
    let lines =
        features.lines().map(str::trim).filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    let link = namespace.command("ip").args(["-d", "link", "show", "rx0"]).output().unwrap();
    let promiscuous = String::from_utf8(link.stdout).unwrap().contains("promiscuity 1");
    (lines.collect::<Vec<_>>().join(", "), promiscuous)
}

/// What busy polling changes.
fn deferred(namespace: &Namespace) -> String {
    let file = "/sys/class/net/rx0/napi_defer_hard_irqs";
    let output = namespace.command("cat").arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const ON: &str = "generic-receive-offload: on, rx-vlan-offload: on, rx-vlan-stag-hw-parse: on";
const OFF: &str = "generic-receive-offload: off, rx-vlan-offload: off, rx-vlan-stag-hw-parse: off";

fn settings(folder: &Path, capture: &str) -> std::path::PathBuf {
    let file = folder.join("vesper.toml");
    let text = format!("state_dir = {folder:?}\n[capture]\ninterface = \"rx0\"\n{capture}");
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_interface_is_put_back_at_the_end_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = settings(folder.path(), "");
    let namespace = Namespace::new("prepared");
    let before = (ON.to_owned(), false);
    assert_eq!(state(&namespace), before);

    let mut running = Running::start(VESPER, &namespace, &mirror);
    running.wait_for("watching");
    assert_eq!(state(&namespace), (OFF.to_owned(), true));
    let summary = running.stop();
    assert_eq!(state(&namespace), before, "put back at the end");
    let prepared: Vec<String> = serde_json::from_value(summary["nic"]["prepared"].clone()).unwrap();
    for line in ["promiscuous mode on", "rx-vlan-hw-parse off: it takes VLAN tags", "rx-gro off: it merges"] {
        assert!(prepared.iter().any(|found| found.starts_with(line)), "{line}: {prepared:?}");
    }

    assert_eq!(deferred(&namespace), "0");
    let busy = settings(folder.path(), "busy_poll = true");
    let mut running = Running::start(VESPER, &namespace, &busy);
    running.wait_for("watching");
    running.process.0.kill().unwrap();
    running.process.0.wait().unwrap();
    assert_eq!(state(&namespace), (OFF.to_owned(), false), "promiscuous mode goes with the process");
    assert_eq!(deferred(&namespace), "2");
    assert!(folder.path().join("interface.json").exists());

    // The next sensor changes nothing itself.
    let host = settings(folder.path(), "mode = \"host\"");
    let mut running = Running::start(VESPER, &namespace, &host);
    running.wait_for("settings of an earlier sensor are still on the interface");
    running.wait_for("watching");
    assert_eq!(state(&namespace), before, "put back by the next start, and host mode changes nothing");
    assert!(!folder.path().join("interface.json").exists());
    assert_eq!(deferred(&namespace), "0");
    running.stop();
    assert_eq!(state(&namespace), before);

    let left_alone = settings(folder.path(), "prepare_nic = false");
    let mut running = Running::start(VESPER, &namespace, &left_alone);
    running.wait_for("watching");
    assert_eq!(state(&namespace), before, "not asked for");
    running.stop();
}

/// A start that fails leaves nothing behind either.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn zero_copy_can_be_required_and_a_veth_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "zero_copy = \"require\"");
    let namespace = Namespace::new("zerocopy");
    let output = namespace.command(VESPER).args(["run", "--config"]).arg(&config).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("rx0 queue 0") && message.contains("capture.zero_copy = \"require\""),
        "{message}"
    );
    assert_eq!(state(&namespace), (ON.to_owned(), false));

    let config = settings(folder.path(), "");
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    let metrics = running.get(&namespace, "/metrics");
    assert!(metrics.contains("vesper_capture_queue_zero_copy{queue=\"0\"} 0"), "{metrics}");
    assert_eq!(running.stop()["nic"]["queues"][0]["zero_copy"], false);
}

/// A poll each second would miss most of these.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn short_losses_of_the_link_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "drain_interval = \"10s\"");
    let namespace = Namespace::new("flaps");
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    for _ in 0..5 {
        namespace.ip(&["link", "set", "tx0", "down"]);
        running.wait_for("link is down");
        namespace.ip(&["link", "set", "tx0", "up"]);
        running.wait_for("link is up");
    }
    running.stop();
}

/// The MTU of a veth's other end decides, and that one cannot be seen in another namespace.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_mtu_that_does_not_fit_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "xdp = \"native\"");
    let (namespace, elsewhere) = (Namespace::new("mtu"), Namespace::new("elsewhere"));
    elsewhere.ip(&["link", "del", "tx0"]);
    namespace.ip(&["link", "set", "tx0", "netns", elsewhere.name()]);
    elsewhere.ip(&["link", "set", "tx0", "mtu", "9000"]);
    elsewhere.ip(&["link", "set", "tx0", "up"]);
    let output = namespace.command(VESPER).args(["run", "--config"]).arg(&config).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("the other end of rx0 may have an MTU above 3506"), "{message}");
    elsewhere.ip(&["link", "set", "tx0", "mtu", "3506"]);
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    running.stop();
}
