use super::events::{self, EventKind};
use super::{Store, StoreConfig, StoreError};

fn open(folder: &tempfile::TempDir) -> Store {
    let (store, notice) = Store::open(&StoreConfig::default(), folder.path()).unwrap();
    assert_eq!(notice, None);
    store
}

#[test]
fn what_was_written_is_there_after_a_restart_and_a_failed_write_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let id = store.write(|tx| events::append(tx, EventKind::System, 1, "", "{}")).unwrap();
    let failed = store.write(|tx| {
        events::append(tx, EventKind::System, 2, "", "{}")?;
        tx.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
    drop(store);
    let store = open(&folder);
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
