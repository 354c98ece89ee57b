//! Live messages: in order, after a break, beside stuck clients.

use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream as Stream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::super::token::{self, Scope};
use super::*;

type Socket = WebSocketStream<MaybeTlsStream<Stream>>;

async fn connect(api: &Api, query: &str) -> Socket {
    let url = format!("ws://{}/ws/incidents{query}", api.address);
    connect_async(url).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(20), socket.next()).await.unwrap();
        if let Message::Text(text) = message.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn messages_come_in_order_and_go_on_after_a_break() {
    let api = Api::start();
    runtime().block_on(async {
        let mut socket = connect(&api, "").await;
        assert_eq!(next(&mut socket).await["type"], "system");
        let ids: Vec<String> = (1..=3).map(|number| api.alert(number)).collect();
        let mut last = 0;
        for id in &ids {
            let message = next(&mut socket).await;
            assert_eq!(
                (message["type"].as_str(), &message["data"]["threat_id"]),
                (Some("anomaly"), &json!(id))
            );
            assert!(message["id"].as_i64().unwrap() > last);
            last = message["id"].as_i64().unwrap();
        }
        socket.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
        assert_eq!(next(&mut socket).await, json!({"type": "pong"}));
        // A change of an alert is a message with the same id.
        assert_eq!(api.post(&format!("/api/v1/alerts/{}/acknowledge", ids[0]), "{}").0, 200);
        let changed = next(&mut socket).await;
        assert_eq!(
            (&changed["data"]["threat_id"], changed["data"]["state"].as_str()),
            (&json!(ids[0]), Some("acknowledged"))
        );
        drop(socket);

        api.alert(4);
        let mut again = connect(&api, &format!("?since={last}")).await;
        assert_eq!(next(&mut again).await["type"], "system");
        assert_eq!(next(&mut again).await["data"]["state"], "acknowledged");
        assert_eq!(next(&mut again).await["data"]["threat_id"], "THREAT_20261121_000004");
        // What is no question is no reason to go.
        for odd in ["", "{", "[]", r#"{"type":7}"#, r#"{"type":"shout"}"#] {
            again.send(Message::text(odd)).await.unwrap();
        }
        again.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
        assert_eq!(next(&mut again).await, json!({"type": "pong"}));
    });
}

/// From before the ring, out of the store; from too long ago, with a word about it.
#[test]
fn catching_up() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::with(folder, |_| {});
    api.store
        .write(|tx| {
            for number in 0..15_000 {
                crate::store::events::append(tx, crate::store::events::EventKind::System, number, "", "{}")?;
            }
            Ok(())
        })
        .unwrap();
    runtime().block_on(async {
        let mut socket = connect(&api, "?since=14990").await;
        next(&mut socket).await;
        for id in 14_991..=15_000 {
            assert_eq!(next(&mut socket).await["id"], id);
        }
        let mut socket = connect(&api, "?since=6000").await;
        next(&mut socket).await;
        for id in 6001..=15_000 {
            assert_eq!(next(&mut socket).await["id"], id);
        }
        let mut socket = connect(&api, "?since=10").await;
        next(&mut socket).await;
        let told = next(&mut socket).await;
        assert_eq!((told["type"].as_str(), &told["data"]["after"]), (Some("system"), &json!(5000)));
        assert_eq!(next(&mut socket).await["id"], 5001);
    });
}

#[test]
fn server_sent_events_are_the_same_messages() {
    let api = Api::start();
    api.alert(1);
    let mut stream = api.connect();
    let head = format!("GET /api/v1/events HTTP/1.1\r\nhost: {}\r\nlast-event-id: 0\r\n\r\n", api.address);
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("THREAT_20261121_000002") {
        let got = stream.read(&mut buffer).unwrap();
        assert!(got > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..got]));
        if seen.contains("THREAT_20261121_000001") && !seen.contains("000002") {
            api.alert(2);
        }
    }
    assert!(seen.contains("content-type: text/event-stream") && seen.contains("id: 1\n"), "{seen}");
}

