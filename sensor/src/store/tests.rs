//! Real files: what was written is there, what was changed shows, what is too much goes.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::alerts::{self, AlertState, Change, Resolution, StoredAlert};
use super::events::{self, EventKind};
use super::ingest::Ingest;
use super::list::{AlertFilter, counts, list};
use super::outbox::{self, Recipient, Settle};
use super::retention::{self, Limits};
use super::testing::{alert, open, raised};
use super::{Store, StoreConfig, StoreError, audit, evidence};
use crate::sinks::Told;

const LIMITS: Limits = Limits { keep: i64::MAX, max_bytes: 1 << 40, evidence_bytes: 1 << 30 };

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

fn insert(store: &Store, number: u64, now: i64) -> i64 {
    store.write(move |tx| alerts::insert(tx, &raised(number), now)).unwrap()
}

fn get(store: &Store, number: u64) -> StoredAlert {
    let id = alert(number).threat_id;
    store.read(|connection| alerts::get(connection, &id)).unwrap().unwrap()
}

fn all(_: Told, _: Option<(crate::alert::ThreatType, crate::alert::Severity)>) -> bool {
    true
}

fn tell(store: &Store, names: &[&str]) {
    let recipient = |name: &&str| Recipient { name: (*name).to_owned(), wanted: Arc::new(all) };
    store.set_recipients(names.iter().map(recipient).collect());
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
fn lists_are_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for number in 1..=30 {
        let mut raised = raised(number);
        raised.alert.source_ip = format!("10.0.0.{}", number % 3);
        raised.alert.destination_ip = format!("10.0.0.{}", 1 + number % 2);
        raised.alert.details.score = number as f64;
        raised.alert.details.narrative = format!("number {number} of 100% hosts");
        if number % 10 == 0 {
            raised.alert.severity = crate::alert::Severity::Critical;
        }
        store.write(move |tx| alerts::insert(tx, &raised, number as i64 * 1000)).unwrap();
    }
    let resolution = Resolution::default();
    let id = alert(20).threat_id;
    store.write(move |tx| alerts::resolve(tx, &id, "a", &resolution, None, 40_000)).unwrap();
    let find = |filter: AlertFilter| -> Vec<i64> {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = store.read(|connection| list(connection, &filter, cursor, 4)).unwrap();
            found.extend(page.items.iter().map(|item| item.sequence));
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let every = AlertFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let down = |numbers: &[i64]| numbers.iter().rev().copied().collect::<Vec<_>>();
    assert_eq!(find(every()), (1..=30).rev().collect::<Vec<i64>>());
    let critical = Some(crate::alert::Severity::Critical);
    assert_eq!(find(AlertFilter { severity: critical, ..every() }), down(&[10, 20, 30]));
    let open_only = Some(AlertState::Open);
    assert_eq!(find(AlertFilter { severity: critical, state: open_only, ..every() }), down(&[10, 30]));
    assert_eq!(find(AlertFilter { state: Some(AlertState::Resolved), ..every() }), [20]);
    assert_eq!(find(AlertFilter { min_score: Some(28.5), ..every() }), down(&[29, 30]));
    assert_eq!(find(AlertFilter { since: Some(3_000), until: Some(5_500), ..every() }), down(&[3, 4, 5]));
    assert_eq!(find(AlertFilter { words: text("NUMBER 100% 17"), ..every() }), [17]);
    assert_eq!(find(AlertFilter { words: text("1__%"), ..every() }), [0; 0]);
    let numbers = |want: fn(i64) -> bool| (1..=30).rev().filter(|number| want(*number)).collect::<Vec<_>>();
    assert_eq!(find(AlertFilter { source: text("10.0.0.1"), ..every() }), numbers(|n| n % 3 == 1));
    let both = AlertFilter { source: text("10.0.0.1"), destination: text("10.0.0.2"), ..every() };
    assert_eq!(find(both), numbers(|n| n % 3 == 1 && n % 2 == 1));
    let host = |address: &str| AlertFilter { host: text(address), ..every() };
    assert_eq!(find(host("10.0.0.2")), numbers(|n| n % 3 == 2 || n % 2 == 1));
    let scored = AlertFilter { min_score: Some(20.0), ..host("10.0.0.2") };
    assert_eq!(find(scored), numbers(|n| n >= 20 && (n % 3 == 2 || n % 2 == 1)));
    assert_eq!(find(host("' OR 1=1 --")), [0; 0]);
    let counts = store.read(counts).unwrap();
    assert_eq!((counts.open, counts.acknowledged), (29, 0));
    assert_eq!((counts.by_severity["critical"], counts.by_severity["low"]), (2, 0));
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
fn retention_keeps_what_is_young_open_or_undelivered() {
    const DAY: i64 = 86_400_000_000_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    tell(&store, &["a"]);
    for number in 1..=6 {
        insert(&store, number, number as i64 * DAY);
    }
    let settle_all = |but: usize| {
        let rows = store.read(|connection| outbox::pending(connection, "a", 0, 100)).unwrap();
        for row in rows.iter().filter(|row| row.message.event != but as i64) {
            let id = row.message.id;
            store.write(move |tx| outbox::settle(tx, "a", id, &Settle::Delivered, DAY)).unwrap();
        }
    };
    for number in [1, 2, 4] {
        let id = alert(number).threat_id;
        let resolution = Resolution::default();
        store.write(move |tx| alerts::resolve(tx, &id, "a", &resolution, None, 7 * DAY)).unwrap();
    }
    settle_all(8);
    let limits = Limits { keep: 10 * DAY, ..LIMITS };
    let sweep = |now: i64| {
        let swept = retention::sweep(&store, &limits, now).unwrap();
        assert_eq!(super::verify::verify_all(&store).unwrap().breaks, Vec::<String>::new());
        (swept.events, swept.alerts)
    };
    assert_eq!(sweep(10 * DAY), (0, 0));
    // The events 1 to 3 are too old; their alerts were told of again later, or are open.
    assert_eq!(sweep(14 * DAY - 1), (3, 0));
    // Event 8, the resolution of alert 2, waits for its sink.
    assert_eq!(sweep(30 * DAY), (4, 1));
    settle_all(0);
    assert_eq!(sweep(30 * DAY), (2, 2));
    // Three that nobody resolved are left; they go when there is no room.
    assert_eq!(store.read(counts).unwrap().open, 3);
    let tight = Limits { max_bytes: 1, ..limits };
    assert_eq!(retention::sweep(&store, &tight, 30 * DAY).unwrap().alerts, 3);
    assert_eq!(store.read(evidence::bytes).unwrap(), 0);
    let id = insert(&store, 9, 31 * DAY);
    assert_eq!(id, 10, "numbers go on");
    assert_eq!(super::verify::verify_all(&store).unwrap().breaks, Vec::<String>::new());
}

#[test]
fn a_database_that_is_too_large_gets_smaller() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store
        .write(|tx| {
            (0..3000).try_for_each(|number| alerts::insert(tx, &raised(number), number as i64).map(|_| ()))
        })
        .unwrap();
    let before = std::fs::metadata(folder.path().join("vesper.db")).unwrap().len();
    let limits = Limits { max_bytes: 2 << 20, ..LIMITS };
    let swept = retention::sweep(&store, &limits, 3000).unwrap();
    assert!(swept.alerts > 500 && swept.alerts < 3000 && swept.bytes <= 2 << 20, "{swept:?}");
    let connection = rusqlite::Connection::open(folder.path().join("vesper.db")).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let after = std::fs::metadata(folder.path().join("vesper.db")).unwrap().len();
    assert!(after < before.max(3 << 20), "{before} {after}");
    let newest = store.read(|connection| list(connection, &AlertFilter::default(), None, 1)).unwrap();
    assert_eq!(newest.items[0].alert.threat_id, alert(2999).threat_id);
}

#[test]
fn evidence_is_bounded_and_other_programs_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for number in 1..=100 {
        insert(&store, number, number as i64);
    }
    let id = alert(100).threat_id;
    let more =
        evidence::of_samples(&[super::testing::sample(2_000_000_007), super::testing::sample(1_000_000_001)]);
    let about = id.clone();
    store.write(move |tx| evidence::add(tx, &about, &more)).unwrap();
    let lines = store.read(|connection| evidence::packets(connection, &id)).unwrap();
    assert_eq!(lines.len(), 3);
    let line = &lines[1];
    assert_eq!(
        (line.time.as_str(), line.source.as_str(), line.destination.as_str(), line.protocol.as_str()),
        ("1970-01-01T00:00:01.000Z", "10.0.0.1:1234", "10.0.0.2:80", "TCP")
    );
    assert_eq!((line.length, line.captured, line.summary.as_str()), (60, 54, "SYN, payload up to 6 bytes"));
    let file = store.read(|connection| evidence::pcapng(connection, &id)).unwrap().unwrap();
    let path = folder.path().join("evidence.pcapng");
    std::fs::write(&path, &file).unwrap();
    let mut frames = Vec::new();
    crate::store::testing::replay(&path, |time, frame| frames.push((time, frame.to_vec())));
    assert_eq!(frames.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [100, 1_000_000_001, 2_000_000_007]);
    assert!(frames.iter().all(|(_, frame)| frame == &super::testing::sample(0).frame[..]));
    tshark(&path, &id);

    store.write(|tx| evidence::limit(tx, 1000)).unwrap();
    assert!(store.read(evidence::bytes).unwrap() <= 1000);
    assert!(store.read(|connection| evidence::pcapng(connection, &alert(1).threat_id)).unwrap().is_none());
    assert_eq!(store.read(|connection| evidence::packets(connection, &id)).unwrap().len(), 3);
    let counted: i64 = store
        .read(|connection| {
            connection.query_row("SELECT sum(length(data)) FROM evidence", [], |row| row.get(0))
        })
        .unwrap();
    assert_eq!(store.read(evidence::bytes).unwrap(), counted);
}

