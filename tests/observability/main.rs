//! Dashboards, rules and their documents: held against the metrics that the sensor registers, against Prometheus'
//! own tools, against Grafana's schema, and against a live sensor.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dashboard;
mod documents;
mod exposition;
mod lint;
mod live;
mod query;
mod rules;
mod schema;

use std::path::{Path, PathBuf};

/// A path of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