#[test]
fn who_may_open_a_websocket() {
    let folder = tempfile::tempdir().unwrap();
    let secret = token::create(&folder.path().join("tokens"), "reader", Scope::Read).unwrap();
    let api = Api::with(folder, |config| config.tokens_file = "tokens".into());
    let (_, answer) = api.post("/api/v1/session", &format!(r#"{{"token":"{secret}"}}"#));
    let cookie = answer.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let bearer = format!("Bearer {secret}");
    let own = format!("http://{}", api.address);
    let cases: [(&[(&'static str, &str)], u16); 6] = [
        (&[], 403),
        (&[("origin", &own)], 401),
        (&[("authorization", &bearer)], 101),
        (&[("cookie", &cookie)], 403),
        (&[("cookie", &cookie), ("origin", "http://evil.example")], 403),
        (&[("cookie", &cookie), ("origin", &own)], 101),
    ];
    runtime().block_on(async {
        for (headers, expected) in cases {
            let mut request = format!("ws://{}/ws/incidents", api.address).into_client_request().unwrap();
            for (name, value) in headers {
                request.headers_mut().insert(*name, value.parse().unwrap());
            }
            let code = match connect_async(request).await {
                Ok((_, response)) => response.status().as_u16(),
                Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(code, expected, "{headers:?}");
        }
    });
    assert_eq!(api.ask("GET", "/ws/incidents", &format!("authorization: {bearer}\r\n"), "").0, 400);
}

/// Large messages that nobody who is stuck takes.
const JAM: usize = 100;

/// Half the clients read nothing. The others are told within 250 ms (the 99th percentile), and the stuck ones go.
#[test]
#[expect(clippy::disallowed_methods, reason = "delays are measured in real time")]
fn stuck_clients_delay_nobody() {
    let long = std::env::var_os("VESPER_LONG").is_some();
    let clients = if long { 1000 } else { 200 };
    let api = Api::start();
    let before = resident();
    runtime().block_on(async {
        let (healthy, stuck) = (clients / 2, clients - clients / 2);
        // With the smallest buffer the kernel gives, so that they are stuck soon.
        let mut held = Vec::new();
        for _ in 0..stuck {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let stream = socket.connect(api.address).await.unwrap();
            let url = format!("ws://{}/ws/incidents", api.address);
            held.push(tokio_tungstenite::client_async(url, stream).await.unwrap().0);
        }
        let (mut listeners, messages) = (Vec::new(), 100);
        let through = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (times, mut told) = tokio::sync::mpsc::channel(healthy * messages);
        for _ in 0..healthy {
            let mut socket = connect(&api, "").await;
            next(&mut socket).await;
            let (times, through) = (times.clone(), Arc::clone(&through));
            listeners.push(tokio::spawn(async move {
                for _ in 0..JAM {
                    socket.next().await.unwrap().unwrap();
                }
                through.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                for _ in 0..messages {
                    let message = next(&mut socket).await;
                    times.send((message["data"]["n"].as_u64().unwrap(), Instant::now())).await.unwrap();
                }
            }));
        }
        drop(times);
        // What fills the buffers of the kernel; then messages of an alert's size, while the server waits for the stuck.
        let write = |json: String| {
            let store = api.store.clone();
            tokio::task::spawn_blocking(move || {
                let kind = crate::store::events::EventKind::System;
                store.write(move |tx| crate::store::events::append(tx, kind, NOW, "", &json)).unwrap();
            })
        };
        for _ in 0..JAM {
            write(json!({"text": "x".repeat(40_000)}).to_string()).await.unwrap();
        }
        while through.load(std::sync::atomic::Ordering::Relaxed) < healthy {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut sent = Vec::new();
        for n in 0..messages {
            write(json!({"n": n, "text": "x".repeat(3000)}).to_string()).await.unwrap();
            sent.push(Instant::now());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for listener in listeners {
            listener.await.unwrap();
        }
        let mut delays = Vec::new();
        while let Some((n, at)) = told.recv().await {
            delays.push(at.saturating_duration_since(sent[n as usize]));
        }
        assert_eq!(delays.len(), healthy * messages);
        delays.sort();
        let p99 = delays[delays.len() * 99 / 100];
        let grown = resident().saturating_sub(before) >> 20;
        println!(
            "{clients} clients, half of them stuck: {} messages, median {:?}, p99 {p99:?}, {grown} MiB more",
            delays.len(),
            delays[delays.len() / 2]
        );
        assert!(p99 <= Duration::from_millis(250), "p99 {p99:?}");
        assert!(grown < 512, "{grown} MiB");
        for _ in 0..300 {
            if json_metric(&api, "vesper_api_live_dropped_total") == stuck as u64 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "{} of {stuck} stuck clients were dropped",
            json_metric(&api, "vesper_api_live_dropped_total")
        );
    });
}

fn json_metric(api: &Api, name: &str) -> u64 {
    let (_, answer) = api.get("/metrics");
    let line = answer.lines().find(|line| line.starts_with(name) && !line.starts_with('#')).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Of this process, server and clients together, bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}
