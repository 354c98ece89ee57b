//! The API with the real program behind it: uploaded captures, and two strangers who know only its description.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "what takes real time is measured in it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sensor::alert::{Alert, Raised};
use sensor::api::{self, App, Parts};
use sensor::config::Config;
use sensor::incidents::Index;
use sensor::status::{Shared, SharedTop};
use sensor::store::{Store, alerts};
use sensor_tests::capture::{self, Order};
use sensor_tests::namespace::Namespace;
use sensor_tests::running::Running;
use sensor_tests::traffic::{self, MILLISECOND, SECOND, Traffic};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

#[path = "api/load.rs"]
mod load;

const VESPER: &str = env!("CARGO_BIN_EXE_vesper");
/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600 * SECOND;

/// An API whose analyses are the real program's.
struct Api {
    address: SocketAddr,
    store: Store,
    folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Api {
    fn start(set: impl FnOnce(&mut Config)) -> Api {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { state_dir: folder.path().to_owned(), ..Config::default() };
        config.api.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        set(&mut config);
        let door = api::open(&config.api, &config.state_dir).unwrap();
        let address = door.address().unwrap();
        let (store, _) = Store::open(&config.store, folder.path()).unwrap();
        let app = App::new(Parts {
            index: Arc::new(Index::open(&store, &config.incidents, START as i64).unwrap()),
            store: store.clone(),
            status: Arc::new(Shared::default()),
            top: Arc::new(SharedTop::default()),
            config,
            mailbox: Arc::default(),
            reload: mpsc::channel(1).0,
            program: PathBuf::from(VESPER),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.unwrap().block_on(api::serve(door, app, async { stopped.await.unwrap_or(()) })).unwrap();
        });
        Api { address, store, folder, stop: Some(stop), thread: Some(thread) }
    }

    fn send(&self, request: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(320))).unwrap();
        // An upload that is refused half-way is cut off: the answer counts.
        let _cut = stream.write_all(request);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let json = body.find('{').zip(body.rfind('}')).map_or("null", |(begin, end)| &body[begin..=end]);
        let code = answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        (code, serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        self.send(head.as_bytes())
    }

