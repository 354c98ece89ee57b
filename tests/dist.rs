//! The package, from its first installation to its purge, on a Debian box with systemd as PID 1.
#![allow(clippy::disallowed_methods, reason = "packets are paced and time is measured by the real clock")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sensor_tests::frames::udp;
use sensor_tests::generator::Generator;
use sensor_tests::machine::Machine;
use sensor_tests::namespace::inside;
use sensor_tests::package::{package, package_for_gpus, repacked};
use sensor_tests::running::Ended;

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");
const READY: &str = "curl --silent --fail --max-time 5 http://127.0.0.1:8888/-/ready";
const INSTALL: &str = "apt-get install -y -q -o Dpkg::Options::=--force-confold";

/// A property of the service.
fn property(machine: &Machine, name: &str) -> String {
    machine.run(&format!("systemctl show --value --property {name} vesper")).trim().to_owned()
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn installed_started_hung_reloaded_upgraded_and_purged() {
    let folder = tempfile::tempdir().unwrap();
    let old = package(VESPER, "0.1.0", folder.path());
    // Its settings have changed too: that must not ask a question, nor win.
    let new = repacked(&old, "0.2.0", |tree| {
        let settings = tree.join("etc/vesper/vesper.toml");
        let text = fs::read_to_string(&settings).unwrap();
        fs::write(settings, format!("# Another default.\n{text}")).unwrap();
    });
    let machine = Machine::boot("dist");
    let before = machine.changes();

    // Nothing is watched that nobody named.
    machine.put(&old, "/tmp/old.deb");
    let said = machine.run(&format!("{INSTALL} /tmp/old.deb"));
    assert!(said.contains("what shall it watch?"), "{said}");
    assert_eq!(property(&machine, "ActiveState"), "inactive");
    machine.run("systemctl is-enabled vesper && man --path 1 vesper-run && id vesper");
    assert_eq!(machine.run("stat --format %U:%a /etc/vesper/credentials").trim(), "vesper:700");

    // Started, it is ready when systemd says so. An interface without traffic is enough.
    machine.run("sed -i 's/^#interface = .*/interface = \"rx0\"/' /etc/vesper/vesper.toml");
    machine.run("mkdir -p /etc/systemd/system/vesper.service.d && printf '[Service]\\nWatchdogSec=3s\\nTimeoutAbortSec=2s\\n' \
                 > /etc/systemd/system/vesper.service.d/short.conf && systemctl daemon-reload");
    machine.run("systemctl start vesper");
    machine.run(READY);
    assert_eq!(property(&machine, "User"), "vesper");
    assert!(
        property(&machine, "StatusText").contains("ledger balanced"),
        "{}",
        property(&machine, "StatusText")
    );

    // A process that hangs is ended and begun anew.
    let hung = property(&machine, "MainPID");
    machine.run(&format!("kill -STOP {hung}"));
    let other = format!("test $(systemctl show --value --property MainPID vesper) != {hung} && {READY}");
    machine.wait(&other, Duration::from_secs(60));
    assert_eq!(property(&machine, "NRestarts"), "1");
    assert!(machine.run("journalctl --no-pager --unit vesper").contains("Watchdog timeout"));
    // The journal has a time and a priority of its own for each line.
    assert!(machine.run("journalctl --output cat --unit vesper").contains("watching; the API"));
    machine.run("! journalctl --output cat --unit vesper | grep -E '^(<[0-9]>|20[0-9][0-9]-)'");

    // Other settings are taken up by the same process.
    let running = property(&machine, "MainPID");
    machine.run("sed -i 's/^#one_in = .*/one_in = 32/' /etc/vesper/vesper.toml && systemctl reload vesper");
    machine.wait("journalctl --no-pager --unit vesper | grep -q 'capture.sample'", Duration::from_secs(10));
    assert_eq!(property(&machine, "MainPID"), running);

    // What was learned and decided outlives an upgrade.
    machine.run(
        "runuser -u vesper -- vesper incidents add --title our-scanner --symptom 'many ports' --action 'called the owner'",
    );
    let settings = machine.run("cat /etc/vesper/vesper.toml");
    machine.put(&new, "/tmp/new.deb");
    machine.run(&format!("{INSTALL} /tmp/new.deb"));
    assert_eq!(machine.run("dpkg-query --show --showformat '${Version}' vesper"), "0.2.0");
    machine.wait(READY, Duration::from_secs(30));
    assert_ne!(property(&machine, "MainPID"), running);
    assert_eq!(machine.run("cat /etc/vesper/vesper.toml"), settings);
    assert!(machine.run("runuser -u vesper -- vesper incidents list").contains("our-scanner"));

    // Removed, it watches nothing and forgets nothing; purged, it was never there.
    machine.run("apt-get remove -y -q vesper");
    assert!(!machine.run("ip link show rx0").contains("xdp"));
    machine.run("test -e /etc/vesper/vesper.toml && test -e /var/lib/vesper && test ! -e /sys/fs/bpf/vesper");
    machine.run("apt-get purge -y -q vesper");
    let left: Vec<String> = machine.changes().into_iter().filter(|change| !before.contains(change)).collect();
    // Files of accounts are written anew by every tool that looks after them.
    let accounts = [
        "./etc/passwd",
        "./etc/group",
        "./etc/subuid",
        "./etc/subgid",
        "./etc/shadow",
        "./etc/gshadow",
        "./etc/.pwd.lock",
    ];
    let left: Vec<&String> =
        left.iter().filter(|file| !accounts.iter().any(|account| file.starts_with(account))).collect();
    assert!(left.is_empty(), "purge left {left:#?}");
    machine.run("! grep vesper /etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/subuid /etc/subgid");
}

/// Sends 110,000 packets a second until it is ended; runs in the network of a box.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn sends_in_a_box() {
    if !inside() {
        return;
    }
    let mut generator = Generator::new("tx0", 1000);
    let frame = udp(([192, 0, 2, 9].into(), 9), ([192, 0, 2, 1].into(), 53), &[0; 18]);
    let began = Instant::now();
    for burst in 1..12_000 {
        generator.send(&frame, 1100);
        let due = Duration::from_millis(burst * 10);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn an_upgrade_under_load_leaves_no_packet_uncounted() {
    let folder = tempfile::tempdir().unwrap();
    let old = package(VESPER, "0.1.0", folder.path());
    let new = repacked(&old, "0.2.0", |_tree| {});
    let machine = Machine::boot("upgrade");
    machine.put(&old, "/tmp/old.deb");
    machine.put(&new, "/tmp/new.deb");
    machine.run(&format!("{INSTALL} /tmp/old.deb"));
    machine.run(
        "sed -i 's/^#interface = .*/interface = \"rx0\"/' /etc/vesper/vesper.toml && systemctl start vesper",
    );
    let mut sender = machine.namespace.command(&std::env::current_exe().unwrap().to_string_lossy());
    sender.args(["sends_in_a_box", "--exact", "--ignored"]).env("VESPER_TEST_INSIDE", "1");
    let mut sender = Ended(sender.stdout(Stdio::null()).spawn().unwrap());
    let many = "test $(cat /sys/class/net/rx0/statistics/rx_packets) -gt 200000";
    machine.wait(many, Duration::from_secs(20));
    let (before, began) = (received(&machine), Instant::now());
    let first = property(&machine, "MainPID");
    machine.run(&format!("{INSTALL} /tmp/new.deb"));
    machine.wait(READY, Duration::from_secs(30));
    let (during, took) = (received(&machine) - before, began.elapsed());
    std::thread::sleep(Duration::from_secs(2));
    sender.0.kill().unwrap();
    sender.0.wait().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let said = machine.run("curl --silent http://127.0.0.1:8888/api/v1/statistics");
    let summary: serde_json::Value = serde_json::from_str(&said).unwrap();
    let received = received(&machine);
    let rate = during as f64 / took.as_secs_f64();
    println!(
        "{received} packets, {during} of them during the upgrade ({took:?}, {rate:.0} a second), counted {}",
        summary["packets"]
    );
    assert!(rate >= 100_000.0, "only {rate:.0} packets a second");
    assert_ne!(property(&machine, "MainPID"), first);
    assert_eq!(machine.run("dpkg-query --show --showformat '${Version}' vesper"), "0.2.0");
    assert_eq!(summary["packets"], received, "{said}");
    for (equation, residue) in summary["residue"].as_object().unwrap() {
        assert_eq!(residue, 0, "{equation}: {said}");
    }
}

/// Packets that the interface received, by its own counter.
fn received(machine: &Machine) -> u64 {
    machine.run("cat /sys/class/net/rx0/statistics/rx_packets").trim().parse().unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_package_for_gpus_takes_the_place_of_the_other_one_and_gives_it_back() {
    // Three installations and two packages: a minute.
    if std::env::var_os("VESPER_LONG").is_none() {
        eprintln!("SKIPPED: set VESPER_LONG=1");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plain = package(VESPER, "0.1.0", folder.path());
    // That of `cargo xtask dist --features cuda`, where somebody built it: half an hour.
    let built = std::env::var("VESPER_GPU_PROGRAM").ok();
    let gpus = package_for_gpus(VESPER, built.as_deref().unwrap_or(VESPER), "0.1.0", folder.path());
    lintian(&gpus);
    let machine = Machine::boot("variants");
    machine.put(&plain, "/tmp/plain.deb");
    machine.put(&gpus, "/tmp/gpus.deb");
    machine.run(&format!("{INSTALL} /tmp/plain.deb"));
    machine.run(
        "sed -i 's/^#interface = .*/interface = \"rx0\"/' /etc/vesper/vesper.toml && systemctl start vesper",
    );
    machine
        .run("runuser -u vesper -- vesper incidents add --title our-scanner --symptom 'many ports' --action 'called'");
    let settings = machine.run("cat /etc/vesper/vesper.toml");
    // The third time the package is one that was removed, and no new one.
    let forth = [("gpus", "vesper", "vesper-cuda", "no"), ("plain", "vesper-cuda", "vesper", "yes")];
    for (round, (file, other, name, devices)) in [forth[0], forth[1], forth[0]].into_iter().enumerate() {
        machine.run(&format!("{INSTALL} /tmp/{file}.deb"));
        let installed = |name: &str| {
            machine.said(&format!("dpkg-query --show --showformat '${{db:Status-Status}}' {name}"))
        };
        assert_eq!(installed(name), "installed");
        assert_ne!(installed(other), "installed");
        if round == 2 {
            // What is left of the other one can go without taking what is used along.
            machine.run(&format!("dpkg --purge {other}"));
        }
        machine.wait(READY, Duration::from_secs(30));
        assert_eq!(property(&machine, "PrivateDevices"), devices, "{name}");
        let said = machine.run("journalctl --output cat --boot --unit vesper _PID=$(systemctl show --value --property MainPID vesper)");
        let falls_back = said.lines().filter(|line| line.contains("the model runs on the CPU")).count();
        assert_eq!(falls_back, usize::from(built.is_some() && file == "gpus"), "{name}: {said}");
        assert_eq!(machine.run("cat /etc/vesper/vesper.toml"), settings, "{name}");
        assert!(machine.run("runuser -u vesper -- vesper incidents list").contains("our-scanner"), "{name}");
        machine.run(
            "systemctl is-enabled vesper && systemctl restart vesper && test -e /etc/logrotate.d/vesper",
        );
    }
    machine.run("apt-get purge -y -q vesper-cuda && test ! -e /etc/vesper && test ! -e /var/lib/vesper");
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn one_sensor_an_interface_and_bad_settings_are_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::boot("interfaces");
    machine.put(&package(VESPER, "0.1.0", folder.path()), "/tmp/vesper.deb");
    machine.run(&format!("{INSTALL} /tmp/vesper.deb"));

    machine.run(
        "cp /etc/vesper/vesper.toml /tmp/good.toml && echo 'no_such_setting = 1' >> /etc/vesper/vesper.toml",
    );
    let (started, _) = machine.tried("systemctl start vesper");
    assert!(!started && machine.said("journalctl --output cat --unit vesper").contains("no_such_setting"));
    // Longer than RestartSec.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(
        (property(&machine, "ActiveState"), property(&machine, "NRestarts")),
        ("failed".into(), "0".into())
    );

    machine.namespace.ip(&["link", "add", "name", "tx1", "type", "veth", "peer", "name", "rx1"]);
    for (interface, port) in [("rx0", 8888), ("rx1", 8889)] {
        machine.namespace.ip(&["link", "set", interface, "up"]);
        machine.namespace.ip(&["link", "set", &interface.replace('r', "t"), "up"]);
        machine.run(&format!(
            "sed 's/^#listen = \"127.0.0.1:8888\"/listen = \"127.0.0.1:{port}\"/' /tmp/good.toml > \
             /etc/vesper/{interface}.toml && systemctl start vesper@{interface}"
        ));
    }
    for port in [8888, 8889] {
        machine.run(&READY.replace("8888", &port.to_string()));
    }
    machine.run("test -e /var/lib/vesper/rx0/vesper.db && test -e /var/lib/vesper/rx1/vesper.db");
    // One is stopped for good; the other one goes on.
    machine.run("systemctl stop vesper@rx1");
    let attached =
        |interface: &str| machine.run(&format!("ip -d link show {interface}")).contains("prog/xdp");
    let end = Instant::now() + Duration::from_secs(20);
    while attached("rx1") {
        assert!(Instant::now() < end, "the program stays: {}", machine.said("journalctl -n 40 --no-pager"));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(attached("rx0"));
    machine.run(READY);
    // What is enabled comes back with the package.
    machine.run(&format!(
        "systemctl enable vesper@rx1 && apt-get remove -y -q vesper && {INSTALL} /tmp/vesper.deb"
    ));
    machine.wait(&READY.replace("8888", "8889"), Duration::from_secs(30));
    assert!(!attached("rx0"));
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_same_program_is_packed_into_the_same_bytes() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let sums = folders.each_ref().map(|folder| {
        package(VESPER, "0.1.0", folder.path());
        fs::read_to_string(folder.path().join("SHA256SUMS")).unwrap()
    });
    assert_eq!(sums[0], sums[1]);
    assert_eq!(sums[0].lines().count(), 3, "{}", sums[0]);
    let checked = Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&folders[0]).output();
    assert!(checked.unwrap().status.success());
    let package = folders[0].path().read_dir().unwrap().map(|file| file.unwrap().path());
    let package =
        package.into_iter().find(|file| file.extension().is_some_and(|kind| kind == "deb")).unwrap();
    holds_no_path_of_this_machine(folders[0].path(), &package);
    lintian(&package);
}

/// Debian's own rules.
fn lintian(package: &Path) {
    let mut lintian = Command::new("lintian");
    let said = lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(package).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// Debug information and symbols are gone with all they said.
fn holds_no_path_of_this_machine(folder: &Path, package: &Path) {
    let tree = folder.join("tree");
    assert!(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&tree).status().unwrap().success());
    let symbols = Command::new("nm").arg(tree.join("usr/bin/vesper")).output().unwrap();
    assert!(symbols.stdout.is_empty(), "there are symbols");
    let bill = fs::read_to_string(tree.join("usr/share/doc/vesper/sbom.cdx.json")).unwrap();
    assert!(bill.contains("pkg:cargo/aya@"), "the bill of materials names no aya");
    assert!(!bill.contains("proptest"), "the bill of materials names what only tests use");
    assert!(
        !bill.contains(env!("CARGO_MANIFEST_DIR")),
        "the bill of materials names a folder of this machine"
    );
}
