//! Real sockets on loopback: each outcome of a delivery, and the bins after it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};

use super::*;
use crate::alert::{Details, Severity, ThreatType};

const LONG: Duration = Duration::from_secs(30);

fn alert(number: u32) -> Alert {
    Alert {
        threat_id: format!("THREAT_20260101_{number:03}"),
        threat_type: ThreatType::PortScan,
        severity: Severity::High,
        source_ip: "10.0.0.1".to_owned(),
        destination_ip: String::new(),
        source_port: 0,
        destination_port: 0,
        protocol: "TCP".to_owned(),
        confidence: 0.9,
        timestamp: "2026-01-01T00:00:00Z".to_owned(),
        details: Details {
            packet_count: 1,
            total_bytes: 60,
            duration: 0.0,
            flags: vec!["SYN".to_owned()],
            model_used: "autoencoder".to_owned(),
            score: 1.0,
            threshold: 0.5,
            member: String::new(),
            explanation: Vec::new(),
            neighbours: Vec::new(),
            mitre: Vec::new(),
            narrative: "plain".to_owned(),
            tunnel: None,
            source_mac: None,
            community_id: String::new(),
            first_seen: "2026-01-01T00:00:00Z".to_owned(),
            last_seen: "2026-01-01T00:00:00Z".to_owned(),
            count: 1,
        },
        recommendation: None,
    }
}

