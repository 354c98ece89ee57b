//! Measuring programs that need the sensor's own code: bench targets of the package `sensor` without a harness.
//! They print one JSON object a line, `{"row": "full program", "column": "10k flows, ns/packet", "value": 41.2}`,
//! and anything else they like.

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
        cargo.args(["bench", "--quiet", "--package", "sensor", "--bench", name, "--no-run"]);
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

/// The measurements among what a program printed, in order.
fn measurements(said: &str) -> Vec<(String, String, f64)> {
    let objects = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    objects.filter_map(|it| Some((text(&it["row"])?, text(&it["column"])?, it["value"].as_f64()?))).collect()
}

/// `cargo xtask bench kernel`: rounds of the bench target `kernel`, ratios against its first row.
pub fn kernel(options: &Options) -> Result<()> {
    if !programs::is_root() {
        bail!("loading programs into the kernel needs root: run the same command as root");
    }
    let program = build("kernel")?;
    let folder = scratch("kernel")?;
    let title =
        format!("kernel: BPF_PROG_TEST_RUN on one core, nanoseconds a packet, {} rounds", options.rounds);
    let mut table = Table::new("kernel", title);
    let mut baseline = None;
    for round in 0..options.rounds {
        // First come, first served: nobody else runs on this core meanwhile.
        let mut command = contestant("chrt");
        command
            .args(["--fifo", "20", "taskset", "--cpu-list", &machine::last_cpu().to_string()])
            .arg(&program);
        let done = Running::start("kernel", &mut command, &folder)?.finish(LIMIT)?.ok("kernel", None)?;
        for (row, column, value) in measurements(&done.said) {
            if options.wants(&row) {
                table.add(&row, &column, value);
                baseline.get_or_insert(row);
            }
        }
        println!("round {} of {} done", round + 1, options.rounds);
    }
    let baseline = baseline.context("the bench target `kernel` printed no measurement")?;
    for column in table.column_names() {
        table.ratio(&column, &baseline);
    }
    table.publish()
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
        let said = "hello\n{\"row\":\"no-op\",\"column\":\"ns\",\"value\":8}\n{\"row\":\"x\"}\n";
        assert_eq!(measurements(said), [("no-op".to_owned(), "ns".to_owned(), 8.0)]);
    }
}
