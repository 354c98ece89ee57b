//! What the console's test drives: Debian's Chromium, and playwright-core by npm. Neither is needed to build.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Install, Requirement};
use crate::program;

pub(super) const REQUIREMENTS: [Requirement; 2] = [
    Requirement {
        what: "chromium",
        present: || program::find("chromium").is_some(),
        install: Install::Debian(&["chromium", "fonts-dejavu-core"]),
    },
    Requirement {
        what: "playwright-core",
        present: || {
            let wanted = fs::read(package()).unwrap_or_default();
            let there = folder().join("node_modules/playwright-core/package.json");
            there.exists() && fs::read(folder().join("package.json")).is_ok_and(|have| have == wanted)
        },
        install: Install::Own(
            install_playwright,
            "npm install, of tests/console/package.json, in target/tools/console",
        ),
    },
];

/// Names the version.
fn package() -> PathBuf {
    program::root().join("tests/console/package.json")
}

/// The test looks for it there.
fn folder() -> PathBuf {
    program::tools().join("console")
}

fn install_playwright() -> Result<()> {
    fs::create_dir_all(folder())
        .and_then(|()| fs::copy(package(), folder().join("package.json")))
        .with_context(|| format!("write to {}", folder().display()))?;
    let npm = program::find("npm").context("npm is not installed")?;
    let mut command = Command::new(npm);
    command.current_dir(folder()).args([
        "install",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--ignore-scripts",
    ]);
    program::run_bounded(&mut command, Duration::from_secs(300))
}
