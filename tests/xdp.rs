//! The XDP program on frames made by hand, through BPF_PROG_TEST_RUN: what becomes of a packet, and what a full map
//! does. That it parses as user space does is shown in `differential`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aya::TestRun;
use aya::programs::TestRunOptions;
use sensor::capture::{Drain, FlowDelta, Frames, Program, TableSize};
use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::counter::Totals;
use sensor_tests::frames;

const PASS: u32 = 2;
const DROP: u32 = 1;

struct Kernel {
    program: Program,
    drain: Drain,
}

impl Kernel {
    fn new(entries: u32) -> Kernel {
        let program = Program::load(TableSize::new(entries, 1, false), Frames::Single).unwrap();
        let drain = Drain::new(&program.table, Duration::from_secs(3600));
        Kernel { program, drain }
    }

    /// What flows grew by. No packet is under way here, so there is nothing to wait for.
    fn drained(&mut self) -> Vec<FlowDelta> {
        let mut deltas = Vec::new();
        self.drain.drain(&mut self.program, 0, 0, false, |delta| deltas.push(delta)).unwrap();
        deltas
    }

    fn run(&mut self, frame: &[u8]) -> u32 {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        self.program.xdp().unwrap().test_run(options).unwrap().return_value
    }

    fn totals(&self) -> Totals {
        self.program.totals().unwrap()
    }

    fn set(&mut self, mode: u32, first_packets: u32) {
        let control = Control { mode, first_packets, ..Control::default() };
        self.program.set_control(control).unwrap();
    }
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_full_map_counts_what_it_has_no_room_for() {
    let mut kernel = Kernel::new(1024);
    let source = |index: u32| (IpAddr::from(Ipv4Addr::from(0x0a00_0000 + index)), 1000);
    let target = (IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)), 53);
    for index in 0..1500 {
        kernel.run(&frames::udp(source(index), target, b"x"));
    }
    let deltas = kernel.drained();
    let drained: u64 = deltas.iter().map(|delta| delta.grown.packets.iter().sum::<u64>()).sum();
    let totals = kernel.totals();
    assert_eq!(totals.counted.packets, 1500);
    assert!(totals.overflow_table_full.packets > 0);
    assert_eq!(drained + totals.overflow_total().packets, 1500);
    // A flow that has room goes on being counted there.
    kernel.run(&frames::udp(source(0), target, b"x"));
    assert_eq!(kernel.drained().len(), 1);
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_control_map_decides_what_becomes_of_a_packet() {
    let frame = frames::udp(
        (Ipv4Addr::new(192, 0, 2, 7).into(), 1),
        (Ipv4Addr::new(192, 0, 2, 8).into(), 2),
        &[7; 1000],
    );
    let mut kernel = Kernel::new(1024);
    assert_eq!((kernel.run(&frame), kernel.totals().sampled), (PASS, 0), "before user space is ready");

    kernel.set(mode::MIRROR, 3);
    // The flow has one packet already: two more are samples, which no socket takes here.
    let verdicts: Vec<u32> = (0..4).map(|_| kernel.run(&frame)).collect();
    let totals = kernel.totals();
    assert_eq!(verdicts, [DROP; 4]);
    assert_eq!((totals.sampled, totals.lost_no_socket), (2, 2));

    kernel.set(mode::HOST, 1_000);
    assert_eq!(kernel.run(&frame), PASS);
    assert_eq!(kernel.totals().sampled, 3);
    let mut ring = kernel.program.take_samples().unwrap();
    let record = ring.next().expect("a copy of the sample");
    assert_eq!(record[8..16], [(frame.len() as u32).to_ne_bytes(), 512u32.to_ne_bytes()].concat());
    // A first packet: it stands for itself alone.
    assert_eq!(record[16..20], 1u32.to_ne_bytes());
    assert_eq!(record[24..], frame[..512]);
}
