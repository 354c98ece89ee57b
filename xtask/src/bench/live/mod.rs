//! `bench live`: packets into a veth pair at the rate where tcpreplay tops out, the sender on one CPU, each
//! contestant in turn on another.
//!
//! What the kernel does for a contestant (XDP, the copy into a packet socket) it does in the softirq of the sender,
//! so a contestant's cost is its own CPU time and what the sender takes longer than with nobody listening. A part of
//! the softirq may run elsewhere: the whole machine's busy time, less what it was busy with before, is shown too, for
//! rounds in which nobody else kept the machine busy.

pub mod flood;
pub mod frames;
mod listeners;
mod net;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::child::Running;
use super::input::Input;
use super::table::{Spread, Table};
use super::{Options, folder, machine, program, sensor};
use crate::{interrupt, setup};
use listeners::{ALL_ADMITTED, BARE, DROP, ENTRY, LISTENERS, Listener, Place, prepare};
use net::Pair;

/// The capture is repeated until there are so many packets: some seconds at the highest rate.
const PACKETS: u64 = 3_300_000;
/// Buffers are read to their end within this.
const DRAINED: Duration = Duration::from_millis(1500);
/// Time in which to see what else the machine does.
const IDLE: Duration = Duration::from_secs(1);
/// CPUs that may be busy before: where all are, what is added cannot be told.
const QUIET: f64 = 0.25;
const LIMIT: Duration = Duration::from_secs(120);

const OFFERED: &str = "offered kpps";
const ACCOUNTED: &str = "accounted";
const PROCESS: &str = "process";
const KERNEL: &str = "kernel";
const SUM: &str = "sum";
const MACHINE: &str = "whole machine";

/// One contestant in one round.
struct Sample {
    offered: f64,
    accounted: Option<f64>,
    /// CPU seconds per million packets: of the contestant, of the sender, of the machine if it was quiet before.
    process: f64,
    sender: f64,
    machine: Option<f64>,
}

/// `cargo xtask bench live`.
pub fn run(options: &Options) -> Result<()> {
    setup::for_live_bench()?;
    let input = options.input()?;
    let place = place()?;
    let mut rounds: Vec<(&Listener, Vec<Sample>)> = LISTENERS.iter().map(|one| (one, Vec::new())).collect();
    rounds.retain(|(one, _)| one.name == BARE || one.name != ENTRY && options.wants(one.name));
    if place.dropper.is_none() {
        rounds.retain(|(one, _)| one.name != DROP);
    }
    for round in 0..options.rounds {
        for (listener, samples) in &mut rounds {
            let sample = measure(listener, &place, &input);
            samples.push(sample.with_context(|| format!("{} in round {}", listener.name, round + 1))?);
        }
        println!("round {} of {} done", round + 1, options.rounds);
    }
    table(options, &input, &rounds).publish()
}

fn place() -> Result<Place> {
    let sensor = sensor()?;
    let dropper = frames::object().is_file().then(|| program::build("frames")).transpose()?;
    Ok(Place { folder: folder()?.join("live"), sensor, dropper, pair: Pair::up()? })
}

fn measure(listener: &Listener, place: &Place, input: &Input) -> Result<Sample> {
    prepare(place, ALL_ADMITTED)?;
    let command = (listener.command)(place);
    let running = command.map(|mut it| Running::start(listener.name, &mut it, &place.folder)).transpose()?;
    interrupt::pause(listener.starts_within)?;

    let idle = idle_rate()?;
    let (started, busy, received) = (Instant::now(), machine::busy()?, place.pair.received()?);
    let own = running.as_ref().map_or(Ok(0.0), Running::cpu)?;
    let sender = Running::start("sender", &mut replay(place, input), &place.folder)?;
    let sent = sender.finish(LIMIT)?.ok("tcpreplay", None)?;
    interrupt::pause(DRAINED)?;
    let machine = machine::busy()? - busy - idle * started.elapsed().as_secs_f64();

    let (packets, rate) = tcpreplay_result(&sent.said)?;
    let mut accounted = listener.before.map(|ask| ask(place)).transpose()?;
    let mut process = 0.0;
    if let Some(running) = running {
        running.signal(listener.signal)?;
        let done = running.finish(LIMIT)?.ok(listener.name, Some(listener.signal))?;
        process = done.cpu - own;
        accounted = accounted.or((listener.after)(place, &done.said)?);
    }
    if listener.name == DROP {
        accounted = Some(place.pair.received()? - received);
    }
    let million = packets / 1e6;
    Ok(Sample {
        offered: rate / 1e3,
        accounted: accounted.map(|count| count as f64 / packets),
        process: process / million,
        sender: sent.cpu / million,
        machine: (idle < QUIET).then_some(machine / million),
    })
}

