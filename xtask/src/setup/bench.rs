//! What the benches compare with: flow meters of Debian, NFStream of PyPI.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::python::{self, VENV};
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

/// Another program that computes networks.
const ONNX: Requirement = Requirement {
    what: "onnxruntime",
    present: || {
        program::run_quietly(Command::new(onnx_python()).args(["-c", "import onnx, onnxruntime"])).is_ok()
    },
    install: Install::Own(
        || python::install(&onnx_environment(), &["onnxruntime==1.23.2", "onnx==1.19.1", "numpy<2.4"]),
        "pip install onnxruntime==1.23.2 onnx==1.19.1 in target/bench/onnx",
    ),
};

/// Whether onnxruntime is here, or could be brought here; says why not.
pub fn for_onnx() -> bool {
    let done = ensure(&[VENV, ONNX]);
    if let Err(error) = &done {
        println!("going on without onnxruntime: {error:#}");
    }
    done.is_ok()
}

/// The Python that has onnxruntime.
pub fn onnx_python() -> PathBuf {
    onnx_environment().join("bin/python")
}

fn onnx_environment() -> PathBuf {
    program::root().join("target/bench/onnx")
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
    python::install(&environment(), &["nfstream==6.6.0"])
}
