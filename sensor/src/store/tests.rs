//! Real files: what was written is there, and what was changed shows.

use std::sync::Arc;

use clap::Parser;

use super::alerts::{self, AlertState, Change};
use super::events::{self, EventKind};
use super::outbox::{self, Settle, Wanted};
use super::testing::{self, alert, get, insert, open, raised, tell};
use super::{Recipient, Store, StoreConfig, StoreError, audit, command, verify};
use crate::alert::{Severity, ThreatType};
use crate::cli::{Cli, Command};
use crate::incidents::Resolution;
use crate::sinks::Told;

#[test]
fn what_was_written_is_there_after_a_restart_and_a_failed_write_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = store.write(|tx| events::append(tx, EventKind::System, 1, "", "{}")).unwrap();
    let failed = store.write(|tx| {
        events::append(tx, EventKind::System, 2, "", "{}")?;
        tx.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.read(events::newest).unwrap(), id);
    assert_eq!(*store.newest_event().borrow(), id);
}

#[test]
fn a_file_that_is_no_database_is_set_aside_and_a_newer_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("vesper.db"),
        "not a database, but long enough to be read as one".repeat(20),
    )
    .unwrap();
    let (store, notice) = Store::open(&StoreConfig::default(), folder.path()).unwrap();
    assert!(notice.unwrap().contains("vesper.db.corrupt-1"));
    store.write(|tx| tx.pragma_update(None, "user_version", 99)).unwrap();
    drop(store);
    let refused = Store::open(&StoreConfig::default(), folder.path()).unwrap_err();
    assert!(refused.to_string().contains("schema 99"), "{refused}");
}

#[test]
fn an_alert_goes_through_its_states() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    tell(&store, &["a"]);
    insert(&store, 1, 1_000);
    let id = alert(1).threat_id;
    let change = |what: fn(&rusqlite::Connection, &str) -> rusqlite::Result<Change>| {
        let id = id.clone();
        store.write(move |tx| what(tx, &id)).unwrap()
    };
    let done = |change: Change| match change {
        Change::Done(alert) => *alert,
        other => panic!("{other:?}"),
    };
    let taken = done(change(|tx, id| alerts::acknowledge(tx, id, "anna", "I look", 2_000)));
    assert_eq!((taken.state, taken.acknowledged_by.as_deref()), (AlertState::Acknowledged, Some("anna")));
    // Again changes nothing.
    assert_eq!(done(change(|tx, id| alerts::acknowledge(tx, id, "bert", "", 3_000))), taken);
    // The analysis goes on meanwhile, and knows nothing of people.
    let mut grown = alert(1);
    grown.details.count = 9;
    store.write(move |tx| alerts::update(tx, &grown, 4_000)).unwrap().unwrap();
    let over = done(change(|tx, id| {
        let resolution = Resolution { action: "blocked".to_owned(), ..Resolution::default() };
        alerts::resolve(tx, id, "anna", &resolution, Some("INC-1"), 5_000)
    }));
    assert_eq!((over.state, over.alert.details.count), (AlertState::Resolved, 9));
    assert_eq!(over.incident_id.as_deref(), Some("INC-1"));
    assert_eq!(get(&store, 1), over);
    assert!(matches!(change(|tx, id| alerts::acknowledge(tx, id, "bert", "", 6_000)), Change::Refused(_)));
    assert!(matches!(change(|tx, _| alerts::reopen(tx, "THREAT_0_0", "bert", "", 6_000)), Change::Missing));
    let again = done(change(|tx, id| alerts::reopen(tx, id, "bert", "not over", 7_000)));
    assert_eq!((again.state, &again.resolution, &again.acknowledged_at), (AlertState::Open, &None, &None));

    let told = store.read(|connection| outbox::pending(connection, "a", 0, 100)).unwrap();
    let told: Vec<Told> = told.iter().map(|pending| pending.message.told).collect();
    assert_eq!(told, [Told::Raised, Told::Updated, Told::Updated, Told::Resolved, Told::Updated]);
    let audit = store.read(|connection| audit::list(connection, None, 10)).unwrap();
    let actions: Vec<&str> = audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["alert.reopen", "alert.resolve", "alert.acknowledge"]);
    assert_eq!(store.read(|connection| alerts::fingerprint(connection, &id)).unwrap(), [0.5, -1.0]);
    assert_eq!(store.read(alerts::latest_number).unwrap(), Some(("20260101".to_owned(), 1)));
}

