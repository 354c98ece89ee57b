//! The archive for machines without Debian's tools, and the checksums of all.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::Version;

/// Packs `tree` below a folder `stem`: sorted, owned by root, of one time.
pub fn pack(file: &Path, tree: &Path, stem: &str, version: &Version) -> Result<()> {
    let out = fs::File::create(file).with_context(|| format!("make {}", file.display()))?;
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{}", version.epoch)).arg(format!("--transform=s,^\\.,{stem},"));
    tar.arg("--directory").arg(tree).arg(".").stdout(Stdio::piped()).stdin(Stdio::null());
    let mut tar = tar.spawn().context("start tar")?;
    let stream = tar.stdout.take().context("tar has no output")?;
    // Without a name and a time in its head.
    let packed = Command::new("gzip").args(["--no-name", "-6"]).stdin(stream).stdout(out).status();
    let (packed, listed) = (packed.context("start gzip")?, tar.wait().context("wait for tar")?);
    if !packed.success() || !listed.success() {
        bail!("{} could not be packed: tar {listed}, gzip {packed}", file.display());
    }
    Ok(())
}

/// Writes what `sha256sum --check` reads. Lines of other packages in the same folder stay.
pub fn checksums(sums: &Path, files: &[PathBuf]) -> Result<()> {
    let names: Vec<_> =
        files.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy()).collect();
    let former = fs::read_to_string(sums).unwrap_or_default();
    let others = former.lines().filter(|line| {
        let name = line.split_once("  ").map_or("", |(_, name)| name);
        !names.iter().any(|own| own == name) && sums.with_file_name(name).is_file()
    });
    let mut text = others.map(|line| format!("{line}\n")).collect::<String>();
    for (file, name) in files.iter().zip(&names) {
        writeln!(text, "{}  {name}", sha256(file)?)?;
    }
    fs::write(sums, text).with_context(|| format!("write {}", sums.display()))
}

/// Hash of a file, in hexadecimal.
pub fn sha256(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
