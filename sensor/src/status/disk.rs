//! The disk that the state lies on.

use std::path::Path;

use super::exposition::Families;

/// Nothing where the folder is unknown or its disk does not answer: a 0 would say that the disk is full.
pub(super) fn metrics(families: &mut Families, state_dir: &Path) {
    let Ok(disk) = rustix::fs::statvfs(state_dir) else { return };
    families.gauge(
        "state_free_bytes",
        "Bytes that this process may still write to the disk of state_dir.",
        (disk.f_bavail * disk.f_frsize) as f64,
    );
    families.gauge(
        "state_size_bytes",
        "Bytes of the disk of state_dir, used or not.",
        (disk.f_blocks * disk.f_frsize) as f64,
    );
}
