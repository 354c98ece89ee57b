//! What the tests stand on: a BPF file system, packets that keep coming, and what can be asked of kernel and sensor.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aya::programs::links::{FdLink, PinnedLink};
use sensor_tests::frames::udp;
use sensor_tests::generator::Generator;
use sensor_tests::running::Running;
use serde_json::Value;

pub const VESPER: &str = env!("CARGO_BIN_EXE_vesper");
pub const FLOWS: u64 = 10_000;

/// A BPF file system, settings and state of the test's own.
pub struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    /// In the mount namespace that `ip netns exec` made: it goes with the test.
    pub fn new() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let made = Ground { folder };
        std::fs::create_dir(made.pins()).unwrap();
        let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(made.pins()).status().unwrap();
        assert!(mounted.success());
        made
    }

    pub fn pins(&self) -> PathBuf {
        self.folder.path().join("bpf")
    }

    pub fn config(&self, name: &str, more: &str) -> PathBuf {
        let (path, state) = (self.folder.path().join(format!("{name}.toml")), self.folder.path().join(name));
        let text = format!(
            "state_dir = {state:?}\n[capture]\ninterface = \"rx0\"\npin_dir = {:?}\n{more}\n",
            self.pins()
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn start(&self, config: &Path) -> Running {
        self.start_with(&[], config)
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(VESPER);
        command.args(["run", "--json"]);
        command
    }

    /// The built-in object, but for a word that the program does not need.
    pub fn other_object(&self) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("sensor-ebpf/sensor-xdp.o");
        let mut object = std::fs::read(source).unwrap();
        let licence = b"Dual MIT/GPL";
        let at = object.windows(licence.len()).position(|bytes| bytes == licence).unwrap();
        object[at..at + licence.len()].copy_from_slice(b"Dual BSD/GPL");
        let path = self.folder.path().join("other.o");
        std::fs::write(&path, object).unwrap();
        path
    }

    pub fn start_with(&self, more: &[&str], config: &Path) -> Running {
        let mut command = self.command();
        command.args(more);
        let mut running = Running::start_by(command, config);
        running.wait_for("watching");
        running
    }

    pub fn vesper(&self, arguments: &[&str], config: &Path) -> (bool, String) {
        let output = Command::new(VESPER).args(arguments).arg("--config").arg(config).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    }

    /// Ids of the link and of its program.
    pub fn ids(&self) -> (u32, u32) {
        let link = FdLink::from(PinnedLink::from_pin(self.pins().join("rx0/link")).unwrap());
        let info = link.info().unwrap();
        (info.id(), info.program_id())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.pins()).status();
    }
}

/// Packets that come until somebody has had enough.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    began: Instant,
}

impl Load {
    pub fn start() -> Load {
        Load::of(Generator::new("tx0", FLOWS))
    }

    /// Three of four packets belong to flows never seen before.
    pub fn flood() -> Load {
        let mut generator = Generator::new("tx0", FLOWS);
        generator.flood(4, 2);
        Load::of(generator)
    }

    pub fn of(mut generator: Generator) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || {
            while !told.load(Relaxed) {
                generator.send(&frame(), 50_000);
            }
        });
        Load { stop, thread, began: Instant::now() }
    }

    /// Returns how long there was load.
    pub fn stop(self) -> Duration {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
        thread::sleep(Duration::from_millis(300));
        self.began.elapsed()
    }
}

/// The generator writes addresses and ports.
pub fn frame() -> Vec<u8> {
    udp(([192, 0, 2, 9].into(), 9), ([192, 0, 2, 1].into(), 53), &[0; 18])
}

pub fn no_residue(summary: &Value) {
    for (equation, residue) in summary["residue"].as_object().unwrap() {
        assert_eq!(residue, 0, "{equation}: {summary}");
    }
}

pub fn program_on(interface: &str) -> bool {
    link_details(interface).contains("prog/xdp")
}

pub fn promiscuous(interface: &str) -> bool {
    link_details(interface).contains("PROMISC")
}

pub fn link_details(interface: &str) -> String {
    let output = Command::new("ip").args(["-d", "link", "show", interface]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Packets that the interface received, by its own counter.
pub fn received() -> u64 {
    std::fs::read_to_string("/sys/class/net/rx0/statistics/rx_packets").unwrap().trim().parse().unwrap()
}

pub fn get(path: &str) -> String {
    let mut stream = TcpStream::connect("127.0.0.1:8888").unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub fn metric(metrics: &str, name: &str) -> i64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {metrics}")).trim().parse::<f64>().unwrap() as i64
}
