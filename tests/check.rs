//! `vesper check` on machines in both states: each line once ok and once not, on a real kernel. What is changed for a
//! state is changed in a network and mount namespace of the test's own, and gone with it. A file of /proc or /sys that
//! belongs to the whole machine is hidden behind one that says otherwise.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use aya::programs::XdpMode;
use sensor::capture::{Frames, Program, TableSize};
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::running::Running;
use serde_json::Value;

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");

/// An interface `rx0` in a namespace, and a state folder.
struct Machine {
    namespace: Namespace,
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(purpose: &str, queues: usize) -> Machine {
        Machine { namespace: Namespace::with_queues(purpose, queues), folder: tempfile::tempdir().unwrap() }
    }

    fn settings(&self, capture: &str) -> PathBuf {
        settings(self.folder.path(), capture)
    }

    /// What `vesper check` says after some commands of the shell; `$CHECK` in them is the same check without `--json`.
    fn report(&self, config: &Path, before: &str, arguments: &str) -> Value {
        let check = format!("{VESPER} check --config {} {arguments}", config.display());
        let script = format!("set -e; {before}\nexec $UNDER $CHECK --json");
        let output = self.namespace.command("sh").args(["-c", &script]).env("CHECK", check).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
        });
        assert_eq!(report["exit_code"], output.status.code().unwrap());
        report
    }

    /// Lines are as expected in that state: name, status, and some of the words.
    fn expect(&self, capture: &str, before: &str, arguments: &str, lines: &[(&str, &str, &str)]) {
        let report = self.report(&self.settings(capture), before, arguments);
        for (name, status, words) in lines {
            let line = line(&report, name);
            println!("{name} after [{before}]: {line}");
            assert_eq!(line["status"], *status, "{name} after [{before}]: {line}");
            assert!(line.to_string().contains(&words.replace('"', "\\\"")), "{words}: {line}");
            assert!(*status != "fail" || report["exit_code"] == 1, "{report:#}");
            let helps = line["command"] != "" || line["remedy"] != "";
            assert_eq!(helps, *status != "ok", "{line}");
        }
    }
}

fn settings(folder: &Path, capture: &str) -> PathBuf {
    let file = folder.join("vesper.toml");
    let text = format!("state_dir = {folder:?}\n[capture]\ninterface = \"rx0\"\n{capture}");
    std::fs::write(&file, text).unwrap();
    file
}

fn line<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut lines = report["lines"].as_array().unwrap().iter();
    lines.find(|line| line["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"))
}