    fn upload(&self, path: &str, name: &str, content: &[u8]) -> (u16, Value) {
        let mut body = format!(
            "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(
            b"\r\n--edge\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nall\r\n--edge--\r\n",
        );
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
             content-type: multipart/form-data; boundary=edge\r\n\r\n",
            self.address,
            body.len()
        )
        .into_bytes();
        request.extend(body);
        self.send(&request)
    }

    fn finished(&self, id: &str) -> Value {
        let begun = Instant::now();
        // At low priority, on a machine that tests other things meanwhile.
        while begun.elapsed() < Duration::from_secs(320) {
            let (code, capture) = self.get(&format!("/api/v1/captures/{id}"));
            assert_eq!(code, 200, "{capture}");
            if capture["state"] != "running" {
                return capture;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{id} does not end");
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn short_warm_up(config: &mut Config) {
    config.score.warmup_rows = 300;
    config.score.warmup_time = Duration::from_secs(60);
    config.score.calibration_rows = 200;
    config.score.calibration_time = Duration::from_secs(40);
}

fn capture_with_scan() -> (Vec<u8>, u64) {
    let mut traffic = Traffic::new(1);
    traffic.benign(START, 180 * SECOND, 8);
    traffic.port_scan(START + 150 * SECOND, traffic::client(66), traffic::SSH.0, 1_000, 5 * MILLISECOND);
    let packets = traffic.into_packets();
    let count = packets.len() as u64;
    (capture::pcapng(&packets, Order::Little, capture::ETHERNET), count)
}

fn left_behind(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("uploads")).unwrap().count()
}

#[test]
fn an_uploaded_capture_is_analysed_and_forgotten() {
    let api = Api::start(short_warm_up);
    let (bytes, packets) = capture_with_scan();
    let hostile = "..%2f<img src=x onerror=alert(1)>\u{202e}.pcap";
    let (code, begun) = api.upload("/api/v1/captures/analyze", hostile, &capture::gzip(&bytes));
    assert_eq!(code, 202, "{begun}");
    let capture = api.finished(begun["id"].as_str().unwrap());
    assert_eq!(capture["state"], "done", "{capture}");
    assert!(!capture["name"].as_str().unwrap().contains('\u{202e}'), "{capture}");
    let result = &capture["result"];
    assert_eq!(result["totals"]["packets"], packets);
    assert!(result["breakdown"]["PortScan"].as_u64() >= Some(1), "{result}");
    let threats = result["threats"].as_array().unwrap();
    let over_time: u64 =
        result["timeline"].as_array().unwrap().iter().map(|part| part["threats"].as_u64().unwrap()).sum();
    assert_eq!(over_time, threats.len() as u64);
    // The older path waits and answers with the same object.
    let (code, same) = api.upload("/analyze-pcap", "a.pcap", &bytes);
    assert_eq!((code, &same["totals"]), (200, &result["totals"]), "{same}");
    assert_eq!(left_behind(api.folder.path()), 0);
    let (_, listed) = api.get("/api/v1/captures");
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_capture_or_too_much_is_refused_with_a_reason() {
    let api = Api::start(|config| config.api.upload_max_bytes = 1 << 20);
    let (bytes, _) = capture_with_scan();
    let cut = bytes.len().min(200_001);
    for (name, content, expected) in [
        ("text", b"this is no capture, whatever its name says".to_vec(), "not a capture"),
        ("empty", Vec::new(), ""),
        ("nested", capture::gzip(&capture::gzip(&bytes[..cut])), "gzip within gzip"),
    ] {
        let (code, problem) = api.upload("/analyze-pcap", "a.pcap", &content);
        assert_eq!(code, 422, "{name}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(expected) && !detail.contains(api.folder.path().to_str().unwrap()),
            "{name}: {detail}"
        );
    }
    let (code, truncated) = api.upload("/analyze-pcap", "a.pcap", &bytes[..cut]);
    assert_eq!((code, &truncated["truncated"]), (200, &Value::Bool(true)), "{truncated}");
    // Gigabytes of nothing in a small file: it ends by the limits, not by the memory.
    let (code, problem) = api.upload("/api/v1/captures/analyze", "a.pcap", &vec![0; 2 << 20]);
    assert_eq!(code, 413, "{problem}");
    assert_eq!(left_behind(api.folder.path()), 0);
}

/// What a person or a program asks for again and again.
const PAGES: [&str; 9] = [
    "/api/v1/alerts",
    "/api/v1/alerts?type=DoS&severity=low",
    "/api/v1/alerts?host=10.0.3.7",
    "/api/v1/alerts?state=resolved",
    "/api/v1/alerts?since=2026-01-01T00:00:01Z&until=2026-01-01T00:00:03Z",
    "/api/v1/alerts/THREAT_20260101_0000777",
    "/api/v1/status",
    "/api/v1/hosts",
    "/threats",
];

/// Stores so many alerts.
fn store_alerts(store: &Store, count: u32) {
    let severities = ["low", "medium", "high", "critical"];
    let kinds = ["DoS", "PortScan", "BruteForce", "Anomaly"];
    for begin in (0..count).step_by(5_000) {
        store
            .write(move |tx| {
                for number in begin..begin + 5_000 {
                    let alert: Alert = serde_json::from_value(serde_json::json!({
                        "threat_id": format!("THREAT_20260101_{number:07}"), "threat_type": kinds[number as usize % 4],
                        "severity": severities[number as usize / 4 % 4],
                        "source_ip": format!("10.0.{}.{}", number / 250 % 250, number % 250),
                        "destination_ip": "192.0.2.1", "source_port": 0, "destination_port": 22, "protocol": "TCP",
                        "confidence": 0.9, "timestamp": "2026-01-01T00:00:00.000Z",
                        "details": {"packet_count": 10, "total_bytes": 600, "duration": 1.0, "flags": [],
                            "model_used": "test", "score": 5.0, "threshold": 3.0, "explanation": [],
                            "narrative": "tries many ports", "community_id": "",
                            "first_seen": "2026-01-01T00:00:00.000Z", "last_seen": "2026-01-01T00:00:01.000Z", "count": 1},
                    }))
                    .unwrap();
                    let raised = Raised { alert, fingerprint: Vec::new(), evidence: Vec::new() };
                    alerts::insert(tx, &raised, (START + u64::from(number) * MILLISECOND) as i64)?;
                }
                Ok(())
            })
            .unwrap();
    }
}

/// A million alerts: every page a person asks for is there within 50 ms (the 99th percentile).
#[test]
fn lists_are_quick_with_many_alerts() {
    let long = std::env::var_os("VESPER_LONG").is_some();
    let count: u32 = if long { 1_000_000 } else { 5_000 };
    let api = Api::start(|_| {});
    store_alerts(&api.store, count);
    for path in PAGES {
        let mut times: Vec<Duration> = (0..100)
            .map(|_| {
                let begun = Instant::now();
                assert_eq!(api.get(path).0, 200, "{path}");
                begun.elapsed()
            })
            .collect();
        times.sort();
        println!("{count} alerts, {path}: median {:?}, p99 {:?}", times[50], times[98]);
        assert!(times[98] <= Duration::from_millis(if long { 50 } else { 200 }), "{path}: {:?}", times[98]);
    }
}

/// The sensor on an interface of its own, and a program of somebody else that is told its address.
fn beside_a_sensor(name: &str, run: impl FnOnce(&Namespace, &str)) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let text = format!(
        "state_dir = {:?}\n[capture]\ninterface = \"rx0\"\n[api]\ntokens_file = \"tokens\"\n",
        folder.path()
    );
    std::fs::write(&config, text).unwrap();
    let arguments = ["token", "new", "tester", "--scope", "admin", "--config", config.to_str().unwrap()];
    let made = Command::new(VESPER).args(arguments).output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let namespace = Namespace::new(name);
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    run(&namespace, &token);
    running.stop();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Requests made from the description: none is answered by 5xx, nor by what the description does not say.
#[test]
#[ignore = "needs root and schemathesis: cargo xtask test"]
fn the_description_holds_for_requests_made_from_it() {
    beside_a_sensor("schemathesis", |namespace, token| {
        let examples = if std::env::var_os("VESPER_LONG").is_some() { "200" } else { "40" };
        let mut command =
            namespace.command(root().join("target/schemathesis/bin/schemathesis").to_str().unwrap());
        // It leaves its notes where it runs.
        let notes = tempfile::tempdir().unwrap();
        command.current_dir(notes.path());
        command.arg("--config-file").arg(root().join("tests/schemathesis/schemathesis.toml"));
        command.args([
            "run",
            "http://127.0.0.1:8888/openapi.json",
            "--max-examples",
            examples,
            "--seed",
            "1",
        ]);
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
        // Streams without end, and what would ask other machines or wait for them.
        for path in ["/ws/incidents", "/api/v1/events", "/api/v1/sinks/{name}/test"] {
            command.args(["--exclude-path", path]);
        }
        assert!(command.status().unwrap().success(), "see above");
    });
}

/// The collection that a person can open in Bruno.
#[test]
#[ignore = "needs root and Bruno's CLI: cargo xtask test"]
fn the_bruno_collection_passes() {
    beside_a_sensor("bruno", |namespace, token| {
        let mut command =
            namespace.command(root().join("target/tools/bruno/node_modules/.bin/bru").to_str().unwrap());
        command.current_dir(root().join("tests/bruno"));
        // The other sandbox (QuickJS) is loaded beside the first request, whose assertions see nothing if it comes late.
        command.args(["run", "-r", "--sandbox", "developer", "--env-var", "base=http://127.0.0.1:8888"]);
        command.args(["--env-var", &format!("token={token}")]);
        assert!(command.status().unwrap().success(), "see above");
    });
}
