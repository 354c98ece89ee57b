//! The way from the analysis to the disk.
#![allow(clippy::disallowed_methods, reason = "how long something takes is real time")]

use std::time::Duration;

use super::ingest::Ingest;
use super::testing::{LIMITS, alert, get, open, raised};

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