/// Seconds that the machine is busy in a second, by itself.
fn idle_rate() -> Result<f64> {
    let (started, busy) = (Instant::now(), machine::busy()?);
    interrupt::pause(IDLE)?;
    Ok((machine::busy()? - busy) / started.elapsed().as_secs_f64())
}

fn replay(place: &Place, input: &Input) -> Command {
    let times = PACKETS.div_ceil(input.packets.max(1));
    let mut command = place.pair.sender("tcpreplay");
    // From memory, without statistics of its own, as fast as it can.
    command.args(["--topspeed", "--preload-pcap", "--no-flow-stats", "--intf1", "tx0"]);
    command.args(["--loop", &times.to_string()]).arg(&input.path);
    command
}

/// Packets sent and their rate: `Actual: 10 packets (600 bytes) sent in 1.50 seconds`.
fn tcpreplay_result(said: &str) -> Result<(f64, f64)> {
    let line = said.lines().find(|line| line.starts_with("Actual:"));
    let line = line.with_context(|| format!("tcpreplay did not say what it sent: {said}"))?;
    let numbers: Vec<f64> = line.split(['(', ' ']).filter_map(|word| word.parse().ok()).collect();
    let [packets, _bytes, seconds] = numbers[..] else {
        anyhow::bail!("tcpreplay speaks otherwise than expected: {line}");
    };
    Ok((packets, packets / seconds.max(1e-9)))
}

fn table(options: &Options, input: &Input, rounds: &[(&Listener, Vec<Sample>)]) -> Table {
    let title = format!(
        "live: {} again and again, rounds: {}; CPU seconds per million packets, beyond the bare sender's",
        input.described, options.rounds
    );
    let mut table = Table::new("live", title);
    for (column, decimals) in
        [(OFFERED, 0), (ACCOUNTED, 4), (PROCESS, 3), (KERNEL, 3), (SUM, 3), (MACHINE, 3)]
    {
        table.column(column, decimals);
    }
    let bare = rounds.iter().find(|(one, _)| one.name == BARE).map_or(&[][..], |(_, samples)| samples);
    let median = |what: fn(&Sample) -> Option<f64>| {
        Spread::of(&bare.iter().filter_map(what).collect::<Vec<_>>()).map(|spread| spread.median)
    };
    let bare_sender = median(|sample| Some(sample.sender)).unwrap_or_default();
    let bare_machine = median(|sample| sample.machine);
    for (listener, samples) in rounds {
        for sample in samples {
            let kernel = sample.sender - bare_sender;
            table.add(listener.name, OFFERED, sample.offered);
            if let Some(accounted) = sample.accounted {
                table.add(listener.name, ACCOUNTED, accounted);
            }
            table.add(listener.name, PROCESS, sample.process);
            table.add(listener.name, KERNEL, kernel);
            table.add(listener.name, SUM, sample.process + kernel);
            if let Some((machine, bare)) = sample.machine.zip(bare_machine) {
                table.add(listener.name, MACHINE, machine - bare);
            }
        }
    }
    table.ratio(SUM, "nfpcapd");
    table.ratio(SUM, "softflowd");
    table.note(format!("the bare sender takes {bare_sender:.3} CPU-s per million packets"));
    if bare_machine.is_none() {
        table.note(format!("{MACHINE}: not known, more than {QUIET} CPUs were busy with something else"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tcpreplay_says_is_understood() {
        let said = "Actual: 3300000 packets (211200000 bytes) sent in 4.00 seconds\nRated: 1 Bps\n";
        assert_eq!(tcpreplay_result(said).unwrap(), (3_300_000.0, 825_000.0));
        assert!(tcpreplay_result("Failed").is_err());
    }
}
