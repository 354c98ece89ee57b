//! What makes packages and what takes them to other machines.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::{Install, Requirement, apt_get};
use crate::program;

pub(super) const CARGO_DEB: Requirement = Requirement {
    what: "cargo-deb",
    present: || program::find("cargo-deb").is_some(),
    install: Install::Own(
        || {
            let mut cargo = program::cargo();
            cargo.args(["install", "--locked", "cargo-deb", "--version", "3.8.0", "--no-default-features"]);
            program::run_bounded(&mut cargo, Duration::from_secs(600))
        },
        "cargo install --locked cargo-deb --version 3.8.0 --no-default-features; minutes, once",
    ),
};

/// cargo-deb asks dpkg-shlibdeps what the program depends on.
pub(super) const DPKG_DEV: Requirement = Requirement {
    what: "dpkg-shlibdeps and strip",
    present: || program::find("dpkg-shlibdeps").is_some() && program::find("strip").is_some(),
    install: Install::Debian(&["dpkg-dev", "binutils"]),
};

pub(super) const LINTIAN: Requirement = Requirement {
    what: "lintian",
    present: || program::find("lintian").is_some(),
    install: Install::Debian(&["lintian"]),
};

pub(super) const SSH: Requirement = Requirement {
    what: "ssh and rsync",
    present: || ["ssh", "ssh-keygen", "rsync"].iter().all(|name| program::find(name).is_some()),
    install: Install::Debian(&["openssh-client", "rsync"]),
};

/// Boxes of tests are this machine's files with systemd as PID 1 (tests/src/machine.rs).
pub(super) const SYSTEMD: Requirement = Requirement {
    what: "systemd, dbus and systemd-analyze",
    present: || Path::new("/lib/systemd/systemd").exists() && program::find("dbus-daemon").is_some(),
    install: Install::Debian(&["systemd", "dbus"]),
};

/// Installed in boxes only: a server has no place on this machine.
pub(super) const SSHD: Requirement = Requirement {
    what: "packages of sshd and sudo",
    present: || {
        let fetched = |name: &str| {
            let mut files = program::tools().join("sshd").read_dir().into_iter().flatten().flatten();
            files.any(|file| file.file_name().to_string_lossy().starts_with(&format!("{name}_")))
        };
        ["openssh-server", "sudo"]
            .iter()
            .zip(["sshd", "sudo"])
            .all(|(package, name)| program::find(name).is_some() || fetched(package))
    },
    install: Install::Own(
        || {
            let folder = program::tools().join("sshd");
            fs::create_dir_all(folder.join("partial")).context("make target/tools/sshd")?;
            let mut apt = apt_get();
            apt.args([
                "install",
                "-y",
                "--no-install-recommends",
                "--download-only",
                "openssh-server",
                "sudo",
            ]);
            apt.arg("-o").arg(format!("Dir::Cache::archives={}", folder.display()));
            program::run_quietly(&mut apt)
        },
        "Debian packages openssh-server and sudo, fetched to target/tools/sshd",
    ),
};
