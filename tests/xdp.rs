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

/// Frames that are not IP are in no flow, and are samples all the same: ARP and the others each with a budget, beyond
/// which they thin out. The weights still add up to the frames.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn frames_that_are_not_ip_are_sampled_with_their_weight() {
    const FRAMES: u32 = 100_000;
    let arp = frames::ethernet(0x0806, &[0; 46]);
    let goose = frames::ethernet(0x88b8, &[0; 46]);
    let cut_off = frames::ethernet(0x0800, &[0x45; 8]);
    let mut kernel = Kernel::new(1024);
    let control = Control { mode: mode::HOST, other_per_second: 100, ..Control::default() };
    kernel.program.set_control(control).unwrap();
    let mut ring = kernel.program.take_samples().unwrap();
    let mut send = |frame: &[u8], repeat: u32| {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        kernel.program.xdp().unwrap().test_run(options).unwrap();
        let mut weights = Vec::new();
        while let Some(record) = ring.next() {
            assert_eq!(record[24..24 + frame.len()], *frame);
            weights.push(u32::from_ne_bytes(record[16..20].try_into().unwrap()));
        }
        weights
    };
    let weights = send(&goose, FRAMES);
    // A flood of others does not keep ARP out.
    assert_eq!(send(&arp, 50), [1; 50]);
    assert!(send(&cut_off, 50).is_empty(), "IP that cannot be read is counted, not sampled");

    assert_eq!(weights[..100], [1; 100]);
    // 100 samples at each of 1, 1/2, 1/4 .. 1/512, or a step less where a new second begins meanwhile.
    let rarest = weights.iter().max().unwrap();
    assert!((256..=1024).contains(rarest), "{rarest} in {} samples", weights.len());
    // The deviation is a tenth of the frames of each step: 6,000 in all.
    let estimate: u32 = weights.iter().sum();
    assert!(estimate.abs_diff(FRAMES) < FRAMES / 3, "{estimate}");
    let totals = kernel.totals();
    assert_eq!(totals.not_counted_total().packets, u64::from(FRAMES) + 100);
    assert_eq!(totals.sampled, weights.len() as u64 + 50);
    assert_eq!(totals.lost_ringbuf_full, 0);

    kernel.set(mode::HOST, 10);
    kernel.run(&arp);
    assert_eq!(kernel.totals().sampled, totals.sampled, "a budget of 0 is none");
}
