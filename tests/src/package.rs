//! Packages for tests, made by `cargo xtask dist` of the program under test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// `xtask`, which cargo builds beside the program.
pub fn xtask(vesper: &str) -> PathBuf {
    let xtask = Path::new(vesper).with_file_name("xtask");
    assert!(xtask.exists(), "{} is missing: cargo build -p xtask", xtask.display());
    xtask
}

/// A package of this version, in `folder`.
pub fn package(vesper: &str, version: &str, folder: &Path) -> PathBuf {
    packed("vesper", &["--sensor", vesper], vesper, version, folder)
}

/// The package for GPUs, of whatever program.
pub fn package_for_gpus(vesper: &str, program: &str, version: &str, folder: &Path) -> PathBuf {
    packed("vesper-cuda", &["--features", "cuda", "--sensor", program], vesper, version, folder)
}

fn packed(name: &str, options: &[&str], vesper: &str, version: &str, folder: &Path) -> PathBuf {
    let mut dist = Command::new(xtask(vesper));
    dist.args(["dist", "--version", version, "--out"]).arg(folder).args(options);
    let output = dist.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let name = format!("{name}_{version}_");
    let mut files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let found = files.find(|file| {
        let file = file.file_name().unwrap().to_string_lossy();
        file.starts_with(&name) && file.ends_with(".deb")
    });
    found.unwrap_or_else(|| panic!("no package of {version}: {said}"))
}

/// The same package with another version and whatever `change` does to its files.
pub fn repacked(from: &Path, version: &str, change: impl FnOnce(&Path)) -> PathBuf {
    let tree = from.with_extension("tree");
    run(Command::new("dpkg-deb").arg("--raw-extract").arg(from).arg(&tree));
    let control = tree.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).unwrap();
    let lines = text.lines().map(|line| {
        if line.starts_with("Version: ") { format!("Version: {version}\n") } else { format!("{line}\n") }
    });
    std::fs::write(&control, lines.collect::<String>()).unwrap();
    change(&tree);
    let name = from.file_name().unwrap().to_string_lossy().into_owned();
    let (stem, rest) = name.split_once('_').unwrap();
    let architecture = rest.rsplit_once('_').unwrap().1;
    let to = from.with_file_name(format!("{stem}_{version}_{architecture}"));
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zgzip", "-z1", "--build"])
        .arg(&tree)
        .arg(&to));
    std::fs::remove_dir_all(&tree).unwrap();
    to
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
