//! `bench stages`: each stage of the sensor alone, measured by Criterion (`sensor/benches/stages.rs`).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Options;
use super::offline::scratch;
use super::table::Table;
use crate::program;

const COLUMN: &str = "ns each";

/// `cargo xtask bench stages`.
pub fn run(options: &Options) -> Result<()> {
    let results = scratch("stages")?;
    let mut cargo = program::cargo();
    cargo.args(["bench", "--quiet", "--package", "sensor", "--bench", "stages", "--"]).args(&options.only);
    // Criterion wants ten samples at least; what it measures beyond medians is not used here.
    cargo.args(["--warm-up-time", "0.5", "--measurement-time", "2", "--sample-size"]);
    cargo.arg(options.rounds.max(10).to_string()).arg("--noplot");
    program::run(cargo.env("CRITERION_HOME", &results))?;

    let mut table = Table::new("stages", "stages: nanoseconds for each packet, flow update or row, one core");
    table.column(COLUMN, 1);
    let found = collect(&results)?;
    if found.is_empty() {
        bail!("Criterion left no results in {}", results.display());
    }
    for (name, samples) in found {
        for sample in samples {
            table.add(&name, COLUMN, sample);
        }
    }
    table.publish()
}

/// Each benchmark with its samples, in order of name.
fn collect(folder: &Path) -> Result<Vec<(String, Vec<f64>)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let (about, sample) = (folder.join("benchmark.json"), folder.join("sample.json"));
        if about.is_file() && sample.is_file() {
            found.push(
                benchmark(&read(&about)?, &read(&sample)?).with_context(|| about.display().to_string())?,
            );
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found.dedup_by(|one, other| one.0 == other.0);
    Ok(found)
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))
}

/// Name, and nanoseconds for each element: a sample is the time of so many iterations of so many elements.
fn benchmark(about: &Value, sample: &Value) -> Option<(String, Vec<f64>)> {
    let elements = about["throughput"]["Elements"].as_f64().unwrap_or(1.0);
    let numbers = |name: &str| sample[name].as_array().map(|all| all.iter().filter_map(Value::as_f64));
    let samples = numbers("times")?.zip(numbers("iters")?).map(|(time, runs)| time / runs / elements);
    Some((about["full_id"].as_str()?.to_owned(), samples.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sample_is_divided_by_iterations_and_elements() {
        let about = json!({ "full_id": "parse/tcp", "throughput": { "Elements": 10 } });
        let sample = json!({ "times": [2000.0, 4200.0], "iters": [10.0, 20.0] });
        assert_eq!(benchmark(&about, &sample), Some(("parse/tcp".to_owned(), vec![20.0, 21.0])));
        assert_eq!(benchmark(&about, &json!({})), None);
    }
}
