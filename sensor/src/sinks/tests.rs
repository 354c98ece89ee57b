//! Real sockets on loopback and a real store: each outcome of a delivery, and the bins after it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};

use super::targets::testing::{Request, read_request};
use super::*;
use crate::alert::Alert;
use crate::store::testing::{alert, open, raised};
use crate::store::{alerts, ingest::now};
use crate::telemetry::is_hostile;

pub(super) const LONG: Duration = Duration::from_secs(30);

/// What the server does with a request.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// Status line and headers, no body.
    Answer(&'static str),
    /// Says 200, then a body that does not end.
    EndlessBody,
    /// Says nothing until the client gives up.
    Stall,
}

/// Serves one request per connection, by the script and then with 200. Requests arrive at the receiver.
pub(super) fn server(script: &'static [Act]) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = sync_channel(10_000);
    std::thread::spawn(move || {
        let script = script.iter().copied().chain(std::iter::repeat(Act::Answer("200 OK")));
        for act in script.take(10_000) {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            let Some(received) = read_request(&stream) else {
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

pub(super) fn to(url: &str) -> WebhookConfig {
    WebhookConfig {
        url: url.to_owned(),
        timeout: LONG,
        backoff: Duration::from_millis(1),
        ..WebhookConfig::default()
    }
}

/// A store in a folder of its own, with the sinks of a configuration.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Store,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        Bench { folder, store }
    }

    pub(super) fn start(&self, webhooks: Vec<WebhookConfig>, enabled: bool) -> Sinks {
        let jsonl = JsonlConfig { enabled, ..JsonlConfig::default() };
        let config = SinksConfig { jsonl, webhook: webhooks, ..SinksConfig::default() };
        Sinks::start(configured(&config, self.folder.path()), &self.store).unwrap()
    }

    pub(super) fn raise(&self, number: u64) {
        self.store.write(move |tx| alerts::insert(tx, &raised(number), now())).unwrap();
    }
}

pub(super) fn wait(sinks: &Sinks, until: impl Fn(&[SinkStatus]) -> bool) -> Vec<SinkStatus> {
    let begun = clock();
    loop {
        let status = sinks.status();
        if until(&status) {
            return status;
        }
        assert!(clock() - begun < LONG, "{status:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The bins in the order of the equation, and the failed attempts.
pub(super) fn bins(status: &SinkStatus) -> [u64; 7] {
    assert_eq!(status.residue(), 0, "{status:?}");
    [
        status.stored,
        status.delivered,
        status.pending,
        status.dead_letter_refused,
        status.dead_letter_retries_spent,
        status.expired_queue_full,
        status.attempts_failed,
    ]
}

#[test]
fn every_outcome_has_its_bin() {
    use Act::{Answer, EndlessBody, Stall};
    let cases: [(&'static [Act], [u64; 7], &str); 9] = [
        (&[Answer("200 OK")], [1, 1, 0, 0, 0, 0, 0], ""),
        (&[Answer("204 No Content")], [1, 1, 0, 0, 0, 0, 0], ""),
        (&[Answer("500 Oops"), Answer("500 Oops")], [1, 1, 0, 0, 0, 0, 2], ""),
        (&[Stall], [1, 1, 0, 0, 0, 0, 1], ""),
        (&[Answer("400 Bad")], [1, 0, 0, 1, 0, 0, 1], "answered 400"),
        (&[Answer("404 No")], [1, 0, 0, 1, 0, 0, 1], "answered 404"),
        (
            &[Answer("301 Moved\r\nlocation: http://169.254.169.254/")],
            [1, 0, 0, 1, 0, 0, 1],
            "answered 301: redirects are not followed, set the final address",
        ),
        (&[Answer("429 Slow\r\nretry-after: 0"), Answer("503 Later")], [1, 1, 0, 0, 0, 0, 2], ""),
        (&[EndlessBody], [1, 1, 0, 0, 0, 0, 0], ""),
    ];
    for (script, expected, failing) in cases {
        let bench = Bench::new();
        let (url, _requests) = server(script);
        let stalls = matches!(script, [Stall]);
        let timeout = if stalls { Duration::from_millis(500) } else { LONG };
        let sinks = bench.start(vec![WebhookConfig { timeout, ..to(&url) }], false);
        bench.raise(1);
        let status = wait(&sinks, |status| status[0].stored == 1 && status[0].pending == 0);
        assert_eq!((bins(&status[0]), status[0].failing.as_str()), (expected, failing));
    }
}

#[test]
fn requests_are_what_backends_read() {
    let (url, requests) = server(&[]);
    let bench = Bench::new();
    let sinks = bench.start(vec![to(&format!("{url}/"))], false);
    let mut sent = raised(7);
    sent.alert.details.narrative = "\u{1b}[2J\u{9b}\u{202e}evil\n".to_owned();
    let alert = sent.alert.clone();
    bench.store.write(move |tx| alerts::insert(tx, &sent, now())).unwrap();
    assert_eq!(sinks.stop(LONG)[0].delivered, 1);
    let Request { head, body } = requests.recv().unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /api/network/webhook http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(!body.chars().any(is_hostile), "{body:?}");
    assert_eq!(serde_json::from_str::<Alert>(&body).unwrap(), alert);
}

#[test]
fn a_message_that_nobody_takes_is_a_dead_letter_after_its_time_and_can_be_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let bench = Bench::new();
    let url = format!("http://user:hunter2@{address}/?token=hunter2");
    let config = WebhookConfig { path: String::new(), give_up_after: Duration::from_secs(1), ..to(&url) };
    let sinks = bench.start(vec![config], false);
    bench.raise(1);
    let status = wait(&sinks, |status| status[0].dead_letters() == 1).remove(0);
    assert!(status.attempts_failed > 3 && bins(&status)[..5] == [1, 0, 0, 0, 1], "{status:?}");
    assert!(!status.failing.contains("hunter2") && status.failing.contains("refused"), "{}", status.failing);
    // Somebody repairs the peer and asks again, from another process.
    let listener = TcpListener::bind(address).unwrap();
    bench.store.write(|tx| outbox::retry(tx, None, now())).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    assert!(read_request(&stream).is_some());
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    let status = wait(&sinks, |status| status[0].delivered == 1).remove(0);
    assert_eq!((&bins(&status)[..5], status.failing.as_str()), (&[1, 1, 0, 0, 0][..], ""));
}

#[test]
fn too_many_that_wait_expire_from_the_oldest_and_the_rest_waits_for_the_next_start() {
    let (url, requests) = server(&[Act::Stall]);
    let bench = Bench::new();
    let sinks = bench.start(vec![WebhookConfig { queue: 2, timeout: LONG, ..to(&url) }], false);
    bench.raise(1);
    requests.recv().unwrap();
    for number in 2..=5 {
        bench.raise(number);
    }
    let begun = clock();
    let status = sinks.stop(Duration::from_millis(50)).remove(0);
    assert!(clock() - begun < Duration::from_secs(5));
    assert_eq!(status.residue(), 0);
    let status = bench.store.read(|connection| outbox::status(connection, "webhook_1")).unwrap();
    assert_eq!(bins(&status), [5, 0, 5, 0, 0, 0, 0]);

    let (url, requests) = server(&[]);
    let sinks = bench.start(vec![WebhookConfig { queue: 2, ..to(&url) }], false);
    let status = wait(&sinks, |status| status[0].pending == 0).remove(0);
    assert_eq!(status.residue(), 0);
    assert!(status.delivered >= 2 && status.delivered + status.expired_queue_full == 5, "{status:?}");
    let first: Alert = serde_json::from_str(&requests.recv().unwrap().body).unwrap();
    assert_eq!(first.threat_id, alert(4).threat_id);
}

#[test]
fn a_stop_ends_the_wait_for_a_retry_and_the_next_start_delivers() {
    let (url, requests) = server(&[Act::Answer("429 Slow\r\nretry-after: 1"); 1]);
    let bench = Bench::new();
    let sinks = bench.start(vec![to(&url)], false);
    bench.raise(1);
    requests.recv().unwrap();
    wait(&sinks, |status| status[0].attempts_failed == 1);
    let begun = clock();
    let status = sinks.stop(LONG).remove(0);
    assert!(clock() - begun < Duration::from_secs(5));
    assert_eq!(bins(&status), [1, 0, 1, 0, 0, 0, 1]);
    let sinks = bench.start(vec![to(&url)], false);
    let status = wait(&sinks, |status| status[0].delivered == 1).remove(0);
    assert_eq!(bins(&status), [1, 1, 0, 0, 0, 0, 1]);
    // A sink that is gone leaves nothing behind.
    bench.raise(2);
    sinks.stop(LONG);
    let (nowhere, _requests) = server(&[Act::Stall]);
    let sinks = bench.start(vec![WebhookConfig { name: "old".to_owned(), ..to(&nowhere) }], false);
    bench.raise(3);
    sinks.stop(Duration::from_millis(10));
    bench.start(vec![to(&url)], false).stop(LONG);
    let old = bench.store.read(|connection| outbox::status(connection, "old")).unwrap();
    assert_eq!((old.stored, old.pending, old.expired_removed, old.residue()), (1, 0, 1, 0));
}

#[test]
fn sinks_do_not_wait_for_each_other() {
    let (url, _requests) = server(&[Act::Stall; 100]);
    let bench = Bench::new();
    let sinks = bench.start(vec![WebhookConfig { timeout: LONG, ..to(&url) }], true);
    bench
        .store
        .write(|tx| (0..1000).try_for_each(|number| alerts::insert(tx, &raised(number), now()).map(|_| ())))
        .unwrap();
    wait(&sinks, |status| status[0].delivered == 1000);
    let status = sinks.stop(Duration::from_millis(50));
    assert_eq!(bins(&status[0]), [1000, 1000, 0, 0, 0, 0, 0]);
    let other = bench.store.read(|connection| outbox::status(connection, "webhook_1")).unwrap();
    assert_eq!(bins(&other), [1000, 0, 1000, 0, 0, 0, 0]);
    let text = std::fs::read_to_string(bench.folder.path().join("alerts.jsonl")).unwrap();
    let ids: Vec<String> =
        text.lines().map(|line| serde_json::from_str::<Alert>(line).unwrap().threat_id).collect();
    assert_eq!(ids, (0..1000).map(|number| alert(number).threat_id).collect::<Vec<_>>());
}

#[test]
fn one_message_that_cannot_be_taken_does_not_keep_out_the_others() {
    /// Refuses one alert for now, for ever.
    struct Picky(std::sync::Arc<std::sync::Mutex<Vec<String>>>);
    impl Target for Picky {
        fn deliver(&mut self, messages: &[Message], _timeout: Duration) -> Vec<Outcome> {
            let judge = |message: &Message| {
                if message.about.ends_with("_003") {
                    return Outcome::Retry { error: "answered 500".to_owned(), after: None };
                }
                self.0.lock().unwrap().push(message.about.clone());
                Outcome::Delivered
            };
            messages.iter().map(judge).collect()
        }
    }
    let bench = Bench::new();
    let taken = Arc::default();
    let limits = Limits { backoff: Duration::from_millis(1), ..WebhookConfig::default().limits() };
    let sink = Sink { name: "picky".to_owned(), limits, target: Box::new(Picky(Arc::clone(&taken))) };
    let sinks = Sinks::start(vec![sink], &bench.store).unwrap();
    for number in 1..=20 {
        bench.raise(number);
    }
    let status = wait(&sinks, |status| status[0].delivered == 19).remove(0);
    assert_eq!(bins(&status)[..5], [20, 19, 1, 0, 0]);
    let expected: Vec<String> = (1..=20).filter(|n| *n != 3).map(|n| alert(n).threat_id).collect();
    assert_eq!(*taken.lock().unwrap(), expected);
}

/// Ten minutes of outage, in short: everything arrives afterwards, once each, in order.
#[test]
fn an_outage_loses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let bench = Bench::new();
    let sinks = bench.start(vec![to(&format!("http://{address}"))], false);
    for number in 1..=50 {
        bench.raise(number);
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = wait(&sinks, |status| status[0].attempts_failed >= 5).remove(0);
    assert_eq!((status.pending, status.delivered), (50, 0));
    let listener = TcpListener::bind(address).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 50 {
        let (mut stream, _) = listener.accept().unwrap();
        let body = read_request(&stream).unwrap().body;
        seen.push(serde_json::from_str::<Alert>(&body).unwrap().threat_id);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    }
    assert_eq!(seen, (1..=50).map(|number| alert(number).threat_id).collect::<Vec<_>>());
    let status = wait(&sinks, |status| status[0].delivered == 50).remove(0);
    assert_eq!(bins(&status)[..5], [50, 50, 0, 0, 0]);
}

#[test]
fn a_file_that_cannot_be_written_keeps_its_alerts() {
    let bench = Bench::new();
    let path = bench.folder.path().join("missing");
    let config = SinksConfig {
        jsonl: JsonlConfig { path: path.join("a.jsonl"), ..JsonlConfig::default() },
        ..SinksConfig::default()
    };
    let sinks = Sinks::start(configured(&config, bench.folder.path()), &bench.store).unwrap();
    bench.raise(1);
    let status = wait(&sinks, |status| status[0].attempts_failed > 0).remove(0);
    assert!(status.failing.contains("a.jsonl: No such file"), "{}", status.failing);
    std::fs::create_dir(path).unwrap();
    let status = wait(&sinks, |status| status[0].delivered == 1).remove(0);
    assert_eq!(bins(&status)[..3], [1, 1, 0]);
}
