//! The API on a real socket, with a real store.

mod access;
mod described;
mod live;
mod requests;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::alert::Raised;
use crate::config::Config;
use crate::incidents::Index;
use crate::status::{CaptureStatus, ModelState, Shared, SharedTop, Status};
use crate::store::{Store, alerts};

const NOW: i64 = 1_795_248_000_000_000_000;

/// A server and what is behind it.
struct Api {
    address: SocketAddr,
    status: Arc<Shared>,
    top: Arc<SharedTop>,
    store: Store,
    folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Api {
    fn start() -> Api {
        Api::with(tempfile::tempdir().unwrap(), |_| {})
    }

    /// With settings of its own; files that they name are in `folder`.
    fn with(folder: tempfile::TempDir, set: impl FnOnce(&mut ApiConfig)) -> Api {
        let mut config = Config { state_dir: folder.path().to_owned(), ..Config::default() };
        config.api.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        set(&mut config.api);
        let door = open(&config.api, &config.state_dir).unwrap();
        let address = door.address().unwrap();
        let (store, _) = Store::open(&config.store, folder.path()).unwrap();
        let (status, top) = (Arc::new(Shared::default()), Arc::new(SharedTop::default()));
        let (reload, mut reloads) = mpsc::channel::<Reload>(1);
        let app = App::new(Parts {
            index: Arc::new(Index::open(&store, &config.incidents, NOW).unwrap()),
            store: store.clone(),
            status: status.clone(),
            top: top.clone(),
            config,
            mailbox: Arc::default(),
            reload,
            program: PathBuf::from("/bin/false"),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.spawn(async move {
                while let Some(answer) = reloads.recv().await {
                    answer.send(Err("api.listen = 1 is no address".to_owned())).unwrap();
                }
            });
            runtime.block_on(serve(door, app, async { stopped.await.unwrap_or(()) }))
        });
        Api { address, status, top, store, folder, stop: Some(stop), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends `head` as it is and returns status and text of the answer.
    fn raw(&self, head: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0), answer)
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "", "")
    }

    fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.ask("POST", path, "content-type: application/json\r\n", body)
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}",
            self.address
        ))
    }

    /// Stores an alert; returns its id.
    fn alert(&self, number: u32) -> String {
        let alert = sample(number);
        let id = alert.threat_id.clone();
        let raised = Raised { alert, fingerprint: Vec::new(), evidence: Vec::new() };
        let time = NOW + i64::from(number);
        self.store.write(move |tx| alerts::insert(tx, &raised, time)).unwrap();
        id
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

/// The JSON of an answer.
fn json(answer: &str) -> serde_json::Value {
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    // The tests' own client does not undo chunks: everything from the first to the last bracket.
    let (begin, end) = (body.find('{').unwrap(), body.rfind('}').unwrap());
    serde_json::from_str(&body[begin..=end]).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn sample(number: u32) -> crate::alert::Alert {
    serde_json::from_value(serde_json::json!({
        "threat_id": format!("THREAT_20261121_{number:06}"), "threat_type": "PortScan", "severity": "high",
        "source_ip": "10.0.0.5", "destination_ip": "192.0.2.1", "source_port": 0, "destination_port": 22,
        "protocol": "TCP", "confidence": 0.9, "timestamp": "2026-11-21T08:00:00.000Z",
        "details": {"packet_count": 10, "total_bytes": 600, "duration": 1.0, "flags": ["SYN"], "model_used": "test",
            "score": 5.0, "threshold": 3.0, "explanation": [], "narrative": "10.0.0.5 tries ports <script>",
            "community_id": "", "first_seen": "2026-11-21T08:00:00.000Z", "last_seen": "2026-11-21T08:00:01.000Z",
            "count": 1},
    }))
    .unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a fresh snapshot for an API that asks for the real time")]
fn well() -> Status {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut status = Status { time, started: time, ..Status::default() };
    status.score.state = ModelState::Active;
    status.capture =
        Some(CaptureStatus { attached: true, link_up: true, interface: "eth1".into(), ..Default::default() });
    status.ledger.totals.seen.add(100);
    status
}
