//! Two hosts that talk, and a switch that mirrors what they say to the sensor's port.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::namespace::Namespace;
use crate::running::Ended;

/// The address of the host that serves.
pub const HOST: &str = "10.9.0.2";
/// The address of the host that asks, and scans.
pub const PEER: &str = "10.9.0.1";

/// Three namespaces: two hosts on a veth pair, and the sensor's, with `mon0` in it; tc mirrors one end of the pair to it.
pub struct Mirror {
    /// Has [`HOST`].
    pub host: Namespace,
    /// Has [`PEER`].
    pub peer: Namespace,
    /// Has `mon0`.
    pub sensor: Namespace,
}

impl Mirror {
    /// Makes them.
    #[expect(clippy::new_without_default, reason = "it makes namespaces")]
    pub fn new() -> Mirror {
        let (host, peer, sensor) = (Namespace::new("host"), Namespace::new("peer"), Namespace::new("sensor"));
        host.ip(&["link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", peer.name()]);
        host.ip(&["link", "add", "out", "type", "veth", "peer", "name", "mon0", "netns", sensor.name()]);
        for (namespace, address) in [(&host, HOST), (&peer, PEER)] {
            namespace.ip(&["addr", "add", &format!("{address}/24"), "dev", "lan"]);
            namespace.ip(&["link", "set", "lan", "up"]);
            let offloads = ["-K", "lan", "tso", "off", "gso", "off", "gro", "off"];
            namespace.command("ethtool").args(offloads).output().unwrap();
        }
        host.ip(&["link", "set", "out", "up"]);
        sensor.ip(&["link", "set", "mon0", "up"]);
        host.tc(&["qdisc", "add", "dev", "lan", "clsact"]);
        for direction in ["ingress", "egress"] {
            host.tc(&[
                "filter", "add", "dev", "lan", direction, "protocol", "all", "u32", "match", "u32", "0", "0",
                "action", "mirred", "egress", "mirror", "dev", "out",
            ]);
        }
        Mirror { host, peer, sensor }
    }
}

/// Runs the calling test again inside a namespace, with `ROLE` set.
pub fn role(namespace: &Namespace, test: &str, role: &str) -> Ended {
    let binary = std::env::current_exe().unwrap();
    let mut command = namespace.command(&binary.to_string_lossy());
    command.args([test, "--exact", "--ignored", "--nocapture"]).env("VESPER_TEST_INSIDE", "1");
    Ended(command.env("ROLE", role).stdout(Stdio::null()).spawn().unwrap())
}

/// Settings of a sensor on `mon0` that is ready within seconds.
pub fn settings(folder: &Path) -> String {
    format!(
        "state_dir = {folder:?}\n[capture]\ninterface = \"mon0\"\n[score]\nwarmup_rows = 60\nwarmup_time = \"5s\"\n\
         calibration_rows = 30\ncalibration_time = \"3s\"\n"
    )
}

/// Answers every connection on port 80 with a page, and no question on port 53.
pub fn serve() {
    let _unanswered = UdpSocket::bind((HOST, 53)).unwrap();
    let listener = TcpListener::bind((HOST, 80)).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 2048];
        if stream.read(&mut request).is_ok() {
            let _ = stream.write_all(&[b'x'; 4000]);
        }
    }
}

/// Fetches so many pages, ten a second.
pub fn talk(pages: u32) {
    let mut pause = 7u64;
    for _ in 0..pages {
        fetch("GET / HTTP/1.0\r\n\r\n");
        pause = pause * 31 % 101;
        thread::sleep(Duration::from_millis(50 + pause));
    }
}

/// Says something to port 80, and reads the answer.
pub fn fetch(request: &str) {
    if let Ok(mut stream) = connect(80) {
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Connects to a port of the host.
pub fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::new(HOST.parse().unwrap(), port), Duration::from_secs(1))
}

/// Tries 600 closed ports in about three seconds.
pub fn scan() {
    for port in 1000..1600 {
        assert!(connect(port).is_err());
        thread::sleep(Duration::from_millis(5));
    }
}
