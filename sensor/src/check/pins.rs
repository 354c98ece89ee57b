//! The folder where program and maps are pinned, on a BPF filesystem.

use std::path::Path;

use super::Line;
use super::mend::Fix;

/// Where a BPF filesystem belongs.
pub(super) const BPFFS: &str = "/sys/fs/bpf";
/// BPF_FS_MAGIC of linux/magic.h.
const BPF_MAGIC: u64 = 0xcafe_4a11;

/// `folder` is the setting.
pub(super) fn line(folder: &Path) -> Line {
    // Where the sensor finds it, which may not be allowed to look into the one that is set.
    let found = crate::capture::pins::base(folder, false);
    let folder = found.as_deref().unwrap_or(folder);
    let above = folder.ancestors().skip(1).find(|path| path.exists());
    judge(folder, magic(folder), above.and_then(magic), Path::new(BPFFS).exists())
}

/// Of the filesystem that a folder is on.
fn magic(folder: &Path) -> Option<u64> {
    rustix::fs::statfs(folder).ok().map(|found| found.f_type as u64 & 0xffff_ffff)
}

/// By the kinds of filesystem that the folder is on, if it exists, and the nearest one above. The unit shows the sensor its own
/// folder only, so that one decides.
pub(super) fn judge(folder: &Path, kind: Option<u64>, above: Option<u64>, mountable: bool) -> Line {
    let shown = folder.display();
    let fix = |mount| Fix::Pins { folder: folder.to_owned(), mount };
    if folder.as_os_str().is_empty() {
        return Line::ok("bpffs", "not asked for: capture.pin_dir is empty");
    }
    match (kind, above) {
        (Some(BPF_MAGIC), _) => Line::ok("bpffs", format!("{shown} is there")),
        (None, Some(BPF_MAGIC)) => Line::warn("bpffs", format!("there is no {shown}")).mended_by(fix(false)),
        _ if mountable && folder.starts_with(BPFFS) => {
            Line::warn("bpffs", format!("none is mounted at {BPFFS}"))
                .mended_by(fix(true))
                .advise("nsenter --net instead of `ip netns exec`, which hides the machine's")
        }
        _ => Line::warn("bpffs", format!("{shown} is on no BPF filesystem")).advise(format!(
            "set capture.pin_dir to a folder below {BPFFS}; in a container, pass the host's in"
        )),
    }
}
