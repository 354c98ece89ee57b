//! `bench gpu`: everything that must be shown on a machine with an NVIDIA GPU, in one run, as JSON. Where there is none it
//! says so, builds nothing and ends with an exit code of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::input;
use super::machine;
use super::offline::scratch;
use super::score::{measure, number};
use crate::setup::{self, CudaBuild};
use crate::step::announced;
use crate::{Reported, program};

/// There is no GPU: exit code 3.
#[derive(Debug)]
pub struct NoGpu;

impl std::fmt::Display for NoGpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "this machine has no NVIDIA GPU (neither /dev/nvidia0 nor /dev/dxg): nothing was built or measured. \
             Run the same command on one that has; docs/gpu.md says what it needs",
        )
    }
}

impl std::error::Error for NoGpu {}

/// Scoring on the GPU is worth it from so much on.
const SCORING: f64 = 20.0;
const TRAINING: f64 = 10.0;
/// Of what the machine can do at most.
const OF_THE_FLOOR: f64 = 0.5;
const PARITY: f64 = 1e-4;
/// Windows at once where that is judged.
const ROWS: u64 = 65_536;

/// Whether this machine has one.
pub(super) fn is_there() -> bool {
    // The other is that of WSL.
    ["/dev/nvidia0", "/dev/dxg"].iter().any(|device| Path::new(device).exists())
}

/// `cargo xtask bench gpu`.
pub fn run() -> Result<()> {
    if !is_there() {
        return Err(NoGpu.into());
    }
    let folder = scratch("gpu")?;
    let cuda = setup::cuda()?;
    let vesper = built(&cuda)?;
    let begun = Instant::now();
    let found = measure(&mut cuda.cargo(), &folder.join("weights.json"), &["--gpu"])?;
    if let Some(why) = found["gpu"]["absent"].as_str() {
        bail!("the GPU could not be opened: {why}");
    }
    let capture = announced("making the capture", || input::make_with_scan(&folder))?.path;
    let analyze = |device: &str| {
        announced(&format!("analyze, {device}"), || analyze(&vesper, &capture, &folder, device))
    };
    let (cpu, gpu) = (analyze("cpu")?, analyze("cuda")?);
    let judged = judge(&found, cpu == gpu && !cpu.is_empty());
    let passed = judged.iter().all(|(_, _, good)| *good);
    let whole = times(&found["gpu"]["scoring"], &found["cpu"]["scoring"]);
    println!("  told   scoring, the whole way with what the CPU does of it, times one core: {whole}");
    for (what, value, good) in &judged {
        println!("  {:6} {what}: {value}", if *good { "ok" } else { "MISSED" });
    }
    let result = json!({
        "machine": machine::facts(),
        "gpu": found["gpu"]["name"],
        "took_s": begun.elapsed().as_secs_f64(),
        "passed": passed,
        "whole_way_times_one_core": whole,
        "judged": judged.iter().map(|(what, value, good)| json!({ "what": what, "value": value, "ok": good })).collect::<Vec<_>>(),
        "alerts": cpu,
        "measured": found,
    });
    let path = folder.join("gpu.json");
    fs::write(&path, serde_json::to_string_pretty(&result)?).context("write the result")?;
    println!("{}", path.display());
    if passed { Ok(()) } else { Err(Reported.into()) }
}

fn built(cuda: &CudaBuild) -> Result<std::path::PathBuf> {
    let mut cargo = cuda.cargo();
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "sensor",
        "--bin",
        "vesper",
        "--features",
        "cuda",
    ]);
    announced("building vesper for GPUs (release; minutes, the first time)", || program::run(&mut cargo))?;
    Ok(cuda.target().join("release/vesper"))
}

/// What was alerted about: types and ends, in order.
fn analyze(vesper: &Path, capture: &Path, folder: &Path, device: &str) -> Result<Vec<String>> {
    let (config, alerts) = (folder.join(format!("{device}.toml")), folder.join(format!("{device}.jsonl")));
    // The capture is short.
    let times = "warmup_time = \"5s\"\ncalibration_time = \"5s\"";
    fs::write(&config, format!("[score]\ndevice = \"{device}\"\n{times}\n"))?;
    let mut command = Command::new(vesper);
    command.arg("analyze").arg(capture).arg("--config").arg(&config).arg("--alerts").arg(&alerts);
    program::run_bounded(&mut command, Duration::from_secs(240))?;
    let text = fs::read_to_string(&alerts).context("read the alerts")?;
    text.lines()
        .map(|line| {
            let alert: Value = serde_json::from_str(line).context("an alert")?;
            let name = |field: &str| alert[field].as_str().unwrap_or_default().to_owned();
            let fields = ["threat_type", "source_ip", "destination_ip", "timestamp"].map(name);
            Ok(fields.join(" "))
        })
        .collect()
}

/// What was wanted, what was found, and whether that is enough.
fn judge(found: &Value, same_alerts: bool) -> Vec<(&'static str, f64, bool)> {
    let (cpu, gpu) = (&found["cpu"], &found["gpu"]);
    let training = times(&gpu["training"], &cpu["training"]);
    let floor = number(&gpu["floor_ns_a_row"]);
    let took: f64 = gpu["stages"].as_array().into_iter().flatten().map(|one| number(&one["ns_a_row"])).sum();
    let scoring = if took > 0.0 { 1e9 / took / best(&cpu["scoring_networks"]) } else { f64::NAN };
    let parity = number(&gpu["parity"]);
    vec![
        ("scores differ from the CPU's by at most", parity, parity <= PARITY),
        ("analyze gives the same alerts", f64::from(u8::from(same_alerts)), same_alerts),
        ("scoring of the networks with all copies, times one core", scoring, scoring >= SCORING),
        ("training, times one core", training, training >= TRAINING),
        ("part of the floor", floor / took, floor / took >= OF_THE_FLOOR),
    ]
}

/// The GPU with [`ROWS`] at once against the CPU with what is best for it.
fn times(gpu: &Value, cpu: &Value) -> f64 {
    let mut all = gpu.as_array().into_iter().flatten();
    all.find(|one| one["rows"] == ROWS).map_or(f64::NAN, |one| number(&one["rows_a_second"])) / best(cpu)
}

/// Most rows a second.
fn best(list: &Value) -> f64 {
    list.as_array().into_iter().flatten().map(|one| number(&one["rows_a_second"])).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_judged() {
        let list = |rate: f64| json!([{ "rows": ROWS, "rows_a_second": rate }]);
        let found = |parity: f64, copy: f64| {
            json!({
                "cpu": { "scoring_networks": list(5e6), "training": list(1e6) },
                "gpu": { "training": list(2e7), "parity": parity, "floor_ns_a_row": 6.0,
                         "stages": [{ "ns_a_row": copy }, { "ns_a_row": 2.0 }] },
            })
        };
        assert!(judge(&found(1e-6, 7.0), true).iter().all(|(_, _, good)| *good));
        let missed = |found: &Value, same| judge(found, same).iter().filter(|(_, _, good)| !good).count();
        assert_eq!(missed(&found(1e-3, 12.0), false), 4);
        // What was not measured is not good.
        assert_eq!(missed(&json!({ "cpu": {}, "gpu": {} }), true), 4);
    }
}
