//! `bench live --frames`: the kernel's own packet generator (BPF_PROG_TEST_RUN with live frames), the veth pair and
//! the program under test on one CPU; the sensor's user half on the other. What a program costs is what the
//! generator gets done less than with a program that only drops.

use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::listeners::{ALL_ADMITTED, DROP, ENTRY, LISTENERS, Listener, Place, prepare};
use super::{ACCOUNTED, LIMIT};
use crate::bench::child::Running;
use crate::bench::offline::number_after;
use crate::bench::table::Table;
use crate::bench::{Options, program};
use crate::{interrupt, program as programs, setup};

const FLOWS: u64 = 100_000;
/// Before the measurement: every flow is known, and its first packets were looked at.
const WARM_UP: u64 = 16 * FLOWS;
const PACKETS: u64 = 16_000_000;

const SPEED: &str = "M packets/CPU-s";

/// The program that only drops is in this object.
pub fn object() -> PathBuf {
    programs::root().join("sensor-ebpf/bench-programs.o")
}

/// `cargo xtask bench live --frames`.
pub fn run(options: &Options) -> Result<()> {
    setup::for_live_bench()?;
    let sender = program::build("frames")?;
    let place = super::place()?;
    let title = format!(
        "live frames: generator, veth and program on one core, {FLOWS} flows, {PACKETS} packets a round, rounds: {}",
        options.rounds
    );
    let mut table = Table::new("frames", title);
    for (column, decimals) in [(SPEED, 2), ("ns/packet", 1), ("arrived", 4), (ACCOUNTED, 6)] {
        table.column(column, decimals);
    }
    let dropper = place.dropper.is_some();
    let chosen = |one: &&Listener| ([DROP, ENTRY].contains(&one.name) && dropper) || one.name == "vesper";
    for round in 0..options.rounds {
        for listener in LISTENERS.iter().filter(chosen) {
            measure(listener, &place, &sender, &mut table)
                .with_context(|| format!("{} in round {}", listener.name, round + 1))?;
        }
        println!("round {} of {} done", round + 1, options.rounds);
    }
    table.ratio(SPEED, DROP);
    table.note(format!("{ENTRY}: parses, hashes and adds to one entry, without a lookup: what a table in memory costs at least"));
    if !dropper {
        table.note(format!("no {}: nothing to compare with", object().display()));
    }
    table.publish()
}

fn measure(listener: &Listener, place: &Place, sender: &PathBuf, table: &mut Table) -> Result<()> {
    prepare(place, ALL_ADMITTED)?;
    let mut command = (listener.command)(place).context("it has no command")?;
    let running = Running::start(listener.name, &mut command, &place.folder)?;
    interrupt::pause(listener.starts_within)?;

    let before = place.pair.received()?;
    let mut command = place.pair.sender(sender);
    command.args(["send", "tx0", &FLOWS.to_string(), &WARM_UP.to_string(), &PACKETS.to_string()]);
    let done = Running::start("sender", &mut command, &place.folder)?.finish(LIMIT)?.ok("frames", None)?;
    interrupt::pause(super::DRAINED)?;
    let received = place.pair.received()? - before;
    let seconds = number_after(&done.said, "cpu_ns:")? as f64 / 1e9;

    running.signal(Signal::TERM)?;
    let done = running.finish(LIMIT)?.ok(listener.name, Some(Signal::TERM))?;
    if let Some(accounted) = (listener.after)(place, &done.said)? {
        table.add(listener.name, ACCOUNTED, accounted as f64 / received as f64);
    }
    let arrived = received as f64 / (WARM_UP + PACKETS) as f64;
    let packets = PACKETS as f64 * arrived;
    table.add(listener.name, SPEED, packets / seconds / 1e6);
    table.add(listener.name, "ns/packet", seconds * 1e9 / packets);
    table.add(listener.name, "arrived", arrived);
    Ok(())
}
