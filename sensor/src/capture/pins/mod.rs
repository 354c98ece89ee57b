//! What stays in the kernel while no sensor runs: the link that holds the program on the interface, and the maps it counts in.
//!
//! In: a folder of a BPF file system and an interface. Out: the link that is held there, the maps to go on with, and those
//! that another sensor left in another form. `docs/restart.md` says why, and how the ledger adds up. Never here: what the
//! maps mean (`program`, `drain`), and the interface's own settings (`nic::prepare`).
//!
//! ```text
//! PIN_DIR/INTERFACE/            locked (flock) by the sensor that runs
//!                  /link
//!                  /GENERATION/ABOUT, READ, ENTRIES, ...
//! ```
//!
//! A generation is a set of maps. There is one, and for a moment two where the next sensor needs others: the new maps are
//! put in the program's hands first, then the old ones are drained.

mod about;

mod detach;

mod layout;

mod leftover;

pub(super) use about::{About, Carried};
pub use detach::{Detached, detach};
pub(super) use leftover::Leftover;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::maps::MapData;
use aya::programs::links::{FdLink, PinnedLink};
use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use sensor_ebpf::table::Seed;

use super::config::{self, CaptureConfig};
use super::error::CaptureError;
use super::nic::Nic;
use super::program::XdpAttached;
use super::readings::Reading;
use super::table::TableSize;

/// The maps of the object that are pinned. The others belong to the process that reads them: its sockets, its lists.
pub(super) const MAPS: [&str; 9] =
    ["BUCKETS", "ENTRIES", "RARE_FLAGS", "OUTERS", "LOG", "LANES", "PREFIXES", "TOTALS", "CONTROL"];
/// What was read, by slot.
pub(super) const READ: &str = "READ";
/// See [`About`].
pub(super) const ABOUT: &str = "ABOUT";

const LINK: &str = "link";

/// `BPF_FS_MAGIC` of include/uapi/linux/magic.h.
const BPF_FS: u64 = 0xcafe_4a11;

/// The pins of one interface, held by this process alone.
pub struct Pins {
    folder: PathBuf,
    interface: String,
    _lock: File,
}

/// A set of maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) folder: PathBuf,
}

/// The maps that a program is to use.
pub(super) struct Place {
    pub(super) generation: Generation,
    /// Of the table that is in them; `None` where they are to be made.
    pub(super) seed: Option<Seed>,
}

impl Pins {
    /// Takes the pins of an interface. `None` where nothing can be pinned: then the program goes with the process.
    pub fn open(config: &CaptureConfig, nic: &Nic) -> Result<Option<Pins>, CaptureError> {
        let Some(base) = base(&config.pin_dir, true) else { return Ok(None) };
        Pins::open_in(&base, &nic.name).map(Some)
    }

    fn open_in(base: &Path, interface: &str) -> Result<Pins, CaptureError> {
        let folder = base.join(file_name(interface));
        let failed = |source| CaptureError::Pin { path: folder.clone(), source };
        let (mut made, mut tries) = (fs::create_dir(&folder), 0);
        loop {
            match made {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => {}
            }
            let lock = File::open(&folder).map_err(failed)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(CaptureError::Running {
                        interface: interface.to_owned(),
                        pid: owner(&folder),
                        folder,
                    });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Whoever had the lock may have removed the folder with it.
            let same = |other: fs::Metadata| lock.metadata().is_ok_and(|ours| ours.ino() == other.ino());
            if fs::metadata(&folder).is_ok_and(same) || tries > 2 {
                return Ok(Pins { folder, interface: interface.to_owned(), _lock: lock });
            }
            (made, tries) = (fs::create_dir(&folder), tries + 1);
        }
    }

    /// The link that holds a program of ours on this interface, and in which way. By the program: the link of an interface
    /// that is gone is still there, and so is one of the same name in another network namespace.
    pub(super) fn link(&self, nic: &Nic) -> Option<(FdLink, XdpAttached)> {
        let link = FdLink::from(PinnedLink::from_pin(self.link_path()).ok()?);
        let id = link.info().ok()?.program_id();
        let (attached, on_interface) = nic.program?;
        (id != 0 && on_interface == id).then_some((link, attached))
    }

    /// Whether a program of an earlier sensor counts on this interface.
    pub fn held(&self, nic: &Nic) -> bool {
        self.link(nic).is_some()
    }

    /// Where the link is, or will be.
    pub(super) fn link_path(&self) -> PathBuf {
        self.folder.join(LINK)
    }

