//! An interface, and whoever else is on it.

use std::path::Path;
use std::process::Command;

use aya::programs::XdpMode;
use sensor::capture::{Frames, Program, TableSize};
use sensor_tests::namespace::inside;
use sensor_tests::running::Running;
use serde_json::Value;

use super::{Machine, VESPER, line, settings};

#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_interface_in_both_states() {
    let machine = Machine::new("chk-nic", 2);
    let ip = |arguments: &str| machine.namespace.ip(&arguments.split(' ').collect::<Vec<_>>());
    let with = |capture: &str, arguments: &str, lines: &[(&str, &str, &str)]| {
        machine.expect(capture, "", arguments, lines);
    };
    with(
        "prepare_nic = false",
        "",
        &[
            ("interface", "ok", "rx0: veth, 2 receive queues"),
            ("link", "ok", "up"),
            ("mtu", "ok", "1500; native XDP has room for 3506 in one buffer"),
            ("route", "ok", "no default route"),
            ("other xdp", "ok", "none"),
            ("native xdp", "ok", "the driver has it, for jumbo frames too"),
            ("rss", "ok", "rx0's driver does not tell"),
            ("offloads", "warn", "ethtool -K rx0 rx-vlan-hw-parse off rx-vlan-stag-hw-parse off"),
            ("promiscuous", "warn", "ip link set rx0 promisc on"),
            ("nic rings", "ok", "the driver has none"),
            ("zero-copy", "ok", "not with this driver"),
            ("huge pages", "ok", "of 16"),
            ("numa", "ok", "no node"),
        ],
    );
    with(
        "zero_copy = \"require\"",
        "",
        &[
            ("offloads", "ok", "will be off while vesper runs"),
            ("promiscuous", "ok", "will be on while vesper runs"),
            ("zero-copy", "fail", "capture.zero_copy"),
        ],
    );
    machine.expect("", "UNDER='taskset -c 0'", "", &[("queues", "warn", "ethtool -L rx0 combined 1")]);
    with("", "--interface nosuch0", &[("interface", "fail", "there is no interface nosuch0")]);
    // The loopback's driver has no XDP, and an MTU of 64 KiB.
    with(
        "",
        "--interface lo",
        &[
            ("route", "fail", "loopback"),
            ("native xdp", "warn", "use a NIC"),
            ("mtu", "warn", "XDP will be generic"),
        ],
    );
    ip("link add br0 type bridge");
    with("", "--interface br0", &[("interface", "warn", "no NIC of its own")]);
    // veth has native XDP only with as many receive queues as the other end has for sending.
    let fewer = "ethtool -L rx0 rx 1";
    machine.expect("", fewer, "", &[("native xdp", "warn", "ethtool -L")]);
    machine.expect("xdp = \"native\"", fewer, "", &[("native xdp", "fail", "capture.xdp = \"auto\"")]);
    ip("link set rx0 mtu 9000");
    ip("link set tx0 mtu 9000");
    ip("link set tx0 down");
    with("", "", &[("mtu", "warn", "XDP will be generic"), ("link", "warn", "no carrier")]);
    machine.expect("", "ethtool -L rx0 rx 2", "", &[("mtu", "ok", "several buffers will be used")]);
    ip("link set rx0 down");
    with("", "", &[("link", "warn", "ip link set rx0 up")]);
    ip("link set rx0 up");
    ip("route add default dev rx0");
    with("", "", &[("route", "fail", "would cut it")]);
    with("mode = \"host\"", "", &[("route", "ok", "host mode lets every packet pass")]);
}

/// Whether a program is the sensor's is told by its name, to root.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_sensor_that_runs_is_not_in_the_way() {
    let machine = Machine::new("chk-own", 1);
    let config = machine.settings("");
    let mut running = Running::start(VESPER, &machine.namespace, &config);
    running.wait_for("watching");
    let lines = [
        ("other xdp", "ok", "(vesper): a sensor runs"),
        ("api", "warn", "is in use"),
        ("prepared", "ok", "settings of rx0 are changed"),
    ];
    machine.expect("", "", "", &lines);
    let service = "UNDER='setpriv --bounding-set -sys_admin'";
    machine.expect("", service, "", &[("other xdp", "warn", "bpftool prog show id")]);
    running.stop();
    machine.expect("", "", "", &[("other xdp", "ok", "none")]);

    // What a sensor left for the next one is known by its pin, without root's rights.
    let log = machine.folder.path().join("log");
    let left = format!(
        "mount -t bpf bpf /sys/fs/bpf; mkdir /sys/fs/bpf/vesper
         {VESPER} run --config {} 2> {log} & sensor=$!
         until grep -q watching {log}; do sleep 0.1; kill -0 $sensor; done
         kill $sensor; wait $sensor || true
         {service}",
        config.display(),
        log = log.display(),
    );
    machine.expect("", &left, "", &[("other xdp", "ok", "(vesper): a sensor runs, or left it")]);
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_program_of_somebody_else_is_in_the_way() {
    let machine = Machine::new("chk-other", 1);
    machine.namespace.run_test("interface::somebody_elses_program_inside");
}

/// Our object under another name is somebody else's.
#[test]
#[ignore = "runs inside a namespace: see above"]
fn somebody_elses_program_inside() {
    if !inside() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("sensor-ebpf/sensor-xdp.o");
    let mut object = std::fs::read(path).unwrap();
    let at: Vec<usize> =
        (0..object.len() - 8).filter(|at| object[*at..].starts_with(b"\0vesper\0")).collect();
    for at in at {
        object[at + 1..at + 7].copy_from_slice(b"others");
    }
    let mut program = Program::load_from(&object, "others", TableSize::new(1024, 1, false)).unwrap();
    assert_eq!(program.frames(), Frames::Single);
    let nic = sensor::capture::nic::find("rx0").unwrap();
    program.xdp().unwrap().attach_to_if_index(nic.index, XdpMode::Skb).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), "");
    let check = || {
        let output = Command::new(VESPER)
            .args(["check", "--json", "--fix", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let report = check();
    let found = line(&report, "other xdp");
    println!("{found}");
    assert_eq!((&found["status"], &found["fixable"]), (&"fail".into(), &false.into()), "{found}");
    assert!(
        found["says"].as_str().unwrap().contains("(others) is attached; vesper leaves it alone"),
        "{found}"
    );
    assert_eq!(report["exit_code"], 1);
    drop(program);
    assert_eq!(line(&check(), "other xdp")["status"], "ok");
}
