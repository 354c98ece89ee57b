//! Opening the database: what is there, is it sound, is it ours, is it as new as we are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Every version of the schema, from 1.
const SCHEMA: [&str; 1] = [include_str!("schema/1.sql")];

/// `PRAGMA application_id` of our files: "Vspr".
const APPLICATION: i32 = i32::from_be_bytes(*b"Vspr");

/// Looking at all of a larger file would hold up the start for many seconds: it is done where there is reason to.
const QUICK: u64 = 256 << 20;
/// Beside a file in which damage was met.
const SUSPECT: &str = ".suspect";
/// The log is cut to this size when it begins anew.
const LOG_BYTES: i64 = 64 << 20;

/// Why the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file was written by a newer version.
    #[error(
        "{path} has schema {found}, this version knows up to {known}: install a newer vesper, or move the file away"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// It belongs to something else.
    #[error("{0} is a database of another program: set store.path to another file")]
    Foreign(PathBuf),
    /// SQLite says no.
    #[error("the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file system says no.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another write of the same commit failed it, or the disk did.
    #[error("the store could not commit: {0}")]
    Commit(String),
    /// The writer is gone: the sensor stops.
    #[error("the store is closed")]
    Closed,
}

/// The writing connection; in words, what was set aside.
pub(super) fn open(path: &Path) -> Result<(Connection, Option<String>), StoreError> {
    match try_open(path) {
        Err(StoreError::Sqlite(error)) if is_corrupt(&error) => {
            let aside = set_aside(path)?;
            let notice = format!(
                "{} was no sound database ({error}) and lies now at {}; a new one was begun: alerts, incidents and what \
                 sinks had yet to be told are in the old one",
                path.display(),
                aside.display()
            );
            Ok((try_open(path)?, Some(notice)))
        }
        opened => Ok((opened?, None)),
    }
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn try_open(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let (found, tables) = check(&connection, path)?;
    if tables == 0 {
        // Only an empty database can be told so. What retention frees goes back to the file system.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    // What a reader holds open can grow the log, not for ever.
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    let bytes = std::fs::metadata(path).map(|file| file.len()).unwrap_or(0);
    if bytes <= QUICK || beside(path, SUSPECT).exists() {
        let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(code, Some(sound)).into());
        }
        // If it stays, the next start looks again.
        let _removed = std::fs::remove_file(beside(path, SUSPECT));
    }
    for (index, step) in SCHEMA.iter().enumerate().skip(found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", (index + 1) as i64)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// Version and number of tables of a database, if it is one of ours and no newer than we are.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(usize, i64), StoreError> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && tables > 0 {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    let found = usize::try_from(version).unwrap_or(usize::MAX);
    if found > SCHEMA.len() {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA.len() });
    }
    Ok((found, tables))
}

/// A connection that writes beside the sensor's: nothing is made, brought up to date or set aside.
pub(super) fn second_writer(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    check(&connection, path)?;
    Ok(connection)
}

/// The next start looks at all of the file.
pub(super) fn suspect(path: &Path) {
    if let Err(error) = std::fs::write(beside(path, SUSPECT), "") {
        tracing::error!(%error, "cannot mark the store as damaged: remove it by hand if it cannot be used");
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Renames the file and its log to the first free `.corrupt-N`.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let named = |suffix: &str| beside(path, suffix);
    let number = (1..).find(|number| !named(&format!(".corrupt-{number}")).exists()).unwrap_or(1);
    for part in ["-wal", "-shm", ""] {
        let from = named(part);
        if from.exists() {
            let to = named(&format!(".corrupt-{number}{part}"));
            std::fs::rename(&from, to).map_err(|source| StoreError::Io { path: from, source })?;
        }
    }
    let _there_or_not = std::fs::remove_file(named(SUSPECT));
    Ok(named(&format!(".corrupt-{number}")))
}
