//! A network namespace that goes away with its value, and tests that run themselves again inside one.

use std::process::{Command, Stdio};

/// A network namespace with a veth pair `tx0` - `rx0` in it, both up.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace. Panics with the command that failed: a test cannot go on without it.
    pub fn new(purpose: &str) -> Namespace {
        Namespace::with_queues(purpose, 1)
    }

    /// The same, with so many queues at both ends.
    pub fn with_queues(purpose: &str, queues: usize) -> Namespace {
        let namespace = Namespace { name: format!("vesper-test-{}-{purpose}", std::process::id()) };
        run("ip", &["netns", "add", &namespace.name]);
        namespace.ip(&["link", "set", "lo", "up"]);
        let queues = queues.to_string();
        let queues = ["numrxqueues", &queues, "numtxqueues", &queues];
        let pair =
            [&["link", "add", "name", "tx0"], &queues[..], &["type", "veth", "peer", "name", "rx0"], &queues];
        namespace.ip(&pair.concat());
        // Without addresses of its own the pair carries the test's packets only.
        for end in ["tx0", "rx0"] {
            namespace.ip(&["link", "set", end, "addrgenmode", "none"]);
            namespace.ip(&["link", "set", end, "up"]);
        }
        // Live frames into a veth arrive only where its peer polls (NAPI): with native XDP it does, else GRO makes it.
        run("ip", &["netns", "exec", &namespace.name, "ethtool", "-K", "rx0", "gro", "on"]);
        namespace
    }

    /// Runs `ip` inside.
    pub fn ip(&self, arguments: &[&str]) {
        run("ip", &[&["-n", &self.name], arguments].concat());
    }

    /// Runs `tc` inside.
    pub fn tc(&self, arguments: &[&str]) {
        run("tc", &[&["-n", &self.name], arguments].concat());
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside, with the namespace's own `/sys`.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).stdin(Stdio::null());
        command
    }

    /// Runs the ignored test `name` of the calling test binary inside, and fails if it fails.
    pub fn run_test(&self, name: &str) {
        let binary = std::env::current_exe().expect("path of this test binary");
        let status = self
            .command(&binary.to_string_lossy())
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env(INSIDE, "1")
            .status()
            .expect("ip netns exec");
        assert!(status.success(), "{name} inside the namespace: {status}");
    }
}

/// Set in a test that runs inside a namespace.
const INSIDE: &str = "VESPER_TEST_INSIDE";

/// Whether this process was started by [`Namespace::run_test`].
pub fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("iproute2 is installed");
    assert!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}