    /// Lets go of the link: if nobody else has it open, the program leaves its interface.
    pub(super) fn unlink(&self) -> io::Result<()> {
        match fs::remove_file(self.link_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The maps for a table of this size: those that are there if they are such, else new ones.
    pub(super) fn place(&self, size: TableSize) -> Place {
        let there = self.generations();
        if let [generation] = there.as_slice()
            && let Some(about) = generation.about()
            && about.fits(size)
            && generation.is_whole()
        {
            return Place { generation: generation.clone(), seed: Some(about.seed()) };
        }
        let number = there.last().map_or(1, |generation| generation.number.wrapping_add(1));
        Place { generation: self.generation(number), seed: None }
    }

    /// The generations there are, the oldest first. What is no whole one was never used, and is removed.
    pub(super) fn generations(&self) -> Vec<Generation> {
        let names = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let numbers = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut all: Vec<Generation> = numbers.map(|number| self.generation(number)).collect();
        all.sort_by_key(|generation| generation.number);
        all.retain(|generation| {
            let known = generation.about().is_some();
            if !known {
                tracing::warn!(
                    interface = self.interface,
                    "{} is no whole set of maps, or of an unknown version: removed",
                    generation.folder.display()
                );
                generation.remove();
            }
            known
        });
        all
    }

    fn generation(&self, number: u32) -> Generation {
        Generation { number, folder: self.folder.join(number.to_string()) }
    }

    /// Removes everything, once no program is on the interface.
    pub(super) fn clear(self) {
        for generation in self.generations() {
            generation.remove();
        }
        // While this process still has the lock on it.
        drop(fs::remove_dir(&self.folder));
    }
}

/// The program that a sensor runs, or has left, on an interface of this name. Takes no lock, and changes nothing.
pub fn pinned_program(config: &CaptureConfig, interface: &str) -> Option<u32> {
    let folder = base(&config.pin_dir, false)?.join(file_name(interface));
    let link = FdLink::from(PinnedLink::from_pin(folder.join(LINK)).ok()?);
    Some(link.info().ok()?.program_id())
}

impl Generation {
    pub(super) fn path(&self, map: &str) -> PathBuf {
        self.folder.join(map)
    }

    pub(super) fn map(&self, name: &str) -> io::Result<MapData> {
        MapData::from_pin(self.path(name)).map_err(io::Error::other)
    }

    pub(super) fn about(&self) -> Option<About> {
        About::of(&self.map(ABOUT).ok()?).ok()?
    }

    fn is_whole(&self) -> bool {
        MAPS.iter().chain(&[READ]).all(|name| self.path(name).exists())
    }

    /// Removes the pins. The maps go when nobody uses them any more.
    pub(super) fn remove(&self) {
        // First: without it the rest is not a generation, whatever happens now.
        drop(fs::remove_file(self.path(ABOUT)));
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            drop(fs::remove_file(entry.path()));
        }
        if let Err(error) = fs::remove_dir(&self.folder) {
            tracing::warn!(%error, "{} could not be removed", self.folder.display());
        }
    }
}

/// What is kept beside the table, and the map of what was read of it.
pub(super) fn kept(
    generation: Option<&Generation>,
    inherited: bool,
    size: TableSize,
) -> io::Result<(About, MapData)> {
    if let (Some(generation), true) = (generation, inherited) {
        let about = generation.about().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        return Ok((about, generation.map(READ)?));
    }
    let (read, (about, map)) = (Reading::array(size.entries())?, About::create()?);
    if let Some(generation) = generation {
        read.pin(generation.path(READ)).map_err(io::Error::other)?;
        map.pin(generation.path(ABOUT)).map_err(io::Error::other)?;
    }
    Ok((about, read))
}

/// The way the program may be attached: that of the link there is, if the settings allow it.
pub(super) fn allowed(wanted: config::XdpMode, attached: XdpAttached) -> bool {
    match wanted {
        config::XdpMode::Auto => true,
        config::XdpMode::Native => attached == XdpAttached::Native,
        config::XdpMode::Generic => attached == XdpAttached::Generic,
    }
}

/// The folder for pins, if it is one. Where only root may look into it or write, its unit has it at another place.
pub(crate) fn base(folder: &Path, say: bool) -> Option<PathBuf> {
    if folder.as_os_str().is_empty() {
        return None;
    }
    let why = match on_bpf_fs(folder) {
        Ok(true) => return Some(folder.to_owned()),
        Ok(false) => "is on no BPF file system that may be written".to_owned(),
        Err(error) => format!("cannot be used: {error}"),
    };
    if let Some(bound) = bound() {
        return Some(bound);
    }
    if say {
        tracing::info!(
            "capture.pin_dir {} {why}: nothing counts while this sensor does not run (see docs/restart.md)",
            folder.display()
        );
    }
    None
}

/// Whether things can be pinned there: systemd has all of /sys read-only for a unit with ProtectKernelTunables=.
fn on_bpf_fs(folder: &Path) -> io::Result<bool> {
    let read_only = statvfs(folder)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    Ok(statfs(folder)?.f_type as u64 == BPF_FS && !read_only)
}

/// `pins` in the runtime folder that systemd gave this process (systemd/vesper.service, BindPaths).
fn bound() -> Option<PathBuf> {
    let folders = std::env::var("RUNTIME_DIRECTORY").ok()?;
    let bound = Path::new(folders.split(':').next()?).join("pins");
    on_bpf_fs(&bound).is_ok_and(|is_one| is_one).then_some(bound)
}

/// Who has the lock, as far as the maps tell.
fn owner(folder: &Path) -> u64 {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbers = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let newest: Option<u32> = numbers.max();
    let about =
        newest.and_then(|number| Generation { number, folder: folder.join(number.to_string()) }.about());
    about.map_or(0, |about| about.pid())
}

/// A BPF file system refuses names with dots, which those of VLANs have.
fn file_name(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_dots() {
        assert_eq!(file_name("eth1.100"), "eth1%2e100");
        assert_ne!(file_name("a%2e"), file_name("a."));
    }

    #[test]
    fn no_folder_no_pins() {
        assert_eq!(base(Path::new(""), false), None);
        assert_eq!(base(Path::new("/proc"), false), None);
        assert_eq!(base(Path::new("/nonexistent"), false), None);
    }
}
