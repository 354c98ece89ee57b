//! A sensor's store and sinks in a child process that is killed at any moment, again and again, while the peer fails at
//! random: nothing that was acknowledged is lost, nothing arrives under two ids, the chain holds.
#![allow(clippy::disallowed_methods, reason = "how long something takes is real time")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ingest::Ingest;
use super::retention::Limits;
use super::testing::{open, raised};
use super::{alerts, outbox, verify};
use crate::alert::Alert;
use crate::sinks::targets::testing::read_request;
use crate::sinks::{Sinks, SinksConfig, WebhookConfig, configured};

const ROLE: &str = "VESPER_KILL_FOLDER";
const LIMITS: Limits = Limits { keep: i64::MAX, max_bytes: 1 << 40, evidence_bytes: 1 << 20 };

fn settings(url: &str) -> SinksConfig {
    let mut config = SinksConfig::default();
    config.jsonl.enabled = false;
    let backoff = Duration::from_millis(2);
    let timeout = Duration::from_millis(200);
    config.webhook =
        vec![WebhookConfig { url: url.to_owned(), backoff, timeout, ..WebhookConfig::default() }];
    config
}

/// Raises alerts until it is killed, and says which are safe.
#[test]
fn the_child_that_is_killed() {
    let Ok(folder) = std::env::var(ROLE) else { return };
    let folder = std::path::PathBuf::from(folder);
    let store = open(&folder);
    let _sinks =
        Sinks::start(configured(&settings(&std::env::var("URL").unwrap()), &folder), &store).unwrap();
    let ingest = Ingest::start(store.clone(), LIMITS, None).unwrap();
    let mut number = store.read(alerts::latest_number).unwrap().map_or(0, |(_, number)| number);
    let run = std::process::id();
    for round in 1_u64.. {
        let first = number + 1;
        for _ in 0..1 + round * 7 % 20 {
            number += 1;
            let mut raised = raised(number);
            raised.alert.details.narrative = format!("{run}-{number}");
            ingest.offer(raised);
            if round % 3 == 0 {
                ingest.offer_update(super::testing::alert(first));
            }
        }
        while ingest.status().waiting > 0 {
            std::thread::yield_now();
        }
        assert_eq!(ingest.status().refused, 0);
        let mut out = std::io::stdout().lock();
        for number in first..=number {
            writeln!(out, "SAFE THREAT_20260101_{number:03}").unwrap();
        }
        out.flush().unwrap();
    }
}

/// What arrived: by identity the ids it had, and by outbox id the alert.
type Seen = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

fn peer(failing: &Arc<AtomicBool>) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let (seen_there, failing) = (Arc::clone(&seen), Arc::clone(failing));
    std::thread::spawn(move || {
        let chance = Arc::new(Mutex::new(1_u64));
        for stream in listener.incoming().flatten() {
            let (seen, failing, chance) =
                (Arc::clone(&seen_there), Arc::clone(&failing), Arc::clone(&chance));
            std::thread::spawn(move || while serve(&stream, &seen, &failing, &chance).is_some() {});
        }
    });
    (url, seen)
}

/// One request, answered well or badly by chance. `None` ends the connection.
fn serve(stream: &TcpStream, seen: &Seen, failing: &AtomicBool, chance: &Mutex<u64>) -> Option<()> {
    let request = read_request(stream)?;
    let dice = {
        let mut state = chance.lock().unwrap();
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if failing.load(Relaxed) { (*state >> 33) % 10 } else { 9 }
    };
    let answer = |status: &str| {
        let mut stream = stream;
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()
    };
    if dice == 0 {
        return answer("503 Later");
    }
    let alert: Alert = serde_json::from_str(&request.body).ok()?;
    // Updates carry no identity of their own.
    if alert.details.narrative != "plain" {
        seen.lock().unwrap().entry(alert.details.narrative).or_default().insert(alert.threat_id);
    } else {
        seen.lock()
            .unwrap()
            .entry(format!("update of {}", alert.threat_id))
            .or_default()
            .insert(alert.threat_id);
    }
    match dice {
        // It has it, and the sensor does not know.
        1 => None,
        2 => answer("500 Oops"),
        _ => answer("200 OK"),
    }
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let long = std::env::var_os("VESPER_LONG").is_some();
    let kills = if long { 1000 } else { 25 };
    let folder = tempfile::tempdir().unwrap();
    let failing = Arc::new(AtomicBool::new(true));
    let (url, seen) = peer(&failing);
    let mut safe = BTreeSet::new();
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::kill_tests::the_child_that_is_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, folder.path())
            .env("URL", &url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // Some are killed while they open the store, most later.
        while round % 8 != 7 && !line.starts_with("SAFE") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "{}", said(&mut child));
        }
        std::thread::sleep(Duration::from_millis(round * 37 % 90));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut text = String::new();
        lines.read_to_string(&mut text).unwrap();
        let text = line + &text;
        // A line that was cut off was not said.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        safe.extend(whole.lines().filter_map(|line| line.strip_prefix("SAFE ")).map(str::to_owned));
    }
    failing.store(false, Relaxed);
    let store = open(folder.path());
    let sinks = Sinks::start(configured(&settings(&url), folder.path()), &store).unwrap();
    let begun = std::time::Instant::now();
    while sinks.status()[0].pending > 0 {
        assert!(begun.elapsed() < Duration::from_secs(if long { 1800 } else { 120 }), "{:?}", sinks.status());
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = sinks.stop(Duration::from_secs(5)).remove(0);
    assert_eq!((status.residue(), status.dead_letters(), status.expired()), (0, 0, 0), "{status:?}");
    let read = store.read(|connection| outbox::status(connection, "webhook_1")).unwrap();
    assert_eq!((read.residue(), read.delivered), (0, read.stored));

    let seen = seen.lock().unwrap();
    let arrived: BTreeSet<&String> = seen
        .iter()
        .filter(|(identity, _)| !identity.starts_with("update"))
        .flat_map(|(_, ids)| ids)
        .collect();
    for id in &safe {
        assert!(store.read(|connection| alerts::get(connection, id)).unwrap().is_some(), "{id} is lost");
        assert!(arrived.contains(id), "{id} did not arrive");
    }
    let mut identities = BTreeMap::new();
    for (identity, ids) in seen.iter() {
        assert_eq!(ids.len(), 1, "{identity} came as {ids:?}");
        if !identity.starts_with("update") {
            assert_eq!(identities.insert(ids, identity), None, "{ids:?} is two alerts");
        }
    }
    let verdict = verify::verify_all(&store).unwrap();
    assert_eq!(verdict.breaks, Vec::<String>::new());
    assert!(safe.len() > 25, "{}", safe.len());
    println!(
        "{kills} kills, {} alerts acknowledged, {} stored, {} messages delivered, {} attempts failed, {} events verified",
        safe.len(),
        verdict.alerts,
        status.delivered,
        status.attempts_failed,
        verdict.events
    );
}

fn said(child: &mut std::process::Child) -> String {
    let mut text = String::new();
    let _best_effort = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut text));
    text
}
