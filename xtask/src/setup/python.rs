//! Programs of PyPI, each in an environment of its own below target/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Install, Requirement};
use crate::program;

/// Debian's own: another Python may lack what makes environments.
const PYTHON: &str = "/usr/bin/python3";

/// What makes environments.
pub(super) const VENV: Requirement = Requirement {
    what: "python3 with venv",
    present: || program::run_quietly(Command::new(PYTHON).args(["-c", "import ensurepip, venv"])).is_ok(),
    install: Install::Debian(&["python3-venv"]),
};

/// The mail server of the email sink's test; Debian's Python finds it.
pub(super) const AIOSMTPD: Requirement = Requirement {
    what: "aiosmtpd",
    present: || program::run_quietly(Command::new(PYTHON).args(["-c", "import aiosmtpd.smtp"])).is_ok(),
    install: Install::Debian(&["python3-aiosmtpd"]),
};

/// What `vesper analyze --flows` is held against. Later versions want a later Python than Debian's; a later Scapy has
/// another interface than this version uses.
pub(super) const CICFLOWMETER: Requirement = Requirement {
    what: "CICFlowMeter",
    present: || {
        let python = cicflowmeter().join("bin/python");
        program::run_quietly(Command::new(python).args(["-c", "import cicflowmeter.flow_session"])).is_ok()
    },
    install: Install::Own(
        || install(&cicflowmeter(), &["cicflowmeter==0.2.0", "scapy==2.5.0"]),
        "pip install cicflowmeter==0.2.0 scapy==2.5.0 in target/cicflowmeter",
    ),
};

/// The test looks for it there.
fn cicflowmeter() -> PathBuf {
    program::root().join("target/cicflowmeter")
}

/// Makes an environment with these packages.
pub(super) fn install(folder: &Path, packages: &[&str]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    program::run_quietly(Command::new(PYTHON).args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet"]).args(packages);
    program::run_bounded(&mut pip, Duration::from_secs(600))
}
