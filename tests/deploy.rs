//! `cargo xtask deploy` over a real sshd into a Debian box with systemd as PID 1.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_tests::machine::Machine;
use sensor_tests::package::{package, repacked, xtask};

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");

/// A box with sshd, and how we get in.
struct Site {
    machine: Machine,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site { machine: Machine::boot("deploy"), folder: tempfile::tempdir().unwrap() };
        site.machine.install_sshd();
        for name in ["key", "stranger"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(site.path(name));
            assert!(keygen.status().unwrap().success());
        }
        site.machine.run("useradd --create-home --shell /bin/bash op");
        for home in ["/root", "/home/op"] {
            site.machine.run(&format!("install -d -m 700 {home}/.ssh"));
            site.machine.put(&site.path("key.pub"), &format!("{home}/.ssh/authorized_keys"));
        }
        site.machine.run("chown -R op: /home/op");
        let host_key = site.machine.run("cat /etc/ssh/ssh_host_ed25519_key.pub");
        fs::write(site.path("known"), format!("127.0.0.1 {host_key}")).unwrap();
        let known = site.path("known");
        let config = format!(
            "Host box\n HostName 127.0.0.1\n IdentitiesOnly yes\n UserKnownHostsFile {}\n",
            known.display()
        );
        fs::write(site.path("config"), config).unwrap();
        fs::set_permissions(site.path("config"), fs::Permissions::from_mode(0o600)).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the command; whether it succeeded, and what it said.
    fn deploy(&self, package: &Path, arguments: &[&str]) -> (bool, String) {
        let mut command = self.machine.namespace.command(&xtask(VESPER).to_string_lossy());
        command.args(["deploy", "--ssh-config"]).arg(self.path("config")).arg("--package").arg(package);
        if !arguments.contains(&"--identity") {
            command.arg("--identity").arg(self.path("key"));
        }
        let output = command.args(arguments).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        println!("$ deploy {}\n{said}", arguments.join(" "));
        (output.status.success(), said)
    }

    fn version(&self) -> String {
        self.machine.said("dpkg-query --show --showformat '${Version}' vesper")
    }
}

/// Runs, but never watches: what a bad build is like.
fn bad(tree: &Path) {
    let program = tree.join("usr/bin/vesper");
    fs::rename(&program, tree.join("usr/bin/vesper-real")).unwrap();
    let script = "#!/bin/sh\n[ \"$1\" = run ] && { echo 'something is wrong here' >&2; exit 1; }\nexec \"$0-real\" \"$@\"\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn installed_upgraded_and_rolled_back_over_ssh() {
    let site = Site::new();
    let first = package(VESPER, "0.1.0", site.folder.path());
    let second = repacked(&first, "0.2.0", |_tree| {});
    let third = repacked(&first, "0.3.0", bad);

    // What cannot work is said before anything is changed.
    let stranger = site.path("stranger").display().to_string();
    for (arguments, remedy) in [
        (vec!["--host", "root@box"], "the first time it must be told what to watch: --interface, one of"),
        (vec!["--host", "root@box", "--interface", "eth9"], "there is no interface eth9"),
        (vec!["--host", "root@box", "--identity", &stranger], "ssh-copy-id"),
        (vec!["--host", "op@box", "--interface", "rx0"], "sudo"),
        (vec!["--host", "root@box", "--port", "9"], "sshd"),
        (vec!["--host", "nowhere.invalid", "--host", "root@box"], "not touched: root@box"),
    ] {
        let (done, said) = site.deploy(&first, &arguments);
        assert!(!done && said.contains(remedy), "{arguments:?}: {said}");
    }
    let watched =
        ["--host", "root@box", "--interface", "rx0", "--mode", "mirror", "--sink", "eve enabled=true"];
    let (done, said) = site.deploy(&first, &[&watched[..], &["--dry-run"]].concat());
    assert!(done && said.contains("would install 0.1.0") && said.contains("nothing was changed"), "{said}");
    assert!(site.version().contains("no packages found"), "{}", site.version());
    let (done, said) = site.deploy(&first, &["--host", "root@box", "--status"]);
    assert!(!done && said.contains("no vesper yet") && said.contains("0 of 1 ready"), "{said}");

    // The first time: settings and a secret come along.
    fs::write(site.path("token"), "secret").unwrap();
    let secret = format!("collector={}", site.path("token").display());
    let sink = ["--sink", "webhook url=http://127.0.0.1:9 token_file=collector", "--credential", &secret];
    let (done, said) = site.deploy(&first, &[&watched[..], &sink].concat());
    assert!(done && said.contains("ready: ") && said.contains("ledger: every equation holds"), "{said}");
    assert_eq!(site.version(), "0.1.0");
    let settings = site.machine.run("cat /etc/vesper/vesper.toml");
    assert!(
        settings.contains("\ninterface = \"rx0\"\n") && settings.contains("\n[[sinks.webhook]]\n"),
        "{settings}"
    );
    let (done, said) = site.deploy(&first, &["--host", "root@box", "--status"]);
    assert!(done && said.contains("vesper 0.1.0 is installed") && said.contains("1 of 1 ready"), "{said}");

    let (done, said) = site.deploy(&second, &["--host", "root@box", "--dry-run"]);
    assert!(done && said.contains("would upgrade 0.1.0 to 0.2.0"), "{said}");
    let (done, said) = site.deploy(&second, &["--host", "root@box"]);
    assert!(done && said.contains("ready: "), "{said}");
    assert_eq!(site.version(), "0.2.0");

    // Whoever may become root without a password deploys as well as root.
    site.machine.run("echo 'op ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/op");
    let (done, said) = site.deploy(&first, &["--host", "op@box", "--status"]);
    assert!(done && said.contains("1 of 1 ready"), "{said}");
    let later = repacked(&first, "0.2.1", |_tree| {});
    let (done, said) = site.deploy(&later, &["--host", "op@box"]);
    assert!(done && said.contains("ready: "), "{said}");
    assert_eq!(site.version(), "0.2.1");

    // What does not even run there changes nothing.
    let foreign =
        repacked(&first, "0.2.2", |tree| fs::write(tree.join("usr/bin/vesper"), "not a program").unwrap());
    let (done, said) = site.deploy(&foreign, &["--host", "root@box"]);
    assert!(!done && said.contains("nothing was changed"), "{said}");
    assert_eq!(site.version(), "0.2.1");

    // What does not get ready gives way to what was there, settings included.
    let (done, said) =
        site.deploy(&third, &["--host", "root@box", "--wait", "20", "--set", "api.live_clients=7"]);
    assert!(!done && said.contains("0.2.1 is back and watches"), "{said}");
    assert!(said.contains("something is wrong here"), "its log was not shown: {said}");
    assert_eq!(site.version(), "0.2.1");
    site.machine.run("curl --silent --fail http://127.0.0.1:8888/-/ready");
    assert_eq!(site.machine.run("cat /etc/vesper/vesper.toml"), settings);
    assert_eq!(site.machine.run("stat --format %a:%U /etc/vesper/vesper.toml").trim(), "644:root");
}
