//! Programs of Prometheus, which rules and dashboards are held against.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Install, Requirement, apt_get};
use crate::program;

// The Debian packages would start servers here; their programs are enough.
pub(super) const PROMETHEUS: Requirement = Requirement {
    what: "prometheus and promtool",
    present: || program::find("prometheus").is_some() && program::find("promtool").is_some(),
    install: Install::Own(
        || unpack("prometheus", &["prometheus", "promtool"]),
        "Debian package prometheus, unpacked to target/tools",
    ),
};

pub(super) const ALERTMANAGER: Requirement = Requirement {
    what: "prometheus-alertmanager and amtool",
    present: || ["prometheus-alertmanager", "amtool"].iter().all(|name| program::find(name).is_some()),
    install: Install::Own(
        || unpack("prometheus-alertmanager", &["prometheus-alertmanager", "amtool"]),
        "Debian package prometheus-alertmanager, unpacked to target/tools",
    ),
};

/// Takes programs out of a package; needs apt, but not root.
fn unpack(package: &str, programs: &[&str]) -> Result<()> {
    let folder = program::tools().join(package);
    let bin = program::tools().join("usr/bin");
    fs::create_dir_all(&folder).and_then(|()| fs::create_dir_all(&bin)).context("make target/tools")?;
    program::run_quietly(apt_get().args(["download", package]).current_dir(&folder))?;
    let file = folder.read_dir()?.next().context("apt-get download brought nothing")??.path();
    program::run_quietly(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&folder))?;
    for name in programs {
        fs::rename(folder.join("usr/bin").join(name), bin.join(name))
            .with_context(|| format!("{name} in its package"))?;
    }
    fs::remove_dir_all(&folder).context("remove the rest of the package")
}
