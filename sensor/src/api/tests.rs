//! The API on a real socket, asked in plain HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use tokio::sync::oneshot;

use super::*;
use crate::status::{CaptureStatus, ModelState, Status};

struct Api {
    address: SocketAddr,
    status: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Api {
    fn start() -> Api {
        let listener = bind(&ApiConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)) }).unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::clone(&status);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(serve(listener, shared, async { stopped.await.unwrap_or(()) }))
        });
        Api { address, status, stop: Some(stop), thread: Some(thread) }
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
        self.raw(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
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

#[test]
fn paths() {
    let api = Api::start();
    assert_eq!(api.get("/health").0, 503);
    let (code, answer) = api.get("/-/ready");
    assert_eq!(code, 503);
    assert!(
        answer.contains("application/problem+json") && answer.contains("GET /health says why"),
        "{answer}"
    );
    assert_eq!(api.get("/-/healthy").0, 200);

    api.status.publish(well());
    for (path, code, content) in [
        ("/health", 200, "\"can_capture\":true"),
        ("/-/ready", 200, "watches"),
        ("/metrics", 200, "vesper_capture_seen_packets_total 1\n"),
        ("/metrics", 200, "content-type: text/plain; version=0.0.4"),
        ("/api/v1/statistics", 200, "\"packets\":1,\"bytes\":100"),
        ("/api/v1/nothing", 404, "known paths: /health"),
    ] {
        let (found, answer) = api.get(path);
        assert_eq!(found, code, "{path}");
        assert!(answer.contains(content), "{content} in {answer}");
    }

    let mut down = well();
    down.capture.as_mut().unwrap().link_up = false;
    api.status.publish(down);
    let (code, answer) = api.get("/health");
    assert_eq!(code, 503);
    assert!(answer.contains("the link of eth1 is down"), "{answer}");
}

#[test]
fn odd_requests_get_a_clear_answer() {
    let api = Api::start();
    let long = "x".repeat(LARGEST_HEAD);
    for (head, code, content) in [
        (
            "POST /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
            405,
            "use GET",
        ),
        ("GET /health HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), 400, "Host header"),
        (
            "GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n".to_owned(),
            400,
            "Host header",
        ),
        (
            "GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".to_owned(),
            421,
            "not evil.example",
        ),
        (format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), 431, ""),
        ("nonsense\r\n\r\n".to_owned(), 400, ""),
    ] {
        let (found, answer) = api.raw(&head);
        assert_eq!(found, code, "{answer}");
        assert!(answer.contains(content), "{content} in {answer}");
    }
}

/// Clients that never finish their request are cut off, and more of them than there are slots only delay others.
#[test]
fn slow_clients_cannot_hold_the_api() {
    let api = Api::start();
    let slow: Vec<TcpStream> = (0..MOST_CONNECTIONS + 10)
        .map(|_| {
            let mut stream = api.connect();
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: loc").unwrap();
            stream
        })
        .collect();
    assert_eq!(api.get("/-/healthy").0, 200);
    drop(slow);
}

#[test]
fn a_taken_port_is_named() {
    let api = Api::start();
    let error = bind(&ApiConfig { listen: api.address }).unwrap_err().to_string();
    let expected =
        format!("{} is in use: another vesper? stop it, or set api.listen to another port", api.address);
    assert_eq!(error, expected);
    let elsewhere = bind(&ApiConfig { listen: "192.0.2.1:1".parse().unwrap() }).unwrap_err().to_string();
    assert!(elsewhere.starts_with("cannot listen on 192.0.2.1:1"), "{elsewhere}");
}
