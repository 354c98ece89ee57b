//! From the store to real sockets and back: sinks that are down while alerts are stored are told all of them once, in
//! order, when they are back.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::testing::{alert, secret_file, serve, server};
use super::{all, clock};
use crate::alert::Raised;
use crate::sinks::config::{JsonlConfig, SinksConfig, SlackConfig, WebhookConfig};
use crate::sinks::{SinkStatus, Sinks};
use crate::store::{Store, StoreConfig, alerts};

const LONG: Duration = Duration::from_secs(30);
const ALERTS: u32 = 100;

/// An address where nobody listens, yet.
fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn store_alerts(store: &Store, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        let raised = Raised { alert: alert(number), fingerprint: Vec::new(), evidence: Vec::new() };
        store.write(move |tx| alerts::insert(tx, &raised, crate::store::ingest::now())).unwrap();
    }
}

fn until(sinks: &Sinks, what: impl Fn(&SinkStatus) -> bool) -> Vec<SinkStatus> {
    let begin = clock();
    loop {
        let status = sinks.status();
        if status.iter().all(&what) {
            return status;
        }
        assert!(clock() - begin < LONG, "{status:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn after_an_outage_and_a_restart_every_alert_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (web, chat) = (closed(), closed());
    let config = SinksConfig {
        sensor: "box-1".to_owned(),
        jsonl: JsonlConfig { enabled: false, ..JsonlConfig::default() },
        webhook: vec![WebhookConfig {
            url: format!("http://{web}"),
            backoff: Duration::from_millis(50),
            secret_file: secret_file(folder.path(), "secret", "hunter2"),
            ..WebhookConfig::default()
        }],
        slack: vec![SlackConfig {
            url_file: secret_file(folder.path(), "url", &format!("http://{chat}/services/hunter2")),
            backoff: Duration::from_millis(50),
            group_for: Duration::from_secs(1),
            ..SlackConfig::default()
        }],
        ..SinksConfig::default()
    };
    let start = || {
        let (store, _) = Store::open(&StoreConfig::default(), folder.path()).unwrap();
        let sinks = Sinks::start(all(&config, folder.path(), "box-1"), &store).unwrap();
        (store, sinks)
    };
    let (store, sinks) = start();
    store_alerts(&store, 1..=60);
    let status = until(&sinks, |sink| sink.stored == 60 && !sink.failing.is_empty());
    assert!(status.iter().all(|sink| sink.residue() == 0 && !sink.failing.contains("hunter2")), "{status:?}");
    // The sensor is restarted meanwhile.
    drop((sinks.stop(Duration::ZERO), store));
    let (store, sinks) = start();
    store_alerts(&store, 61..=ALERTS);
    let requests = serve(TcpListener::bind(web).unwrap(), |_| "200 OK".to_owned());
    let notes = serve(TcpListener::bind(chat).unwrap(), |_| "200 OK\n\nok".to_owned());
    let status = until(&sinks, |sink| sink.delivered == u64::from(ALERTS));
    assert!(status.iter().all(|sink| sink.residue() == 0 && sink.pending == 0), "{status:?}");

    let requests: Vec<_> = requests.try_iter().collect();
    let threats: Vec<String> = requests
        .iter()
        .map(|request| {
            serde_json::from_str::<serde_json::Value>(&request.body).unwrap()["threat_id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(threats, (1..=ALERTS).map(|number| alert(number).threat_id).collect::<Vec<_>>());
    let ids: BTreeSet<&str> = requests.iter().map(|request| request.header("x-vesper-id")).collect();
    assert_eq!(ids.len(), ALERTS as usize);

    // Slack had the oldest whole, and the rest as one: counts add up.
    let texts: Vec<String> = notes
        .try_iter()
        .map(|note| {
            serde_json::from_str::<serde_json::Value>(&note.body).unwrap()["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(texts[0].contains("High PortScan on box-1: 10.0.0.1 tried 100 ports"), "{texts:?}");
    let counted =
        |text: &String| text.split(' ').nth(1).and_then(|number| number.parse::<u32>().ok()).unwrap_or(1);
    assert_eq!(texts.iter().map(counted).sum::<u32>(), ALERTS, "{texts:?}");
    assert!(texts.len() <= 5, "{texts:?}");
    drop(sinks.stop(LONG));
}

/// An alert a second while one backend is gone, one answers 503 and one takes connections and says nothing; with the
/// settings as they are by default. `VESPER_LONG=600` is the ten minutes, `VESPER_LONG=1` is 75 seconds.
#[test]
fn a_long_outage_with_the_settings_as_they_are() {
    let Ok(asked) = std::env::var("VESPER_LONG") else {
        eprintln!("SKIPPED: set VESPER_LONG=1");
        return;
    };
    let length = Duration::from_secs(asked.parse().ok().filter(|seconds| *seconds > 10).unwrap_or(75));
    let folder = tempfile::tempdir().unwrap();
    let (gone, silent) = (closed(), TcpListener::bind("127.0.0.1:0").unwrap());
    let silent_at = silent.local_addr().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let (busy, busy_requests) =
        server(
            move |_| {
                if seen.load(Relaxed) { "200 OK".to_owned() } else { "503 Busy\nretry-after: 7".to_owned() }
            },
        );
    let webhook =
        |name: &str, url: String| WebhookConfig { name: name.to_owned(), url, ..WebhookConfig::default() };
    let config = SinksConfig {
        sensor: "box-1".to_owned(),
        jsonl: JsonlConfig { enabled: false, ..JsonlConfig::default() },
        webhook: vec![
            webhook("gone", format!("http://{gone}")),
            webhook("busy", busy),
            webhook("silent", format!("http://{silent_at}")),
        ],
        ..SinksConfig::default()
    };
    let (store, _) = Store::open(&StoreConfig::default(), folder.path()).unwrap();
    let sinks = Sinks::start(all(&config, folder.path(), "box-1"), &store).unwrap();
    let begin = clock();
    let mut raised = 0;
    while clock() - begin < length {
        raised += 1;
        store_alerts(&store, raised..=raised);
        std::thread::sleep(Duration::from_secs(1));
    }
    let status = until(&sinks, |sink| sink.stored == u64::from(raised) && !sink.failing.is_empty());
    let failed: Vec<u64> = status.iter().map(|sink| sink.attempts_failed).collect();
    assert!(status.iter().all(|sink| sink.delivered == 0 && sink.residue() == 0), "{status:?}");
    over.store(true, Relaxed);
    let gone_requests = serve(TcpListener::bind(gone).unwrap(), |_| "200 OK".to_owned());
    // What it had accepted and not answered is dropped with it.
    drop(silent);
    let silent_requests = serve(TcpListener::bind(silent_at).unwrap(), |_| "200 OK".to_owned());
    let back = clock();
    let mut done = vec![None; status.len()];
    while done.contains(&None) {
        for (done, sink) in done.iter_mut().zip(sinks.status()) {
            if done.is_none() && sink.delivered == u64::from(raised) {
                *done = Some((clock() - back).as_secs_f64());
            }
        }
        // The longest pause between attempts is a minute and a quarter of it, and one may take the timeout.
        assert!(clock() - back < Duration::from_secs(75 + 10 + 15), "{:?}", sinks.status());
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = sinks.stop(LONG);
    assert!(status.iter().all(|sink| sink.residue() == 0 && sink.dead_letters() == 0), "{status:?}");
    println!(
        "{raised} alerts in {length:?}; failed attempts {failed:?}; all told {done:.1?} s after the end"
    );
    let expected: Vec<String> = (1..=raised).map(|number| alert(number).threat_id).collect();
    for (name, requests) in [("gone", gone_requests), ("busy", busy_requests), ("silent", silent_requests)] {
        let mut got = Vec::new();
        for request in requests.try_iter() {
            let id = request.header("x-vesper-id").to_owned();
            let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            got.push((id, body["threat_id"].as_str().unwrap().to_owned()));
        }
        // The 503s were requests too, each with its id; what was taken is the last with it.
        assert_eq!(
            got.len() as u64,
            u64::from(raised) + if name == "busy" { failed[1] } else { 0 },
            "{name}"
        );
        let mut had = BTreeSet::new();
        let mut got: Vec<_> = got.into_iter().rev().filter(|(id, _)| had.insert(id.clone())).collect();
        got.reverse();
        assert_eq!(got.iter().map(|(_, threat)| threat.clone()).collect::<Vec<_>>(), expected, "{name}");
    }
}
