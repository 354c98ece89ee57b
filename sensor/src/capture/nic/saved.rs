//! What was changed on an interface, on disk, so that a sensor that was killed leaves nothing unsaid: the next start
//! reads it and puts everything back.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::xsk::ioctl::RssHash;
use super::Nic;
use crate::model_file;

/// In the state folder.
const FILE: &str = "interface.json";

/// One setting, as it was found and as it was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// An offload that was on, and is off.
    Offload(String),
    /// Descriptors of the receive ring.
    Ring {
        /// Before.
        was: u32,
        /// Since.
        now: u32,
    },
    /// The hash over receive queues.
    Rss {
        /// Before.
        was: RssHash,
        /// Since.
        now: RssHash,
    },
    /// Promiscuous mode was off, and is on.
    Promiscuous,
    /// A number in a file of the interface's folder under /sys/class/net.
    Sys {
        /// Name of the file.
        file: String,
        /// Before.
        was: u64,
        /// Since.
        now: u64,
    },
}

/// All changes on one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    boot: String,
    pub(super) interface: String,
    pub(super) index: u32,
    mac: [u8; 6],
    pub(super) changes: Vec<Change>,
}

impl Saved {
    pub(super) fn new(nic: &Nic) -> Saved {
        Saved {
            boot: boot(),
            interface: nic.name.clone(),
            index: nic.index,
            mac: nic.mac,
            changes: Vec::new(),
        }
    }

    /// Whether the changes are still on this interface: it is the same one, and the machine has not started anew.
    pub(super) fn is_on(&self, nic: &Nic) -> bool {
        (self.boot.as_str(), self.index, self.mac) == (boot().as_str(), nic.index, nic.mac)
    }

    /// Writes the file, or removes it if there is nothing to say.
    pub(super) fn write(&self, state_dir: &Path) -> io::Result<()> {
        let path = path(state_dir);
        if self.changes.is_empty() {
            return match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        model_file::write(&path, &serde_json::to_vec(self)?)
    }

    /// What an earlier sensor left; `None` if it left nothing.
    pub(super) fn read(state_dir: &Path) -> io::Result<Option<Saved>> {
        match model_file::read(&path(state_dir)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets what was left.
    pub(super) fn remove(state_dir: &Path) {
        drop(std::fs::remove_file(path(state_dir)));
    }
}

/// Where it is written.
pub(super) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Saved::read(folder.path()).unwrap(), None);
        let nic = Nic { name: "eth1".to_owned(), index: 3, mac: [2; 6], ..Nic::default() };
        let mut saved = Saved::new(&nic);
        saved.changes = vec![
            Change::Offload("rx-gro".to_owned()),
            Change::Ring { was: 512, now: 4096 },
            Change::Rss { was: RssHash { key: vec![1, 2], input_xfrm: 0 }, now: RssHash::default() },
            Change::Sys { file: "gro_flush_timeout".to_owned(), was: 0, now: 200_000 },
        ];
        saved.write(folder.path()).unwrap();
        assert_eq!(Saved::read(folder.path()).unwrap(), Some(saved.clone()));
        assert!(saved.is_on(&nic));
        assert!(!saved.is_on(&Nic { index: 4, ..nic.clone() }), "another interface of the same name");
        saved.changes.clear();
        saved.write(folder.path()).unwrap();
        assert_eq!(Saved::read(folder.path()).unwrap(), None);
        std::fs::write(path(folder.path()), "{").unwrap();
        assert!(Saved::read(folder.path()).is_err());
    }
}
