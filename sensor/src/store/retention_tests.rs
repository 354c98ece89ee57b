//! What is too old or too much goes, and the chain holds all the while.

use super::alerts;
use super::list::{AlertFilter, counts, list};
use super::outbox::{self, Settle};
use super::retention::{self, Limits};
use super::testing::{LIMITS, alert, insert, open, raised, tell};
use super::{evidence, verify};
use crate::incidents::Resolution;

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
        assert_eq!(verify::verify_all(&store).unwrap().breaks, Vec::<String>::new());
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
    assert_eq!(verify::verify_all(&store).unwrap().breaks, Vec::<String>::new());
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
