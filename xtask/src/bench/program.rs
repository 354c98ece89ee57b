//! Measuring programs that need the sensor's own code: bench targets of the package `sensor-tests` without a harness.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::child::{Running, contestant};
use super::offline::scratch;
use super::table::Table;
use super::{Options, machine};
use crate::program as programs;

/// One round of `bench kernel` takes less.
const LIMIT: Duration = Duration::from_secs(300);

/// Builds the bench target and says where it is.
pub fn build(name: &str) -> Result<PathBuf> {
    let build = || {
        let mut cargo = programs::cargo();
        cargo.args(["bench", "--quiet", "--package", "sensor-tests", "--bench", name, "--no-run"]);
        programs::output(cargo.arg("--message-format=json"))
    };
    let said = crate::step::announced(&format!("building the bench `{name}`"), build)?;
    executable(&said, name).with_context(|| format!("cargo built no bench target `{name}`"))
}

/// Where cargo says that it put the target.
fn executable(said: &str, name: &str) -> Option<PathBuf> {
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut built = messages.filter(|message| message["target"]["name"] == name);
    built.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

/// Programs as they are commonly written, and the sensor's.
const TWIN: &str = "twin";
/// What `flows: 0` means.
const NEW: &str = "new flows";

/// `cargo xtask bench kernel`: the bench target `kernel` takes turns with the programs itself, and prints a JSON object
/// for each: `{"program": "full", "flows": 10000, "ns": [41, 42, 41]}`, a figure a round.
pub fn kernel(options: &Options) -> Result<()> {
    if !programs::is_root() {
        bail!("loading programs into the kernel needs root: run the same command as root");
    }
    let program = build("kernel")?;
    // First come, first served: nobody else runs on this core meanwhile.
    let mut command = contestant("chrt");
    command.args(["--fifo", "20", "taskset", "--cpu-list", &machine::last_cpu().to_string()]).arg(&program);
    command.env("VESPER_BENCH_ROUNDS", options.rounds.to_string());
    let done =
        Running::start("kernel", &mut command, &scratch("kernel")?)?.finish(LIMIT)?.ok("kernel", None)?;

    let title =
        format!("kernel: BPF_PROG_TEST_RUN on one core, nanoseconds a packet, rounds: {}", options.rounds);
    let mut table = Table::new("kernel", title);
    for (row, column, value) in measurements(&done.said) {
        if options.wants(&row) {
            table.add(&row, &column, value);
        }
    }
    if table.column_names().is_empty() {
        bail!("the bench target `kernel` printed no measurement: {}", done.said);
    }
    for column in table.column_names() {
        table.ratio(&column, TWIN);
    }
    table.note("empty: nothing at all; noop: makes the packet of a flow; twin: a per-CPU LRU hash map, the fine clock");
    table.note("shared_hash, percpu_hash: a hash map, the coarse clock; without the atomic additions a shared one needs");
    table.note("entry: parses, hashes and adds to one entry, without a lookup: what a table in memory costs at least");
    table.note("full: the sensor's program; it is drained between calls, which is not in its figures");
    table.note(
        "drain: reading the sensor's flow table, nanoseconds for each flow that had packets, in user space",
    );
    table.publish()
}

/// Program, column and nanoseconds, of what the bench target printed.
fn measurements(said: &str) -> Vec<(String, String, f64)> {
    let mut all = Vec::new();
    for object in said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let (Some(name), Some(flows)) = (object["program"].as_str(), object["flows"].as_u64()) else {
            continue;
        };
        let samples = object["ns"].as_array().map(Vec::as_slice).unwrap_or_default();
        // The program that only sees new flows is the same one otherwise, and so is one that makes its packets.
        let row = name.strip_suffix("_new").or(name.strip_suffix("_drawn")).unwrap_or(name);
        let column = match flows {
            0 => NEW.to_owned(),
            1 => "1 flow".to_owned(),
            many if many.is_multiple_of(1_000_000) => format!("{}M flows", many / 1_000_000),
            many => format!("{}k flows", many / 1000),
        };
        let samples = samples.iter().filter_map(Value::as_f64);
        all.extend(samples.map(|value| (row.to_owned(), column.clone(), value)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_and_programs_print_is_understood() {
        let said = r#"{"reason":"compiler-artifact","target":{"name":"sensor"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"kernel"},"executable":"/t/kernel-12ab"}"#;
        assert_eq!(executable(said, "kernel"), Some(PathBuf::from("/t/kernel-12ab")));
        assert_eq!(executable(said, "live"), None);
        let said = "hello\n{\"program\":\"full_new\",\"flows\":0,\"ns\":[8,9]}\n{\"flows\":1}\n";
        let found = |value| ("full".to_owned(), NEW.to_owned(), value);
        assert_eq!(measurements(said), [found(8.0), found(9.0)]);
    }
}
