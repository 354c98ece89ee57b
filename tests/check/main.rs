//! `vesper check` on machines in both states: each line once ok and once not, on a real kernel. What is changed for a
//! state is changed in a network and mount namespace of the test's own, and gone with it. A file of /proc or /sys that
//! belongs to the whole machine is hidden behind one that says otherwise.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod interface;
mod mended;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_tests::namespace::Namespace;
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