/// Reads one request; `None` when the client hung up.
fn request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Act {
    /// Status line and headers, no body.
    Answer(&'static str),
    /// Says 200, then a body that does not end.
    EndlessBody,
    /// Says nothing until the client gives up.
    Stall,
}

/// Serves one request per connection, by the script and then with 200. Requests arrive at the receiver.
fn server(script: &'static [Act]) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = sync_channel(100);
    std::thread::spawn(move || {
        let script = script.iter().copied().chain(std::iter::repeat(Act::Answer("200 OK")));
        for act in script.take(100) {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            let Some(received) = request(&stream) else {
                continue;
            };
            if sender.send(received).is_err() {
                return;
            }
            match act {
                Act::Answer(head) => {
                    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _client_may_be_gone = stream.write_all(answer.as_bytes());
                }
                Act::EndlessBody => {
                    let _client_may_be_gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                    while stream.write_all(&[b'x'; 65536]).is_ok() {}
                }
                Act::Stall => {
                    let _until_the_client_gives_up = stream.read(&mut [0]);
                }
            }
        }
    });
    (url, receiver)
}

fn to(url: &str) -> WebhookConfig {
    WebhookConfig {
        url: url.to_owned(),
        timeout: LONG,
        backoff: Duration::from_millis(1),
        ..WebhookConfig::default()
    }
}

/// Only webhooks.
fn start(webhook: WebhookConfig) -> Sinks {
    let jsonl = JsonlConfig { enabled: false, ..JsonlConfig::default() };
    Sinks::start(&SinksConfig { jsonl, webhook: vec![webhook] }, Path::new("/nonexistent")).unwrap()
}

/// Sends one alert and waits for its fate.
fn send_one(webhook: WebhookConfig) -> SinkStatus {
    let sinks = start(webhook);
    sinks.send(&alert(1));
    sinks.stop(LONG).remove(0)
}

/// The bins in the order of the equation, and the failed attempts.
fn bins(status: &SinkStatus) -> [u64; 8] {
    assert_eq!(status.residue(), 0, "{status:?}");
    [
        status.stored,
        status.delivered,
        status.pending,
        status.dead_letter_refused,
        status.dead_letter_retries_spent,
        status.expired_queue_full,
        status.expired_shutdown,
        status.attempts_failed,
    ]
}

#[test]
fn every_outcome_has_its_bin() {
    use Act::{Answer, EndlessBody, Stall};
    let cases: [(&'static [Act], [u64; 8], &str); 10] = [
        (&[Answer("200 OK")], [1, 1, 0, 0, 0, 0, 0, 0], ""),
        (&[Answer("204 No Content")], [1, 1, 0, 0, 0, 0, 0, 0], ""),
        (&[Answer("500 Oops"), Answer("500 Oops")], [1, 1, 0, 0, 0, 0, 0, 2], ""),
        (&[Stall], [1, 1, 0, 0, 0, 0, 0, 1], ""),
        (&[Answer("500 Oops"); 4], [1, 0, 0, 0, 1, 0, 0, 4], "answered 500"),
        (&[Answer("400 Bad")], [1, 0, 0, 1, 0, 0, 0, 1], "answered 400"),
        (&[Answer("404 No")], [1, 0, 0, 1, 0, 0, 0, 1], "answered 404"),
        (
            &[Answer("301 Moved\r\nlocation: http://169.254.169.254/")],
            [1, 0, 0, 1, 0, 0, 0, 1],
            "answered 301: redirects are not followed, set the final address",
        ),
        (&[Answer("429 Slow\r\nretry-after: 0"), Answer("503 Later")], [1, 1, 0, 0, 0, 0, 0, 2], ""),
        (&[EndlessBody], [1, 1, 0, 0, 0, 0, 0, 0], ""),
    ];
    for (script, expected, failing) in cases {
        let (url, _requests) = server(script);
        let stalls = matches!(script, [Stall]);
        let timeout = if stalls { Duration::from_millis(500) } else { LONG };
        let status = send_one(WebhookConfig { timeout, ..to(&url) });
        assert_eq!((bins(&status), status.failing.as_str()), (expected, failing));
    }
}

#[test]
fn requests_are_what_backends_read() {
    let (url, requests) = server(&[]);
    let sinks = start(to(&format!("{url}/")));
    let mut sent = alert(7);
    sent.details.narrative = "\u{1b}[2J\u{9b}\u{202e}evil\n".to_owned();
    sinks.send(&sent);
    assert_eq!(sinks.stop(LONG)[0].delivered, 1);
    let (head, body) = requests.recv().unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /api/network/webhook http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(!body.chars().any(is_hostile), "{body:?}");
    assert_eq!(serde_json::from_str::<Alert>(&body).unwrap(), sent);
}

#[test]
fn a_refused_connection_is_retried_then_a_dead_letter() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let status = send_one(to(&format!("http://user:hunter2@{address}/?token=hunter2")));
    assert_eq!(bins(&status), [1, 0, 0, 0, 1, 0, 0, 4]);
    assert!(!status.failing.contains("hunter2") && status.failing.contains("refused"), "{}", status.failing);
}

#[test]
fn retry_after_is_honoured_up_to_a_cap() {
    let webhook = |url: &str| webhook::Webhook::new(&to(url));
    for (answer, seconds) in [
        ("429 Slow\r\nretry-after: 7", Some(7)),
        ("503 Later\r\nretry-after: 99999999", Some(60)),
        ("503 Later\r\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("500 Oops\r\nretry-after: 7", None),
    ] {
        let script: &'static [Act] = Box::leak(Box::new([Act::Answer(answer)]));
        let (url, _requests) = server(script);
        match webhook(&url).post("{}", LONG) {
            worker::Outcome::Retry { after, .. } => {
                assert_eq!(after, seconds.map(Duration::from_secs), "{answer}")
            }
            outcome => panic!("{answer}: {outcome:?}"),
        }
    }
}

#[test]
fn a_full_queue_expires_alerts_and_a_stop_expires_the_rest() {
    let (url, requests) = server(&[Act::Stall]);
    let sinks = start(WebhookConfig { queue: 2, timeout: LONG, ..to(&url) });
    sinks.send(&alert(1));
    // The first alert is under way now, and stays in the queue until its fate is known.
    requests.recv().unwrap();
    for number in 2..=5 {
        sinks.send(&alert(number));
    }
    assert_eq!(bins(&sinks.status()[0]), [5, 0, 2, 0, 0, 3, 0, 0]);
    let status = sinks.stop(Duration::from_millis(50)).remove(0);
    assert_eq!(bins(&status), [5, 0, 0, 0, 0, 3, 2, 0]);
}

#[test]
fn a_stop_ends_the_wait_for_a_retry() {
    let (url, requests) = server(&[Act::Answer("429 Slow\r\nretry-after: 60"); 5]);
    let sinks = start(to(&url));
    sinks.send(&alert(1));
    requests.recv().unwrap();
    let begun = clock();
    let status = sinks.stop(Duration::from_millis(200)).remove(0);
    assert!(clock() - begun < Duration::from_secs(5));
    assert_eq!(bins(&status)[..7], [1, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn sinks_do_not_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _requests) = server(&[Act::Stall; 100]);
    let config = SinksConfig {
        jsonl: JsonlConfig::default(),
        webhook: vec![WebhookConfig { timeout: LONG, ..to(&url) }],
    };
    let sinks = Sinks::start(&config, folder.path()).unwrap();
    for number in 0..1000 {
        sinks.send(&alert(number));
    }
    let begun = clock();
    while sinks.status()[0].delivered < 1000 && clock() - begun < LONG {
        std::thread::yield_now();
    }
    let status = sinks.stop(Duration::from_millis(50));
    assert_eq!(bins(&status[0]), [1000, 1000, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bins(&status[1]), [1000, 0, 0, 0, 0, 0, 1000, 0]);
    let text = std::fs::read_to_string(folder.path().join("alerts.jsonl")).unwrap();
    let ids: Vec<String> =
        text.lines().map(|line| serde_json::from_str::<Alert>(line).unwrap().threat_id).collect();
    assert_eq!(ids, (0..1000).map(|number| alert(number).threat_id).collect::<Vec<_>>());
}

#[test]
fn a_file_that_cannot_be_written_gives_dead_letters() {
    let sinks = Sinks::start(&SinksConfig::default(), Path::new("/nonexistent")).unwrap();
    sinks.send(&alert(1));
    let status = sinks.stop(LONG).remove(0);
    assert_eq!(bins(&status), [1, 0, 0, 0, 1, 0, 0, 4]);
    assert!(status.failing.starts_with("/nonexistent/alerts.jsonl: No such file"), "{}", status.failing);
}
