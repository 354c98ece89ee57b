//! `bench score`: windows a second through the model, by windows at once, against onnxruntime on the same weights and
//! against what this machine can do at most (`sensor/benches/score.rs`).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::offline::scratch;
use super::table::Table;
use super::{Options, gpu};
use crate::{program, setup};

const STAGE: &str = "ns each";

/// `cargo xtask bench score`.
pub fn run(options: &Options) -> Result<()> {
    let weights = scratch("score")?.join("weights.json");
    let onnx = setup::for_onnx();
    let mut scored = Table::new("score", "scoring: million windows a second, one core, by windows at once");
    let mut trained = Table::new("score-training", "training: million windows a second, one core, by batch");
    let mut stages = Table::new("score-stages", "nanoseconds for each window, one core");
    stages.column(STAGE, 1);
    for _ in 0..options.rounds {
        let found = measure(&mut program::cargo(), &weights, &[])?;
        let cpu = &found["cpu"];
        fill(&mut scored, "vesper, all members", &cpu["scoring"]);
        fill(&mut trained, "vesper, networks", &cpu["training"]);
        for stage in cpu["stages"].as_array().into_iter().flatten() {
            stages.add(stage["stage"].as_str().unwrap_or_default(), STAGE, number(&stage["ns_a_row"]));
        }
        stages.add("floor of the networks: copies or matrices", STAGE, number(&cpu["floor_ns_a_row"]));
        if onnx {
            let sizes = sizes(&cpu["scoring"]);
            let said = program::output(
                Command::new(setup::onnx_python())
                    .args(["-c", include_str!("score_onnx.py")])
                    .arg(&weights)
                    .arg(sizes),
            )?;
            let said: Value = serde_json::from_str(&said).context("what onnxruntime says")?;
            fill(&mut scored, "onnxruntime, networks only", &said["scoring"]);
        }
    }
    scored.note(if gpu::is_there() {
        "The GPU of this machine is measured by `cargo xtask bench gpu`."
    } else {
        "This machine has no NVIDIA GPU: only the CPU was measured."
    });
    stages.note("The floor is the larger of bytes over the copy bandwidth and operations over the rate of large matrices.");
    scored.publish()?;
    trained.publish()?;
    stages.publish()
}

/// Builds and runs the bench with this cargo; what it found.
pub(super) fn measure(cargo: &mut Command, weights: &Path, arguments: &[&str]) -> Result<Value> {
    cargo.args(["bench", "--quiet", "--package", "sensor", "--bench", "score"]);
    if cargo.get_envs().any(|(name, _)| name == "CUDA_HOME") {
        cargo.args(["--features", "cuda"]);
    }
    cargo.arg("--").arg(format!("--weights={}", weights.display())).args(arguments);
    let said = program::output(cargo.env("RAYON_NUM_THREADS", "1"))?;
    let line = said.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default();
    serde_json::from_str(line).context("what the bench says")
}

fn fill(table: &mut Table, row: &str, found: &Value) {
    for one in found.as_array().into_iter().flatten() {
        table.add(row, &one["rows"].to_string(), number(&one["rows_a_second"]) / 1e6);
    }
}

fn sizes(found: &Value) -> String {
    let sizes = found.as_array().into_iter().flatten().map(|one| one["rows"].to_string());
    sizes.collect::<Vec<_>>().join(",")
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
