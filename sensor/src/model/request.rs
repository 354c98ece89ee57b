//! Another model for a running sensor: `vesper model promote` leaves it in the state folder, SIGHUP has it read, the
//! analysis takes it up between two windows.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::store::{ModelError, REQUEST, Store, read};
use crate::analysis::Learned;

/// Held by the running sensor; holds its process id.
const LOCK: &str = "vesper.lock";

/// Held for as long as the sensor runs.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Says that a sensor runs on this state folder; `None` if another one does.
pub fn lock(state_dir: &Path) -> io::Result<Option<Lock>> {
    let mut file = File::options().create(true).write(true).truncate(false).open(state_dir.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            Ok(Some(Lock { _file: file }))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The process id of the sensor that runs on this state folder, as far as it can be told.
pub fn running(state_dir: &Path) -> Option<String> {
    let path = state_dir.join(LOCK);
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let id: String = fs::read_to_string(&path).unwrap_or_default();
            Some(id.chars().filter(char::is_ascii_digit).take(10).collect())
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// A model that waits for the analysis.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Option<Learned>>);

impl Mailbox {
    /// Reads what was asked for, if anything was. The file is gone afterwards: a request is granted or refused once.
    pub fn look(&self, state_dir: &Path) -> Result<bool, ModelError> {
        let path = Store::new(state_dir).path(REQUEST);
        let learned = match read(&path) {
            Ok(learned) => learned,
            Err(ModelError::Missing { .. }) => return Ok(false),
            Err(error) => {
                let _already_gone = fs::remove_file(&path);
                return Err(error);
            }
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(learned);
        fs::remove_file(&path).map_err(|source| ModelError::Io { path, source })?;
        Ok(true)
    }

    /// What waits.
    pub fn take(&self) -> Option<Learned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
