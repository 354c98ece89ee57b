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

#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_weights_of_samples_add_up_to_the_packets() {
    const PACKETS: u32 = 100_000;
    let frame = frames::udp(
        (Ipv4Addr::new(192, 0, 2, 7).into(), 1),
        (Ipv4Addr::new(192, 0, 2, 8).into(), 2),
        &[7; 100],
    );
    let mut kernel = Kernel::new(1024);
    let control = Control { mode: mode::HOST, first_packets: 10, one_in: 50, ..Control::default() };
    kernel.program.set_control(control).unwrap();
    let options = TestRunOptions { data_in: Some(&frame), repeat: PACKETS, ..TestRunOptions::new() };
    kernel.program.xdp().unwrap().test_run(options).unwrap();
    let mut ring = kernel.program.take_samples().unwrap();
    let mut weights = Vec::new();
    while let Some(record) = ring.next() {
        weights.push(u32::from_ne_bytes(record[16..20].try_into().unwrap()));
    }
    assert_eq!(weights.len() as u64, kernel.totals().sampled);
    assert_eq!(weights[..10], [1; 10]);
    assert!(weights[10..].iter().all(|&weight| weight == 50));
    // 2,000 samples are expected; six standard deviations (44.3) either way.
    let estimate: u32 = weights.iter().sum();
    assert!(estimate.abs_diff(PACKETS) < 6 * 45 * 50, "{estimate}");
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn outer_addresses_of_tunnelled_flows_are_kept() {
    let inner = frames::udp(
        (Ipv4Addr::new(10, 0, 0, 1).into(), 1),
        (Ipv4Addr::new(10, 0, 0, 2).into(), 2),
        b"inside",
    );
    let outer = (Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(192, 0, 2, 8));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 99, 0][..], &inner].concat();
    let mut kernel = Kernel::new(1024);
    kernel.run(&frames::udp((outer.0.into(), 5555), (outer.1.into(), 4789), &vxlan));
    let deltas = kernel.drained();
    let told = std::mem::take(&mut kernel.drain.tunnels);
    assert_eq!((deltas.len(), told.len()), (1, 1));
    assert_eq!(told[0].key, deltas[0].key);
    assert_eq!(told[0].addresses, [outer.0, outer.1].map(|address| address.to_ipv6_mapped().octets()));
    // Told once.
    kernel.run(&frames::udp((outer.0.into(), 5555), (outer.1.into(), 4789), &vxlan));
    assert_eq!((kernel.drained().len(), kernel.drain.tunnels.len()), (1, 0));
}

/// What the verifier walks decides how long a start takes, and whether an older kernel takes the program at all. The
/// stack needs no number: the verifier refuses more than 512 bytes over all calls.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_program_stays_within_its_budget() {
    for frames in [Frames::Single, Frames::Multiple] {
        let mut program = Program::load(TableSize::new(1024, 1, false), frames).unwrap();
        let info = program.xdp().unwrap().info().unwrap();
        let (verified, bytes) = (info.verified_instruction_count().unwrap(), info.size_translated().unwrap());
        println!("{frames:?}: {verified} instructions verified, {} in the program", bytes / 8);
        assert!(verified < 250_000, "{verified}: the limit of the kernel is 1,000,000");
        assert!(bytes / 8 < 5_000, "{}", bytes / 8);
    }
}
