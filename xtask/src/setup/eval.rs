//! What the evaluation compares with: detectors of PyPI, in an environment of their own.

use std::path::PathBuf;
use std::process::Command;

use super::python::{self, VENV};
use super::{Install, Requirement, ensure};
use crate::program;

const DETECTORS: Requirement = Requirement {
    what: "river and scikit-learn",
    present: || {
        program::run_quietly(Command::new(eval_python()).args(["-c", "import river, sklearn"])).is_ok()
    },
    install: Install::Own(
        || python::install(&environment(), &["river==0.26.1", "scikit-learn==1.9.1", "numpy==2.4.6"]),
        "pip install river==0.26.1 scikit-learn==1.9.1 numpy==2.4.6 in target/eval/python",
    ),
};

/// Whether the detectors are here, or could be brought here; says why not.
pub fn for_eval() -> bool {
    let done = ensure(&[VENV, DETECTORS]);
    if let Err(error) = &done {
        println!("going on WITHOUT BASELINES: {error:#}");
    }
    done.is_ok()
}

/// The Python that has them.
pub fn eval_python() -> PathBuf {
    environment().join("bin/python")
}

fn environment() -> PathBuf {
    program::root().join("target/eval/python")
}