#[test]
fn who_hears_of_new_alerts_only_hears_that_one_turned_out_worse() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let people: Wanted = Arc::new(|told, kind| {
        told == Told::Raised && kind.is_some_and(|(_, severity)| severity >= Severity::Medium)
    });
    let recipient = |name: &str, wanted| Recipient { name: name.to_owned(), wanted };
    store.set_recipients(vec![recipient("people", people), recipient("all", Arc::new(testing::all))]);
    let mut low = raised(1);
    (low.alert.threat_type, low.alert.severity) = (ThreatType::Anomaly, Severity::Low);
    let mut alert = low.alert.clone();
    store.write(move |tx| alerts::insert(tx, &low, 1)).unwrap();
    let mut steps = vec![(ThreatType::Anomaly, Severity::Low), (ThreatType::PortScan, Severity::Medium)];
    steps.extend([(ThreatType::PortScan, Severity::Medium), (ThreatType::BruteForce, Severity::High)]);
    for (step, (kind, severity)) in steps.into_iter().enumerate() {
        (alert.threat_type, alert.severity) = (kind, severity);
        alert.details.count += 1;
        let alert = alert.clone();
        store.write(move |tx| alerts::update(tx, &alert, 2 + step as i64)).unwrap().unwrap();
    }
    let told = |name: &str| -> Vec<(i64, Told)> {
        let pending = store.read(|connection| outbox::pending(connection, name, 0, 100)).unwrap();
        pending.iter().map(|pending| (pending.message.event, pending.message.told)).collect()
    };
    assert_eq!(told("people"), [(3, Told::Updated), (5, Told::Updated)]);
    let all: Vec<Told> = told("all").into_iter().map(|(_, told)| told).collect();
    assert_eq!(all, [Told::Raised, Told::Updated, Told::Updated, Told::Updated, Told::Updated]);
}

#[test]
fn the_outbox_adds_up_whatever_happens() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    tell(&store, &["a", "b"]);
    for number in 1..=10 {
        insert(&store, number, number as i64);
    }
    let status = |name: &str| {
        let status = store.read(|connection| outbox::status(connection, name)).unwrap();
        assert_eq!(status.residue(), 0, "{status:?}");
        status
    };
    let settle = |id: i64, settle: Settle| {
        store.write(move |tx| outbox::settle(tx, "a", id, &settle, 99)).unwrap();
    };
    let rows = store.read(|connection| outbox::pending(connection, "a", 0, 100)).unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.message.id).collect();
    settle(ids[0], Settle::Delivered);
    settle(ids[0], Settle::Delivered);
    settle(ids[1], Settle::Dead { refused: true, error: "no\u{1b}".to_owned() });
    settle(ids[2], Settle::Dead { refused: false, error: "late".to_owned() });
    settle(ids[3], Settle::Again { next_at: 5, error: "busy".to_owned() });
    store.write(|tx| outbox::expire_beyond(tx, "a", 5, 99)).unwrap();
    let a = status("a");
    assert_eq!((a.stored, a.delivered, a.pending, a.expired_queue_full), (10, 1, 5, 2));
    assert_eq!((a.dead_letter_refused, a.dead_letter_retries_spent, a.attempts_failed), (1, 1, 3));
    assert_eq!(store.write(|tx| outbox::retry(tx, Some("a"), 99)).unwrap(), 2);
    assert_eq!((status("a").pending, status("a").dead_letters()), (7, 0));
    let gone = store.write(|tx| outbox::expire_others(tx, &["a".to_owned()], 99)).unwrap();
    assert_eq!(gone["b"], 10);
    assert_eq!((status("b").pending, status("b").expired_removed), (0, 10));
    let early = store.read(|connection| outbox::pending(connection, "a", 0, 2)).unwrap();
    // What was given up is the oldest, and comes first again.
    assert_eq!(early.iter().map(|row| row.message.id).collect::<Vec<_>>(), [ids[1], ids[2]]);
    assert_eq!(early[0].message.about, alert(2).threat_id);
}

#[test]
fn verify_says_what_was_done_to_the_file() {
    type Spoil = &'static str;
    let cases: [(Spoil, &[&str]); 9] = [
        ("SELECT 1", &[]),
        (
            "UPDATE events SET json = replace(json, '10.0.0.1', '10.0.0.9') WHERE id = 4",
            &[
                "event 4 (THREAT_20260101_004) was changed",
                "alert THREAT_20260101_004 is not what event 4 says",
            ],
        ),
        ("UPDATE events SET time = time + 1 WHERE id = 2", &["event 2 (THREAT_20260101_002) was changed"]),
        ("DELETE FROM events WHERE id = 3", &["events 3 to 3 are missing", "003 is not what event 3 says"]),
        (
            "DELETE FROM events WHERE id > 4",
            &["events 5 to 6 are missing at the end", "005 is not", "006 is not"],
        ),
        ("DELETE FROM events WHERE id < 3", &["events 1 to 2 are missing"]),
        (
            "UPDATE events SET id = -1 WHERE id = 2; UPDATE events SET id = 2 WHERE id = 3; UPDATE events SET id = 3 WHERE id = -1",
            &["event 2 (THREAT_20260101_003) was changed, or is not where it was", "event 3 (", "event 4 ("],
        ),
        (
            "DELETE FROM alerts WHERE sequence = 5",
            &["alert THREAT_20260101_005 is missing; event 5 tells of it"],
        ),
        (
            "UPDATE alerts SET severity = 0 WHERE sequence = 1",
            &["001: its columns are not what its own JSON says"],
        ),
    ];
    for (spoil, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        for number in 1..=6 {
            insert(&store, number, number as i64);
        }
        store.write(move |tx| tx.execute_batch(spoil)).unwrap();
        let verdict = verify::verify_all(&store).unwrap();
        assert_eq!(verdict.wrong == 0, expected.is_empty(), "{spoil}: {verdict:?}");
        for expected in expected {
            assert!(verdict.breaks.iter().any(|text| text.contains(expected)), "{spoil}: {verdict:?}");
        }
    }
}

