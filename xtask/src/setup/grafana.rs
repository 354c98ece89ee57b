//! Grafana's schema of a dashboard, as TypeScript types, and what checks types.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::{Install, Requirement};
use crate::program;

pub(super) const NPM: Requirement = Requirement {
    what: "npm",
    present: || program::find("npm").is_some(),
    install: Install::Debian(&["nodejs", "npm"]),
};

/// The test looks for it there.
pub(super) const SCHEMA: Requirement = Requirement {
    what: "Grafana's schema",
    present: || {
        let modules = program::tools().join("grafana/node_modules");
        modules.join("@grafana/schema").is_dir() && modules.join(".bin/tsc").exists()
    },
    install: Install::Own(
        || {
            let folder = program::tools().join("grafana");
            fs::create_dir_all(&folder).context("make target/tools/grafana")?;
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder);
            npm.args(["@grafana/schema@13.2.3", "typescript@5.9.3"]);
            program::run_bounded(&mut npm, Duration::from_secs(300))
        },
        "npm install @grafana/schema@13.2.3 typescript@5.9.3 in target/tools/grafana",
    ),
};
