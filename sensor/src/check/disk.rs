//! The disk that the state lies on: room for what the configuration may keep, and a filesystem whose syncs hold.

use std::path::{Path, PathBuf};

use rustix::fs::StatVfs;

use super::Line;
use crate::config::Config;

/// With less the store cannot even note what it was told.
const LEAST: u64 = 64 << 20;

/// Magic numbers of linux/magic.h with what is odd about them.
const ODD: [(u64, &str, &str); 9] = [
    (0x0102_1994, "tmpfs", "what is stored is gone with the next boot"),
    (0x8584_58f6, "ramfs", "what is stored is gone with the next boot"),
    (0x794c_7630, "overlay", "in a container, what is stored goes with it"),
    (0x6969, "nfs", "SQLite's locks and syncs do not hold on it"),
    (0xff53_4d42, "cifs", "SQLite's locks and syncs do not hold on it"),
    (0xfe53_4d42, "smb", "SQLite's locks and syncs do not hold on it"),
    (0x6573_5546, "fuse", "its locks and syncs are what its program makes of them"),
    (0x0102_1997, "9p", "SQLite's locks and syncs do not hold on it"),
    (0x4d44, "vfat", "it has no owners and no rights"),
];

/// Room and kind.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    let folder = nearest(&config.state_dir);
    let Ok(disk) = rustix::fs::statvfs(&folder) else {
        return vec![Line::ok("disk", format!("{} does not answer: see state", folder.display()))];
    };
    let journal = if config.journal.enabled { config.journal.max_bytes } else { 0 };
    let kind = rustix::fs::statfs(&folder).map(|found| found.f_type as u64 & 0xffff_ffff).unwrap_or_default();
    // What is there already counts as room.
    let used = used(&config.state_dir);
    vec![
        room(&folder, Room::of(&disk), (config.store.max_bytes + journal).saturating_sub(used)),
        filesystem(&folder, kind),
    ]
}

/// The folder, or the nearest one above that exists.
fn nearest(folder: &Path) -> PathBuf {
    folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// Bytes of the files in the state folder and the folders in it.
fn used(folder: &Path) -> u64 {
    let sizes = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).collect::<Vec<_>>()
    };
    let mut sum = 0;
    for (path, meta) in sizes(folder) {
        sum += if meta.is_dir() { sizes(&path).iter().map(|(_, meta)| meta.len()).sum() } else { meta.len() };
    }
    sum
}

/// What is free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) size: u64,
    /// Files that can still be made; none where the filesystem does not count them.
    pub(super) files: Option<u64>,
}

impl Room {
    fn of(disk: &StatVfs) -> Room {
        Room {
            bytes: disk.f_bavail * disk.f_frsize,
            size: disk.f_blocks * disk.f_frsize,
            files: (disk.f_files > 0).then_some(disk.f_favail),
        }
    }
}

/// `may_grow` is what store and journal may still take.
pub(super) fn room(folder: &Path, room: Room, may_grow: u64) -> Line {
    const FEW_FILES: u64 = 1000;
    let shown = folder.display();
    let found = format!("{} of {} free at {shown}", shown_size(room.bytes), shown_size(room.size));
    let fewer = "or lower store.max_bytes, store.keep_days, journal.max_bytes";
    let look = format!("du -xh --max-depth=2 {shown} | sort -h | tail");
    if room.bytes < LEAST {
        return Line::fail("disk", format!("{found}: too little to start"))
            .run(look)
            .advise(format!("make room, {fewer}"));
    }
    if let Some(files) = room.files.filter(|files| *files < FEW_FILES) {
        return Line::warn("disk", format!("room for {files} more files (inodes) only at {shown}"))
            .run(format!("df -i {shown}"))
            .advise("remove what made so many small files");
    }
    if room.bytes < may_grow {
        return Line::warn(
            "disk",
            format!("{found}; store and journal may take {} more", shown_size(may_grow)),
        )
        .run(look)
        .advise(format!("make room, {fewer}"));
    }
    Line::ok("disk", found)
}

/// One decimal is enough to decide by.
fn shown_size(bytes: u64) -> String {
    const MEBI: f64 = (1 << 20) as f64;
    match bytes as f64 / MEBI {
        mebi if mebi < 1024.0 => format!("{mebi:.0} MiB"),
        mebi if mebi < 1024.0 * 1024.0 => format!("{:.1} GiB", mebi / 1024.0),
        mebi => format!("{:.1} TiB", mebi / 1024.0 / 1024.0),
    }
}

pub(super) fn filesystem(folder: &Path, magic: u64) -> Line {
    match ODD.iter().find(|(number, ..)| *number == magic) {
        Some((_, name, why)) => Line::warn("filesystem", format!("{name} at {}: {why}", folder.display()))
            .advise("set state_dir to a folder on a local disk: ext4, xfs, btrfs, zfs"),
        None => Line::ok("filesystem", "a local one, whose locks and syncs hold"),
    }
}
