//! What is installed where, laid out below one folder: package and archive are made of the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Version, build};
use crate::program;

/// From the repository, by where it goes.
const FILES: [(&str, &str); 11] = [
    ("systemd/vesper.sysusers", "usr/lib/sysusers.d/vesper.conf"),
    ("systemd/vesper.tmpfiles", "usr/lib/tmpfiles.d/vesper.conf"),
    ("systemd/vesper.toml", "etc/vesper/vesper.toml"),
    ("systemd/vesper.logrotate", "etc/logrotate.d/vesper"),
    ("systemd/gpu.conf", "usr/share/doc/vesper/examples/gpu.conf"),
    ("README.md", "usr/share/doc/vesper/README.md"),
    ("ARCHITECTURE.md", "usr/share/doc/vesper/ARCHITECTURE.md"),
    ("docs", "usr/share/doc/vesper/docs"),
    ("dashboards", "usr/share/doc/vesper/dashboards"),
    ("LICENSE-MIT", "usr/share/doc/vesper/LICENSE-MIT"),
    ("LICENSE-APACHE", "usr/share/doc/vesper/LICENSE-APACHE"),
];

/// Lays out everything below `tree`, which is made anew.
pub fn lay_out(tree: &Path, sensor: &Path, bill: &Path, name: &str, version: &Version) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("remove {}", tree.display()))?;
    }
    for (from, to) in FILES {
        copy(&program::root().join(from), &tree.join(to))?;
    }
    let is_unit = |file: &&PathBuf| file.extension().is_some_and(|kind| kind == "service");
    for unit in files(&program::root().join("systemd"))?.iter().filter(is_unit) {
        copy(unit, &tree.join("usr/lib/systemd/system").join(unit.file_name().unwrap_or_default()))?;
    }
    let program_file = at(tree, "usr/bin/vesper")?;
    build::stripped(sensor, &program_file)?;
    manual(tree, &program_file)?;
    let documents = tree.join("usr/share/doc/vesper");
    fs::copy(bill, documents.join("sbom.cdx.json")).context("copy the bill of materials")?;
    // Debian looks for it by the package's name.
    let changes = at(tree, &format!("usr/share/doc/{name}/changelog"))?;
    fs::write(&changes, changelog(name, version)?).context("write the changelog")?;
    program::run_quietly(Command::new("gzip").args(["-9", "--no-name"]).arg(&changes))?;
    if name == "vesper-cuda" {
        for unit in ["vesper.service.d", "vesper@.service.d"] {
            let to = at(tree, &format!("usr/lib/systemd/system/{unit}/gpu.conf"))?;
            copy(&program::root().join("systemd/gpu.conf"), &to)?;
        }
    }
    modes(tree, &program_file)
}

/// Pages and completions as the program itself writes them.
fn manual(tree: &Path, sensor: &Path) -> Result<()> {
    let folder = tree.with_extension("manual");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("remove the former manual")?;
    }
    program::run_quietly(Command::new(sensor).arg("manual").arg(&folder))
        .context("ask the sensor for its manual")?;
    for file in files(&folder)? {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let to = match name.as_str() {
            "vesper.bash" => "usr/share/bash-completion/completions/vesper".to_owned(),
            "_vesper" => "usr/share/zsh/vendor-completions/_vesper".to_owned(),
            "vesper.fish" => "usr/share/fish/vendor_completions.d/vesper.fish".to_owned(),
            page => format!("usr/share/man/man1/{page}"),
        };
        copy(&file, &at(tree, &to)?)?;
    }
    Ok(())
}

/// What Debian's tools read; what changed is in CHANGELOG.md.
fn changelog(name: &str, version: &Version) -> Result<String> {
    let Version { text, .. } = version;
    let date = version.date()?;
    Ok(format!(
        "{name} ({text}) stable; urgency=medium\n\n  * What changed is in the project's CHANGELOG.md.\n\n -- Vesper \
         contributors <maintainers@users.noreply.invalid>  {date}\n"
    ))
}

fn at(tree: &Path, below: &str) -> Result<PathBuf> {
    let file = tree.join(below);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    }
    Ok(file)
}

/// A file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        }
        return fs::copy(from, to).map(drop).with_context(|| format!("copy {}", from.display()));
    }
    for file in files(from)? {
        let name = file.file_name().unwrap_or_default();
        copy(&file, &to.join(name))?;
    }
    Ok(())
}

/// What is in a folder, by name: the order of the disk would be another on each machine.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// The same permissions whatever the umask was.
fn modes(folder: &Path, program_file: &Path) -> Result<()> {
    for file in files(folder)? {
        let mode = if file.is_dir() || file == program_file { 0o755 } else { 0o644 };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))
            .with_context(|| format!("set the mode of {}", file.display()))?;
        if file.is_dir() {
            modes(&file, program_file)?;
        }
    }
    Ok(())
}