/// Hides a file behind one with other contents, for this command only.
fn hide(file: &str, says: &str) -> String {
    format!("f=$(mktemp); trap 'rm $f' EXIT; echo '{says}' > $f; mount --bind $f {file}")
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn kernel_and_rights_in_both_states() {
    let machine = Machine::new("chk-kernel", 1);
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let unprivileged = "/proc/sys/kernel/unprivileged_bpf_disabled";
    let expect = |before: &str, lines: &[(&str, &str, &str)]| machine.expect("", before, "", lines);
    expect(
        "",
        &[
            ("kernel", "ok", "Linux"),
            ("bpf maps", "ok", "LPM trie, ring buffer"),
            ("xdp program", "ok", "the kernel takes it"),
            ("af_xdp", "ok", "there"),
            // The mount namespace of `ip netns exec` has none.
            ("bpffs", "warn", "mount -t bpf bpf /sys/fs/bpf"),
            // The switch belongs to the first network namespace.
            ("bpf jit", "ok", "not shown"),
            ("capabilities", "ok", "all that are needed"),
            ("memlock", "ok", "16MiB to lock"),
        ],
    );
    let mounted = "mount -t bpf bpf /sys/fs/bpf";
    expect(mounted, &[("bpffs", "warn", "install -d -m 0700")]);
    expect(&format!("{mounted}; mkdir /sys/fs/bpf/vesper"), &[("bpffs", "ok", "is there")]);
    expect(&hide(unprivileged, "2"), &[("unprivileged", "ok", "only privileged")]);
    expect(&hide(unprivileged, "0"), &[("unprivileged", "warn", "every user")]);
    expect(&hide(clock, "tsc"), &[("clock source", "ok", "tsc")]);
    expect(&hide(clock, "acpi_pm"), &[("clock source", "warn", "acpi_pm")]);
    expect(
        "UNDER='setpriv --bounding-set -net_raw'",
        &[
            ("capabilities", "fail", "missing: cap_net_raw (to open"),
            ("xdp program", "ok", "the kernel takes it"),
        ],
    );
    expect(
        "UNDER='setpriv --bounding-set -bpf,-sys_admin'",
        &[("capabilities", "fail", "missing: cap_bpf"), ("xdp program", "ok", "not tried: see capabilities")],
    );
    expect(
        "UNDER='prlimit --memlock=65536:65536 setpriv --bounding-set -ipc_lock'",
        &[("memlock", "fail", "64KiB may be locked, samples need 16MiB")],
    );
}

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

#[test]
#[ignore = "needs root: cargo xtask test"]
fn what_is_safe_is_mended_once() {
    let machine = Machine::new("chk-fix", 1);
    machine.namespace.ip(&["link", "set", "rx0", "down"]);
    let state = machine.folder.path().join("a/b");
    let config = machine.folder.path().join("fix.toml");
    let text = format!("state_dir = {state:?}\n[capture]\ninterface = \"rx0\"\nprepare_nic = false\n");
    std::fs::write(&config, text).unwrap();
    let names = ["bpffs", "link", "offloads", "promiscuous", "state"];

    let before = machine.report(&config, "", "");
    for name in names {
        let line = line(&before, name);
        assert!(line["status"] != "ok" && line["fixable"] == true && line["fixed"] == false, "{line}");
    }
    assert_eq!((before["exit_code"].as_u64(), before["changes"].as_array().unwrap().len()), (Some(1), 0));

    // A user without rights is told so, and nothing is changed.
    let without = "UNDER='setpriv --bounding-set -net_admin,-sys_admin'";
    let refused = machine.report(&config, without, "--fix");
    let change =
        refused["changes"].as_array().unwrap().iter().find(|change| change["name"] == "link").unwrap();
    assert!(change["error"].as_str().unwrap().contains("run it as root"), "{change}");
    assert_eq!(
        (&line(&refused, "link")["status"], &line(&refused, "link")["fixed"]),
        (&"warn".into(), &false.into())
    );

    let mended = machine.report(&config, "", "--fix");
    for name in names.into_iter().filter(|name| *name != "state") {
        let line = line(&mended, name);
        assert!(line["status"] == "ok" && line["fixed"] == true && line["fixable"] == false, "{line}");
        let change =
            mended["changes"].as_array().unwrap().iter().find(|change| change["name"] == name).unwrap();
        assert_eq!((&change["command"], &change["error"]), (&command(&before, name).into(), &Value::Null));
    }
    assert_eq!(mended["exit_code"], 0);
    assert!(state.is_dir());
    let features = machine.namespace.command("ethtool").args(["-k", "rx0"]).output().unwrap();
    assert!(String::from_utf8_lossy(&features.stdout).contains("rx-vlan-offload: off"));

    // bpffs was mounted in the mount namespace of that command, which is gone: it is mended in this one's, too.
    let again = machine.report(&config, "$CHECK >&2", "--fix");
    assert_eq!(again["changes"].as_array().unwrap().len(), 0, "{:#}", again["changes"]);
    assert!(again["lines"].as_array().unwrap().iter().all(|line| line["fixed"] == false));
    assert_eq!(again["exit_code"], 0);
}

/// The switch belongs to the first network namespace, and to the whole machine: a file stands for it.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_compiler_is_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let text = format!("state_dir = {:?}\n[capture]\ninterface = \"lo\"\nmode = \"host\"\n", folder.path());
    std::fs::write(&config, text).unwrap();
    let check = format!("{VESPER} check --config {} --quiet", config.display());
    let hidden = hide("/proc/sys/net/core/bpf_jit_enable", "0");
    let script =
        format!("{hidden}; {check}; {check} --fix; {check} --fix; cat /proc/sys/net/core/bpf_jit_enable");
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    let count = |words: &str| text.matches(words).count();
    assert_eq!(count("  warn  bpf jit       off"), 1, "before, not after");
    assert_eq!(count("  done  bpf jit       sysctl -w net.core.bpf_jit_enable=1\n"), 1, "once");
    assert_eq!(count("  ok    bpf jit       on (mended)\n"), 1);
    assert!(text.ends_with("\n1"), "{text}");
}

