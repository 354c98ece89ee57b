//! `bench flood`: a million spoofed packets a second, each flow one to four packets long, while five thousand flows
//! that were there before send one packet a second each. Then ten million flows in a minute.
//!
//! What a packet costs is what the sender takes longer for than with a program that only drops (the kernel's half runs
//! in its softirq), and the sensor's own CPU time.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;

use super::listeners::{DROP, LISTENERS, Listener, Place, prepare};
use crate::bench::child::Running;
use crate::bench::offline::number_after;
use crate::bench::table::Table;
use crate::bench::{Options, program};
use crate::{interrupt, setup};

/// Flows that are there before.
const ESTABLISHED: u64 = 5_000;
/// Packets of the flood in a second, sent in four bursts.
const RATE: u64 = 1_000_000;
const SECONDS: u64 = 10;
/// Ten million flows of one packet in a minute.
const WIDE: (u64, u64) = (166_668, 60);

const SENDER: &str = "sender ns/packet";
const PROCESS: &str = "process ns/packet";
const MEMORY: &str = "peak MiB";
const RESIDUE: &str = "residues";
const ACCOUNTED: &str = "accounted";

/// `cargo xtask bench flood`.
pub fn run(options: &Options) -> Result<()> {
    setup::for_live_bench()?;
    let sender = program::build("frames")?;
    let place = super::place()?;
    let title = format!(
        "flood: {ESTABLISHED} established flows, {RATE} spoofed packets a second, rounds: {}",
        options.rounds
    );
    let mut table = Table::new("flood", title);
    for (column, decimals) in [(SENDER, 0), (PROCESS, 0), (MEMORY, 0), (ACCOUNTED, 6), (RESIDUE, 0)] {
        table.column(column, decimals);
    }
    let chosen = |one: &&Listener| one.name == DROP || one.name == "vesper";
    for round in 0..options.rounds {
        for listener in LISTENERS.iter().filter(chosen) {
            for repeat in 1..=4 {
                let row = format!("{}, {repeat} a flow", listener.name);
                measure(listener, &place, &sender, (&row, repeat, RATE, SECONDS), &mut table)
                    .with_context(|| format!("{row} in round {}", round + 1))?;
            }
        }
        println!("round {} of {} done", round + 1, options.rounds);
    }
    for listener in LISTENERS.iter().filter(|one| one.name == "vesper") {
        let row = "vesper, ten million flows in a minute";
        measure(listener, &place, &sender, (row, 1, WIDE.0, WIDE.1), &mut table).context(row)?;
    }
    table.note("process: beyond nothing; the kernel's half is the sender's time beyond that with XDP drop");
    table.note("residues: how many equations of the ledger do not hold at the end");
    table.publish()
}

fn measure(
    listener: &Listener,
    place: &Place,
    sender: &Path,
    (row, repeat, rate, seconds): (&str, u64, u64, u64),
    table: &mut Table,
) -> Result<()> {
    prepare(place, "")?;
    let mut command = (listener.command)(place).context("it has no command")?;
    let running = Running::start(listener.name, &mut command, &place.folder)?;
    interrupt::pause(listener.starts_within)?;
    let (before, own) = (place.pair.received()?, running.cpu()?);

    let mut command = place.pair.sender(sender);
    let numbers = [ESTABLISHED, repeat, rate, seconds].map(|number| number.to_string());
    command.arg("flood").arg("tx0").args(numbers);
    let done =
        Running::start("sender", &mut command, &place.folder)?.finish(super::LIMIT)?.ok("frames", None)?;
    interrupt::pause(super::DRAINED)?;
    let received = (place.pair.received()? - before) as f64;
    let cpu = number_after(&done.said, "cpu_ns:")? as f64;

    running.signal(Signal::TERM)?;
    let done = running.finish(super::LIMIT)?.ok(listener.name, Some(Signal::TERM))?;
    table.add(row, SENDER, cpu / received);
    table.add(row, PROCESS, (done.cpu - own) * 1e9 / received);
    table.add(row, MEMORY, done.peak_mib);
    if let Some(accounted) = (listener.after)(place, &done.said)? {
        table.add(row, ACCOUNTED, accounted as f64 / received);
        table.add(row, RESIDUE, unbalanced(&done.said)?);
    }
    Ok(())
}

/// How many equations do not hold, by the sensor's summary.
fn unbalanced(said: &str) -> Result<f64> {
    let line = said.lines().rfind(|line| line.starts_with('{')).context("the sensor printed no summary")?;
    let summary: Value = serde_json::from_str(line).context("read the sensor's summary")?;
    let residue = summary["residue"].as_object().context("the summary has no residues")?;
    Ok(residue.values().filter(|value| value.as_i64() != Some(0)).count() as f64)
}