#[test]
fn damage_in_the_middle_is_met_said_and_set_aside_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vesper.db");
    let store = open(folder.path());
    store
        .write(|tx| (0..500).try_for_each(|number| alerts::insert(tx, &raised(number), 1).map(|_| ())))
        .unwrap();
    drop(store);
    // The last connection to close writes the log back and removes it.
    for _ in 0..1000 {
        if !folder.path().join("vesper.db-wal").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut bytes = std::fs::read(&file).unwrap();
    // All but the head: every table and index.
    let middle = bytes.len() / 8..bytes.len();
    bytes[middle].fill(0xa5);
    std::fs::write(&file, &bytes).unwrap();
    let (store, notice) = Store::open(&StoreConfig::default(), folder.path()).unwrap();
    assert!(notice.unwrap().contains("vesper.db.corrupt-1"));
    insert(&store, 1, 1);
    assert_eq!(verify::verify_all(&store).unwrap().wrong, 0);
    // A large file is looked at only where there is reason to.
    super::open::suspect(&file);
    drop(store);
    drop(open(folder.path()));
    assert!(!folder.path().join("vesper.db.suspect").exists());
}

/// While the sensor runs: another connection, as another process has.
#[test]
fn the_command_shows_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::config::Config { state_dir: folder.path().to_owned(), ..Default::default() };
    let run = |line: &str| {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Alerts(arguments) = cli.command else { panic!("{line}") };
        let mut out = Vec::new();
        let done = command::run(&config, &arguments.command, &mut out);
        (String::from_utf8(out).unwrap(), done.map_err(|error| error.to_string()))
    };
    assert!(run("vesper alerts list").1.unwrap_err().contains("has a sensor run"));
    let store = open(folder.path());
    let (text, done) = run("vesper alerts list");
    assert!(done.is_ok() && text.starts_with("No alert is stored") && text.contains("alerts test"), "{text}");
    assert_eq!(run("vesper alerts list --json"), (String::new(), Ok(())));
    let (text, done) = run("vesper alerts verify");
    assert!(done.is_ok() && text.contains("nothing was stored yet"), "{text}");
    tell(&store, &["a"]);
    for number in 1..=3 {
        insert(&store, number, number as i64);
    }
    assert!(run("vesper alerts list --severity low").0.starts_with("No stored alert is like that"));
    let (text, done) = run("vesper alerts list --type PORTSCAN --limit 2");
    assert_eq!((done, text.lines().count()), (Ok(()), 3), "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("THREAT_20260101_003"), "{text}");
    assert_eq!(run("vesper alerts list --json").0.lines().count(), 3);
    assert!(run("vesper alerts list --severity awful").1.unwrap_err().contains("use low, medium"));
    let file = folder.path().join("e.pcapng");
    let (text, done) = run(&format!("vesper alerts show THREAT_20260101_002 --pcapng {}", file.display()));
    assert!(done.is_ok() && text.contains("10.0.0.1:1234 > 10.0.0.2:80 TCP SYN"), "{text}");
    assert!(text.contains("raised    pending"), "{text}");
    assert!(std::fs::metadata(file).unwrap().len() > 100);
    assert!(run("vesper alerts show THREAT_0_0").1.unwrap_err().contains("no alert"));
    let (text, done) = run("vesper alerts verify");
    assert!(done.is_ok() && text.contains("3 events (1 to 3) and 3 alerts"), "{text}");
    let dead = Settle::Dead { refused: true, error: "no".to_owned() };
    store.write(move |tx| outbox::settle(tx, "a", 1, &dead, 9)).unwrap();
    assert!(run("vesper alerts retry a").0.starts_with("1 messages wait again"));
    assert_eq!(store.read(|connection| outbox::status(connection, "a")).unwrap().pending, 3);
    assert_eq!(run("vesper alerts test jsonl"), ("jsonl: took the test message\n".to_owned(), Ok(())));
    assert!(run("vesper alerts test nobody").1.unwrap_err().contains("there are: jsonl"));
    store.write(|tx| tx.execute("DELETE FROM alerts WHERE sequence = 2", [])).unwrap();
    let (text, done) = run("vesper alerts verify");
    assert!(done.unwrap_err().contains("1 things"), "{text}");
    assert!(text.starts_with("alert THREAT_20260101_002 is missing; event 2 tells of it"), "{text}");
}
