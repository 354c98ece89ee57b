//! Builds the program and the Debian package so that nothing of this machine is in them: no path, no time, no user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Version;
use crate::{program, setup};

/// Where sources seem to be, in messages of panics.
const SOURCE: &str = "/usr/src/vesper";

/// Builds the sensor, and gives where it is.
pub fn sensor(profile: &str, features: Option<&str>, version: &Version) -> Result<PathBuf> {
    let target = super::folder().join("build");
    let root = program::root();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    // The last that matches wins, so the registry comes after what may hold it.
    let remapped = [(root.as_path(), SOURCE), (cargo_home.as_path(), "/usr/src/cargo")];
    let rust: Vec<String> =
        remapped.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
    let c: Vec<String> =
        remapped.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).collect();
    // For GPUs the lock file is that of another folder, made from ours.
    let (mut cargo, locked) = match features {
        Some("cuda") => (setup::cuda()?.cargo(), None),
        _ => (program::cargo(), Some("--locked")),
    };
    cargo.arg("build").args(locked).args(["--package", "sensor", "--bin", "vesper", "--profile", profile]);
    cargo.arg("--target-dir").arg(&target);
    if let Some(features) = features {
        cargo.args(["--features", features]);
    }
    // With separators that paths cannot hold.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust.join("\u{1f}")).env_remove("RUSTFLAGS");
    cargo.env("CFLAGS", c.join(" ")).env("SOURCE_DATE_EPOCH", version.epoch.to_string());
    program::run(&mut cargo)?;
    // cargo's name of the folder of `dev` is older than profiles.
    Ok(target.join(if profile == "dev" { "debug" } else { profile }).join("vesper"))
}

/// Packs what was laid out. `fast`: for tests, large and soon.
pub fn package(file: &Path, name: &str, version: &Version, fast: bool) -> Result<()> {
    let mut cargo = program::cargo();
    cargo.args([
        "deb",
        "--quiet",
        "--package",
        "sensor",
        "--no-build",
        "--no-strip",
        "--no-dbgsym",
        "--locked",
        "--offline",
    ]);
    cargo.args(["--deb-version", &version.text]).arg("--output").arg(file);
    cargo.arg("--compress-type=xz").args(fast.then_some("--fast"));
    if name == "vesper-cuda" {
        cargo.args(["--variant", "cuda"]);
    }
    cargo.env("SOURCE_DATE_EPOCH", version.epoch.to_string());
    program::run_quietly(&mut cargo)
}

/// Copies the program without symbols and debug information, which hold paths and are most of its size.
pub fn stripped(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    let mut strip = Command::new("strip");
    program::run_quietly(
        strip.args(["--strip-unneeded", "--remove-section=.comment", "--remove-section=.note"]).arg(to),
    )
}
