//! The console in a real browser, on the real sensor, which watches real connections: `tests/console/run.mjs` says what
//! is checked. Chromium and sensor share a namespace, for the API listens on its loopback address.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use sensor_tests::capture::{Fraction, Order, pcap};
use sensor_tests::mirror::{self, HOST, Mirror, PEER, connect, fetch};
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::running::{Ended, Running};
use sensor_tests::traffic::{Traffic, client};

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");
const NAME: &str = "the_console_works_in_a_browser";

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_console_works_in_a_browser() {
    if inside() {
        return match std::env::var("ROLE").unwrap().as_str() {
            "server" => mirror::serve(),
            "client" => mirror::talk(1200),
            "scanner" => scan(),
            role => panic!("no role {role}"),
        };
    }
    let tools = root().join("target/tools/console");
    assert!(
        tools.join("node_modules/playwright-core").exists(),
        "cargo xtask setup brings the browser's driver"
    );
    let Mirror { host, peer, sensor } = Mirror::new();

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    std::fs::write(&config, mirror::settings(folder.path())).unwrap();
    let (capture, packets) = capture(folder.path());
    let mut running = Running::start(VESPER, &sensor, &config);
    let role = |namespace: &Namespace, role: &str| mirror::role(namespace, NAME, role);
    running.wait_for("watching");
    let _server = role(&host, "server");
    let _client = role(&peer, "client");
    running.wait_for("active");

    let mut node = sensor.command("node");
    node.arg(root().join("tests/console/run.mjs"))
        .env("VESPER_BASE", "http://127.0.0.1:8888")
        .env("VESPER_PLAYWRIGHT", &tools)
        .env("VESPER_CHROMIUM", "/usr/bin/chromium")
        .env("VESPER_CAPTURE", capture)
        .env("VESPER_CAPTURE_PACKETS", packets.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut node = Ended(node.spawn().unwrap());
    let mut said = Vec::new();
    for line in BufReader::new(node.0.stdout.take().unwrap()).lines().map_while(Result::ok) {
        println!("{line}");
        match line.as_str() {
            "do: scan" => {
                let mut scanner = role(&peer, "scanner");
                assert!(scanner.0.wait().unwrap().success());
                done(&mut node.0);
            }
            "do: restart" => {
                running.stop();
                // Long enough for the console to miss it.
                thread::sleep(Duration::from_secs(2));
                running = Running::start(VESPER, &sensor, &config);
                running.wait_for("watching");
                done(&mut node.0);
            }
            "do: candidate" => {
                candidate(&config, folder.path());
                done(&mut node.0);
            }
            _ => said.push(line),
        }
    }
    assert!(node.0.wait().unwrap().success(), "{said:#?}");
    assert_eq!(said.last().map(String::as_str), Some("all done"), "{said:#?}");
    running.stop();
}

/// A sensor that asks for tokens, in a browser.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn signing_in_in_a_browser() {
    let sensor = Namespace::new("signin");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let text = format!(
        "state_dir = {:?}\n[capture]\ninterface = \"rx0\"\n[api]\ntokens_file = \"tokens\"\n[[sinks.webhook]]\n\
         url = \"http://127.0.0.1:1/?token=hunter2\"\n",
        folder.path()
    );
    std::fs::write(&config, text).unwrap();
    let token = |name: &str, scope: &str| {
        let output = vesper(&config, &["token", "new", name, "--scope", scope]);
        output.trim().to_owned()
    };
    let tokens = [token("reader", "read"), token("boss", "admin")].join(" ");
    let mut running = Running::start(VESPER, &sensor, &config);
    running.wait_for("watching");
    let mut node = sensor.command("node");
    let tools = root().join("target/tools/console");
    node.arg(root().join("tests/console/signin.mjs"))
        .env("VESPER_BASE", "http://127.0.0.1:8888")
        .env("VESPER_PLAYWRIGHT", tools)
        .env("VESPER_CHROMIUM", "/usr/bin/chromium")
        .env("VESPER_TOKENS", tokens);
    let output = node.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim_end().ends_with("all done"), "{said}");
    running.stop();
}

/// The live model as the candidate.
fn candidate(config: &Path, folder: &Path) {
    let file = folder.join("exported.safetensors");
    for verb in ["export", "import"] {
        vesper(config, &["model", verb, &file.to_string_lossy()]);
    }
}

/// What the program prints.
fn vesper(config: &Path, arguments: &[&str]) -> String {
    let output = Command::new(VESPER).args(arguments).arg("--config").arg(config).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn done(node: &mut Child) {
    node.stdin.as_mut().unwrap().write_all(b"done\n").unwrap();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Half a minute of ordinary connections, and how many packets that is.
fn capture(folder: &Path) -> (PathBuf, usize) {
    let mut traffic = Traffic::new(1);
    let start = 1_700_000_000_000_000_000;
    traffic.benign(start, 30_000_000_000, 4);
    traffic.port_scan(start + 10_000_000_000, client(9), client(1), 300, 5_000_000);
    let packets = traffic.into_packets();
    let file = folder.join("<img src=x onerror=window.pwned=1>.pcap");
    std::fs::write(&file, pcap(&packets, Order::Little, Fraction::Micro, 1)).unwrap();
    (file, packets.len())
}

/// Scans, then says hostile names to every parser that reads names.
fn scan() {
    mirror::scan();
    let socket = UdpSocket::bind((PEER, 0)).unwrap();
    for number in 0..200 {
        let name = format!("<img src=x onerror=window.pwned={number}>");
        socket.send_to(&question(&name), (HOST, 53)).unwrap();
        fetch(&format!(
            "GET /{name}?q=<script>window.pwned={number}</script> HTTP/1.1\r\nHost: {name}\r\n\r\n"
        ));
        if let Ok(mut stream) = connect(80) {
            let _ = stream.write_all(&client_hello(&name));
        }
    }
}

/// A DNS question for a name of one label.
fn question(name: &str) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8];
    bytes.extend(name.as_bytes());
    bytes.extend([7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0, 0, 1, 0, 1]);
    bytes
}

/// The first message of a TLS connection to a server of this name.
fn client_hello(name: &str) -> Vec<u8> {
    let long = |value: usize| (value as u16).to_be_bytes();
    let entry = [&[0][..], &long(name.len()), name.as_bytes()].concat();
    let list = [&long(entry.len())[..], &entry].concat();
    let extension = [&[0, 0][..], &long(list.len()), &list].concat();
    let body =
        [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 0x01], &[1, 0], &long(extension.len()), &extension]
            .concat();
    let handshake = [&[1, 0][..], &long(body.len()), &body].concat();
    [&[22, 3, 1][..], &long(handshake.len()), &handshake].concat()
}
