//! Who the API is shown to: schemathesis from PyPI, Bruno's command line from npm. The tests look for them there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Install, Requirement, python};
use crate::program;

const BRUNO: &str = "@usebruno/cli@4.1.0";

pub(super) const REQUIREMENTS: [Requirement; 3] = [
    Requirement {
        what: "schemathesis",
        present: || {
            let python = schemathesis().join("bin/python");
            program::run_quietly(Command::new(python).args(["-c", "import schemathesis"])).is_ok()
        },
        install: Install::Own(
            || python::install(&schemathesis(), &["schemathesis==4.32.5"]),
            "pip install schemathesis==4.32.5 in target/schemathesis",
        ),
    },
    Requirement {
        what: "node and npm",
        present: || program::find("node").is_some() && program::find("npm").is_some(),
        install: Install::Debian(&["nodejs", "npm"]),
    },
    Requirement {
        what: "Bruno's command line",
        present: || bruno().join("node_modules/.bin/bru").exists(),
        install: Install::Own(install_bruno, "npm install @usebruno/cli@4.1.0 in target/tools/bruno"),
    },
];

fn schemathesis() -> PathBuf {
    program::root().join("target/schemathesis")
}

fn bruno() -> PathBuf {
    program::root().join("target/tools/bruno")
}

fn install_bruno() -> Result<()> {
    fs::create_dir_all(bruno()).with_context(|| format!("make {}", bruno().display()))?;
    let npm = program::find("npm").context("npm is not installed")?;
    let mut command = Command::new(npm);
    command.current_dir(bruno());
    command.args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", BRUNO]);
    program::run_bounded(&mut command, Duration::from_secs(300))
}
