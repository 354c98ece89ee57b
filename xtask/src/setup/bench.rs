//! What the benches compare with: flow meters of Debian, NFStream of PyPI.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Install, NAMESPACES, NSENTER, Requirement, ensure};
use crate::program;

const METERS: [Requirement; 3] = [
    Requirement {
        what: "softflowd",
        present: || program::find("softflowd").is_some(),
        install: Install::Debian(&["softflowd"]),
    },
    Requirement {
        what: "nfpcapd and nfdump",
        present: || program::find("nfpcapd").is_some() && program::find("nfdump").is_some(),
        install: Install::Debian(&["nfdump"]),
    },
    Requirement {
        what: "argus and racount",
        present: || program::find("argus").is_some() && program::find("racount").is_some(),
        install: Install::Debian(&["argus-server", "argus-client"]),
    },
];

const TCPREPLAY: Requirement = Requirement {
    what: "tcpreplay",
    present: || program::find("tcpreplay").is_some(),
    install: Install::Debian(&["tcpreplay"]),
};

/// Debian's own: another Python may lack what makes environments.
const PYTHON: &str = "/usr/bin/python3";

const VENV: Requirement = Requirement {
    what: "python3 with venv",
    present: || program::run_quietly(Command::new(PYTHON).args(["-c", "import ensurepip, venv"])).is_ok(),
    install: Install::Debian(&["python3-venv"]),
};

const NFSTREAM: Requirement = Requirement {
    what: "NFStream",
    present: || program::run_quietly(Command::new(nfstream_python()).args(["-c", "import nfstream"])).is_ok(),
    install: Install::Own(install_nfstream, "pip install nfstream==6.6.0 in target/bench/python"),
};

/// What `bench offline` cannot do without.
pub fn for_offline_bench() -> Result<()> {
    ensure(&METERS)
}

/// Whether NFStream is here, or could be brought here; says why not.
pub fn for_nfstream() -> bool {
    let done = ensure(&[VENV, NFSTREAM]);
    if let Err(error) = &done {
        println!("going on without NFStream: {error:#}");
    }
    done.is_ok()
}

/// What `bench live` cannot do without.
pub fn for_live_bench() -> Result<()> {
    super::for_lab()?;
    ensure(&[NAMESPACES, NSENTER, TCPREPLAY])?;
    ensure(&METERS)
}

/// The Python that has NFStream.
pub fn nfstream_python() -> PathBuf {
    environment().join("bin/python")
}

fn environment() -> PathBuf {
    program::root().join("target/bench/python")
}

fn install_nfstream() -> Result<()> {
    let folder = environment();
    fs::create_dir_all(&folder).context("make target/bench/python")?;
    program::run_quietly(Command::new(PYTHON).args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(nfstream_python());
    pip.args(["-m", "pip", "install", "--quiet", "nfstream==6.6.0"]);
    program::run_bounded(&mut pip, Duration::from_secs(600))
}
