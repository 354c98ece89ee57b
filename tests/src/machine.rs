//! A Debian box with systemd as PID 1, for packages and deployment. It is this machine's files below an overlay in memory, in
//! namespaces of its own: what is installed, started and broken there is gone with the value.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test that waits needs an end")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::running::Ended;

const BOOT: &str = include_str!("boot.sh");

/// The box. It has the network of `namespace`.
pub struct Machine {
    /// Its network, with `tx0` and `rx0`.
    pub namespace: Namespace,
    /// Its PID 1, as this machine numbers it.
    init: u32,
    // Before the folder, which it mounts on; `--kill-child` ends PID 1, and so everything, with it.
    _unshare: Ended,
    folder: std::path::PathBuf,
}

impl Machine {
    /// Boots it, and waits until all that starts with it has started.
    pub fn boot(purpose: &str) -> Machine {
        let namespace = Namespace::new(purpose);
        let folder = std::env::temp_dir().join(format!("vesper-box-{}-{purpose}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut unshare = namespace.command("unshare");
        unshare.args(["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]);
        unshare.args(["bash", "-c", BOOT, "boot"]).arg(&folder);
        let log = std::fs::File::create(folder.with_extension("log")).unwrap();
        unshare.stdout(log.try_clone().unwrap()).stderr(log);
        let unshare = Ended(unshare.spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(60);
        let init = loop {
            let children = format!("/proc/{0}/task/{0}/children", unshare.0.id());
            let child = std::fs::read_to_string(children).unwrap_or_default();
            // Before it is systemd it is the script, with this machine's files.
            let name = std::fs::read_to_string(format!("/proc/{}/comm", child.trim())).unwrap_or_default();
            match child.trim().parse() {
                Ok(pid) if name.trim() == "systemd" => break pid,
                _ => assert!(
                    Instant::now() < end,
                    "systemd did not start: {}",
                    read(&folder.with_extension("log"))
                ),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let machine = Machine { namespace, init, _unshare: unshare, folder };
        loop {
            let state = text(&machine.command("systemctl").arg("is-system-running").output().unwrap());
            if state.trim() == "running" {
                return machine;
            }
            assert!(Instant::now() < end, "the box is {state:?}: {}", machine.said("systemctl --failed"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A command that will run in the box.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string()]);
        command.args(["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net", "--root", "--wd"]);
        command.args(["env", "-i", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]);
        command.args([
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            program,
        ]);
        command.stdin(Stdio::null());
        command
    }

    /// Whether a line of shell succeeds in the box, and all it said.
    pub fn tried(&self, line: &str) -> (bool, String) {
        let output = self.command("bash").args(["-c", line]).output().unwrap();
        let said = text(&output) + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    }

    /// Runs a line of shell in the box, which must succeed; gives its output.
    pub fn run(&self, line: &str) -> String {
        let output = self.command("bash").args(["-c", line]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "`{line}` failed in the box: {}{errors}\n{}",
            text(&output),
            self.said("journalctl --lines 40 --no-pager --output cat")
        );
        text(&output)
    }

    /// What a line of shell says, whether it succeeds or not.
    pub fn said(&self, line: &str) -> String {
        self.tried(line).1
    }

    /// Waits until a line of shell succeeds in the box.
    pub fn wait(&self, line: &str, limit: Duration) {
        let end = Instant::now() + limit;
        loop {
            let (done, said) = self.tried(line);
            if done {
                return;
            }
            assert!(
                Instant::now() < end,
                "not within {limit:?}: `{line}`: {said}\n{}",
                self.said("journalctl -n 40 --no-pager")
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Puts a file there.
    pub fn put(&self, from: &Path, to: &str) {
        self.write(to, &std::fs::read(from).unwrap());
    }

    /// Writes a file there.
    pub fn write(&self, to: &str, bytes: &[u8]) {
        let mut child =
            self.command("tee").arg(to).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Installs sudo, and sshd, which it starts, from the packages that `cargo xtask setup` fetched, or as this machine has it.
    pub fn install_sshd(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/sshd");
        let packages: Vec<_> =
            folder.read_dir().into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        self.run("mkdir /tmp/sshd");
        for (number, file) in
            packages.iter().filter(|file| file.extension().is_some_and(|kind| kind == "deb")).enumerate()
        {
            self.put(file, &format!("/tmp/sshd/{number}.deb"));
        }
        self.run("if ls /tmp/sshd/*.deb; then dpkg --force-confold --install /tmp/sshd/*.deb; fi; systemctl start ssh");
    }

    /// What differs from this machine's files: a line for each file, and for each folder that has to do with vesper.
    pub fn changes(&self) -> Vec<String> {
        // Package managers and logs note what they did.
        let noise = "-path ./var/log -o -path ./var/cache -o -path ./var/lib/dpkg -o -path ./var/lib/systemd -o -path \
                     ./var/lib/apt -o -path ./var/lib/PackageKit -o -path ./mnt";
        let line = format!(
            "cd /mnt/upper && find . \\( {noise} \\) -prune -o \\( ! -type d -o -iname '*vesper*' \\) -print | sort"
        );
        self.run(&line).lines().map(str::to_owned).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // PID 1 first: the network can go when nobody is in it.
        let _ = self._unshare.0.kill();
        let _ = self._unshare.0.wait();
        let _ = std::fs::remove_dir(&self.folder);
        let _ = std::fs::remove_file(self.folder.with_extension("log"));
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
