//! Nanoseconds a packet of the programs in `bench-programs.o`, as BPF_PROG_TEST_RUN tells them (the mean over one
//! call, without the call itself). Prints a line of JSON for each program and number of flows; `cargo xtask bench kernel`
//! runs it and makes a table of it.
#![allow(clippy::disallowed_methods, reason = "packets are paced and time is measured by the real clock")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints what it saw"
)]

use std::net::Ipv4Addr;

use aya::maps::Array;
use aya::programs::{TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, TestRun};
use sensor::capture::{Drain, Program, TableSize};
use sensor_ebpf::control::{Control, mode};
use sensor_tests::frames::{self, Tcp, flag};

/// Read when it runs, so that a new object needs no new build of this.
fn object() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../sensor-ebpf/bench-programs.o")).unwrap()
}

/// Packets of one call; the kernel gives their mean.
const REPEAT: u32 = 1_000_000;
/// Numbers of flows, each with the number of entries the tables get.
const FLOWS: [(u64, u32); 4] = [(1, 65_536), (10_000, 65_536), (100_000, 262_144), (1_000_000, 2_097_152)];
/// Without a table the number of flows hardly matters.
const WITHOUT_TABLE: [&str; 6] = ["empty", "noop", "parse", "clock_coarse", "clock_fine", "entry_drawn"];
const HASHES: [&str; 4] = ["twin", "twin_coarse", "shared_hash", "percpu_hash"];
/// New flows of one call, fewer than fit.
const FRESH: u32 = 500_000;

fn main() {
    let rounds: usize = std::env::var("VESPER_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    for (flows, entries) in FLOWS {
        let mut others: Vec<(&str, Other)> = WITHOUT_TABLE
            .iter()
            .chain(&HASHES)
            .map(|&name| (name, Other::new(name, flows, entries)))
            .collect();
        let mut full = Full::new("full", flows, entries);
        let mut samples = vec![Vec::new(); others.len() + 1];
        // Once around without counting: the tables fill.
        for round in 0..=rounds {
            for (at, (_, program)) in others.iter_mut().enumerate() {
                samples[at].extend((round > 0).then(|| program.run(REPEAT)));
            }
            let last = samples.len() - 1;
            samples[last].extend((round > 0).then(|| full.run(REPEAT)));
        }
        for ((name, _), samples) in others.iter().zip(&samples) {
            report(name, flows, samples);
        }
        report("full", flows, samples.last().unwrap());
        report("drain", flows, &full.drains[full.drains.len() - rounds..]);
    }
    let mut twin = Other::new("twin_new", 1, 2_097_152);
    let mut full = Full::new("full_new", 1, 2_097_152);
    let (mut twins, mut fulls) = (Vec::new(), Vec::new());
    for _ in 0..rounds.min(3) {
        twins.push(twin.run(FRESH));
        fulls.push(full.run(FRESH));
    }
    report("twin_new", 0, &twins);
    report("full_new", 0, &fulls);
}

fn report(program: &str, flows: u64, nanoseconds: &[u64]) {
    println!("{}", serde_json::json!({ "program": program, "flows": flows, "ns": nanoseconds }));
}

fn frame() -> Vec<u8> {
    let (a, b) = (Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(192, 0, 2, 1).into());
    frames::tcp(a, b, Tcp { src: 40_000, dst: 443, flags: flag::A, ..Tcp::default() }, &[0; 6])
}

fn test_run(program: &mut Xdp, repeat: u32) -> u64 {
    let frame = frame();
    // Draw, parse and count: all that returns PASS or ABORTED went wrong.
    let options = TestRunOptions { data_in: Some(&frame), repeat, ..TestRunOptions::new() };
    let result = program.test_run(options).unwrap();
    assert_eq!(result.return_value, 1, "XDP_DROP");
    result.duration.as_nanos() as u64
}

fn set_draw(ebpf: &mut Ebpf, flows: u64) {
    let mut draw: Array<_, [u64; 3]> = Array::try_from(ebpf.map_mut("DRAW").unwrap()).unwrap();
    draw.set(0, [flows, 0x2545_f491_4f6c_dd1d, 0], 0).unwrap();
}

/// A program that has no flow table of ours.
struct Other {
    ebpf: Ebpf,
    name: &'static str,
}

impl Other {
    fn new(name: &'static str, flows: u64, entries: u32) -> Other {
        let of = |prefix| if name.starts_with(prefix) { entries } else { 1 };
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("TWIN", of("twin"))
            .map_max_entries("SHARED_HASH", of("shared_hash"))
            .map_max_entries("PERCPU_HASH", of("percpu_hash"))
            .load(&object())
            .unwrap();
        set_draw(&mut ebpf, flows);
        let program: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
        program.load().unwrap();
        let mut other = Other { ebpf, name };
        if HASHES.contains(&name) {
            (0..4).for_each(|_| _ = other.run(REPEAT));
        }
        other
    }

    fn run(&mut self, repeat: u32) -> u64 {
        let program: &mut Xdp = self.ebpf.program_mut(self.name).unwrap().try_into().unwrap();
        test_run(program, repeat)
    }
}

/// The sensor's program, drained between calls as a sensor does.
struct Full {
    program: Program,
    drain: Drain,
    /// Nanoseconds for each flow of each drain.
    drains: Vec<u64>,
}

impl Full {
    fn new(name: &'static str, flows: u64, entries: u32) -> Full {
        let mut program = Program::load_from(&object(), name, TableSize::new(entries, 1, false)).unwrap();
        set_draw(program.ebpf(), flows);
        let sampling = Control { mode: mode::MIRROR, one_in: 1 << 30, ..Control::default() };
        program.set_control(sampling).unwrap();
        let drain = Drain::new(&program.table, std::time::Duration::from_secs(3600));
        let mut full = Full { program, drain, drains: Vec::new() };
        if flows > 1 {
            (0..4).for_each(|_| _ = full.run(REPEAT));
            let totals = full.program.totals().unwrap();
            assert_eq!(totals.overflow_total().packets, 0, "{totals:?}");
        }
        full
    }

    fn run(&mut self, repeat: u32) -> u64 {
        let before = self.program.totals().unwrap();
        let nanoseconds = test_run(self.program.xdp().unwrap(), repeat);
        let after = self.program.totals().unwrap();
        let (mut drained, mut flows) = (0, 0);
        let started = std::time::Instant::now();
        // No program runs now, so there is nothing to wait for.
        self.drain
            .drain(&mut self.program, 0, 0, false, |delta| {
                drained += delta.grown.packets.iter().sum::<u64>();
                flows += 1;
            })
            .unwrap();
        self.drains.push(started.elapsed().as_nanos() as u64 / flows.max(1));
        let overflow = after.overflow_total().packets - before.overflow_total().packets;
        assert_eq!(after.counted.packets - before.counted.packets, u64::from(repeat));
        assert_eq!(drained + overflow, u64::from(repeat), "every packet is in its flow");
        nanoseconds
    }
}