fn tshark(path: &std::path::Path, id: &str) {
    let fields = ["frame.time_epoch", "ip.src", "tcp.dstport", "frame.len", "frame.cap_len", "frame.comment"];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-T", "fields", "-E", "separator=|"]);
    let Ok(output) = command.args(fields.iter().flat_map(|field| ["-e", field])).output() else {
        eprintln!("SKIPPED: tshark is not installed, so it was not asked to read the file");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].starts_with("0.000000100|10.0.0.1|80|60|54|") || lines[0].contains("|10.0.0.1|80|60|54|"),
        "{text}"
    );
    assert!(lines[0].contains(id) && lines[0].contains("PortScan, score 1.000"), "{text}");
}

#[test]
fn ingest_never_waits_and_counts_what_it_cannot_keep() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let hook =
        Box::new(|raised: &mut crate::alert::Raised| raised.alert.details.narrative.push_str(", seen"));
    let ingest = Ingest::start(store.clone(), LIMITS, Some(hook)).unwrap();
    // Another process holds the database: nothing can be committed.
    let other = rusqlite::Connection::open(folder.path().join("vesper.db")).unwrap();
    let begun = std::time::Instant::now();
    while ingest.status().bytes == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = std::time::Instant::now();
    for number in 1..=11_000 {
        ingest.offer(raised(number));
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let status = ingest.status();
    assert_eq!(status.residue(11_000), 0, "{status:?}");
    assert!((400..=1000).contains(&status.suppressed) && status.stored == 0, "{status:?}");
    other.execute_batch("ROLLBACK").unwrap();
    while ingest.status().waiting > 5_000 {
        std::thread::yield_now();
    }
    ingest.offer_update(alert(1));
    ingest.offer(raised(1));
    let status = ingest.stop(Duration::from_secs(60));
    assert_eq!((status.residue(11_001), status.waiting, status.refused), (0, 0, 1), "{status:?}");
    assert_eq!(status.stored + status.suppressed, 11_000);
    assert_eq!(get(&store, 1).alert.details.narrative, "plain");
    assert_eq!(get(&store, 2).alert.details.narrative, "plain, seen");
    let count: i64 = store
        .read(|connection| connection.query_row("SELECT count(*) FROM alerts", [], |row| row.get(0)))
        .unwrap();
    assert_eq!(count as u64, status.stored);
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
        let verdict = super::verify::verify_all(&store).unwrap();
        assert_eq!(verdict.wrong == 0, expected.is_empty(), "{spoil}: {verdict:?}");
        for expected in expected {
            assert!(verdict.breaks.iter().any(|text| text.contains(expected)), "{spoil}: {verdict:?}");
        }
    }
}