fn command(report: &Value, name: &str) -> String {
    line(report, name)["command"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn disks_in_both_states() {
    let machine = Machine::new("chk-disk", 1);
    let folder = machine.folder.path().join("disk");
    std::fs::create_dir(&folder).unwrap();
    let config = machine.folder.path().join("disk.toml");
    let small = "[store]\nmax_bytes = \"16MiB\"\nevidence_bytes = \"1MiB\"\n[journal]\nenabled = false\n";
    let capture = "[capture]\ninterface = \"rx0\"\n";
    let of = |size: &str, settings: &str, name: &str| {
        std::fs::write(&config, format!("state_dir = {folder:?}\n{capture}{settings}")).unwrap();
        let mount = if size.is_empty() {
            String::new()
        } else {
            format!("mount -t tmpfs -o {size} none {}", folder.display())
        };
        let report = machine.report(&config, &mount, "");
        let line = line(&report, name);
        println!("{line}");
        (line["status"].as_str().unwrap().to_owned(), line["says"].as_str().unwrap().to_owned())
    };
    let expect = |found: (String, String), status: &str, words: &str| {
        assert!(found.0 == status && found.1.contains(words), "{found:?}");
    };
    expect(of("", small, "disk"), "ok", "free at");
    expect(of("size=32m", small, "disk"), "fail", "too little to start");
    expect(of("size=512m", "", "disk"), "warn", "store and journal may take 5.0 GiB more");
    expect(of("size=512m,nr_inodes=100", small, "disk"), "warn", "more files (inodes)");
    expect(of("size=512m", small, "filesystem"), "warn", "tmpfs");
    expect(of("size=512m,mode=0777", small, "state"), "warn", "every user may write");
    expect(of("size=512m,ro", small, "state"), "fail", "cannot be written");
}

/// systemd's folders in a /run and an /etc of the command's own: the files are read, systemd is not asked.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn units_in_both_states() {
    let machine = Machine::new("chk-unit", 1);
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("systemd/vesper.service");
    let own = "mount -t tmpfs none /run; mkdir -p /run/systemd/system";
    let installed = format!("cp {} /run/systemd/system", unit.display());
    let no_watchdog = "sed -i s/^WatchdogSec=.*// /run/systemd/system/vesper.service";
    let whole = format!("{own}; {installed}");
    let lines = [("systemd", "ok", "Restart=on-failure"), ("watchdog", "ok", "hangs for 30s")];
    machine.expect("", &whole, "", &lines);
    machine.expect("", &format!("{whole}; {no_watchdog}"), "", &[("watchdog", "warn", "systemctl edit")]);
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
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_program_of_somebody_else_is_in_the_way() {
    let machine = Machine::new("chk-other", 1);
    machine.namespace.run_test("somebody_elses_program_inside");
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

#[test]
fn sinks_and_output_without_any_right() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = folder.path().join("vesper.toml");
    let text = format!(
        "state_dir = {:?}\n[capture]\ninterface = \"lo\"\nmode = \"host\"\n\
         [[sinks.webhook]]\nurl = \"http://{open}\"\n[[sinks.kafka]]\nbrokers = [\"{closed}\"]\n\
         [api]\nlisten = \"{open}\"\n",
        folder.path()
    );
    std::fs::write(&config, text).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(VESPER);
        command.args(["check", "--config"]).arg(&config).args(arguments);
        command.output().unwrap()
    };
    let output = run(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "\nSinks, lists, API\n  ok    sink          webhook_1: http://".to_owned(),
        format!("  warn  sink          kafka_1: {closed}: {closed}: Connection refused"),
        format!("  warn  api           {open} is in use\n"),
        "        run           vesper alerts test kafka_1\n".to_owned(),
    ] {
        assert!(text.contains(&words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "no colour in a pipe");
    let quiet = String::from_utf8(run(&["--quiet"]).stdout).unwrap();
    assert!(!quiet.contains("  ok    ") && quiet.contains("  warn  sink "), "{quiet}");
    // Nothing was sent: the listener has a connection that was closed again.
    let (mut peer, _) = listener.accept().unwrap();
    let mut sent = Vec::new();
    std::io::Read::read_to_end(&mut peer, &mut sent).unwrap();
    assert!(sent.is_empty(), "{sent:?}");
    assert_eq!(run(&["--json", "--quiet"]).status.code(), Some(2));
}
