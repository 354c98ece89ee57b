//! What makes packages and what takes them to other machines.

use std::time::Duration;

use super::{Install, Requirement};
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
