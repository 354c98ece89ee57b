//! The program as systemd sees it: what it says over the notification socket (sd_notify(3)), and the units that start it.
#![allow(clippy::disallowed_methods, reason = "a test that waits needs an end")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sensor_tests::namespace::Namespace;
use sensor_tests::running::Ended;

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");
/// `systemd-analyze security` says 2.3; its threshold is ten times that.
const EXPOSURE: &str = "--threshold=23";

/// Waits for a message that holds a line; gives all there were.
fn hear(socket: &UnixDatagram, line: &str) -> Vec<String> {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let found = message.lines().any(|one| one == line);
        heard.push(message);
        if found {
            return heard;
        }
    }
    panic!("not heard: {line}; heard: {heard:#?}");
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn ready_watchdog_reload_and_stop_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let config = folder.path().join("vesper.toml");
    std::fs::write(&config, format!("state_dir = {:?}\n[capture]\ninterface = \"rx0\"\n", folder.path()))
        .unwrap();
    let namespace = Namespace::new("systemd");
    let mut command = namespace.command(VESPER);
    command.args(["run", "--config"]).arg(&config).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "900000");
    let process = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &process.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    hear(&socket, "READY=1");
    let status = hear(&socket, "WATCHDOG=1");
    assert!(status.iter().any(|message| message.contains("model warming")), "{status:?}");
    signal("-HUP");
    hear(&socket, "RELOADING=1");
    hear(&socket, "READY=1");
    signal("-TERM");
    hear(&socket, "STOPPING=1");
}

#[test]
fn units_are_sound_and_tight() {
    let found = Command::new("systemd-analyze").arg("--version").output();
    assert!(found.is_ok(), "systemd-analyze is missing: apt-get install systemd");
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("systemd");
    for unit in ["vesper-hold.service", "vesper-hold@.service", "vesper.service", "vesper@.service"] {
        // The program is not installed here.
        let text =
            std::fs::read_to_string(source.join(unit)).unwrap().replace("/usr/bin/vesper ", "/bin/true ");
        let path = folder.path().join(unit.replace('@', "@eth1"));
        std::fs::write(&path, text).unwrap();
        let run = |arguments: &[&str]| {
            let output = Command::new("systemd-analyze").args(arguments).arg(&path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            (output.status.success(), said)
        };
        let (sound, said) = run(&["verify", "--man=no"]);
        assert!(sound && said.trim().is_empty(), "{unit}: {said}");
        let (tight, said) = run(&["security", "--offline=true", EXPOSURE]);
        assert!(tight, "{unit}: {said}");
    }
}
