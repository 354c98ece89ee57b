//! The XDP program on frames made by hand, through BPF_PROG_TEST_RUN: verdict, flow key and counts equal those of
//! the user-space parser on the same bytes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use aya::TestRun;
use aya::programs::TestRunOptions;
use sensor::capture::{Drain, FlowDelta, Frames, Program, TableSize};
use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::counter::{REASONS, Totals};
use sensor_ebpf::flow::FlowStats;
use sensor_ebpf::parse::parse_ethernet;
use sensor_tests::frames::{self, Tcp, ethertype, flag, proto};

const PASS: u32 = 2;
const DROP: u32 = 1;

/// The kernel refuses to run an XDP program on less than an Ethernet header.
const SHORTEST: usize = 14;

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

/// Frames of every kind the parser knows, and some it does not.
fn corpus() -> Vec<Vec<u8>> {
    let four: (IpAddr, IpAddr) = (Ipv4Addr::new(192, 0, 2, 7).into(), Ipv4Addr::new(198, 51, 100, 9).into());
    let six: (IpAddr, IpAddr) =
        (Ipv6Addr::LOCALHOST.into(), "2001:db8::1:2".parse::<Ipv6Addr>().unwrap().into());
    let mut frames = vec![frames::arp(Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(192, 0, 2, 1))];
    for (a, b) in [four, six, (four.1, four.0), (six.1, six.0)] {
        for flags in [flag::S, flag::S | flag::A, flag::P | flag::A, flag::F | flag::A, flag::R, 0xff] {
            let header = Tcp { src: 40_000, dst: 443, flags, ..Tcp::default() };
            frames.push(frames::tcp(a, b, header, b"payload"));
        }
        frames.push(frames::udp((a, 5353), (b, 53), b"query"));
        frames.push(frames::sctp((a, 1000), (b, 2905), &[0; 16]));
        for kind in [0, 3, 8, 11, 13, 128, 129, 135, 136] {
            frames.push(frames::icmp(a, b, kind, 1, b"ping"));
        }
        for protocol in [0, 2, 43, 44, 47, 50, 51, 59, 60, 89, 255] {
            frames.push(frames::ip(a, b, protocol, &[3; 64]));
        }
    }
    // IPv4 with options, first and later fragments; the fragment field is behind the identification.
    let segment = frames::udp_datagram((four.0, 1), (four.1, 2), b"fragment");
    let (IpAddr::V4(a), IpAddr::V4(b)) = four else { unreachable!() };
    for options in [&[][..], &[1; 4], &[1; 40]] {
        for fragment in [0, 0x2000, 0x2001, 0x00b9, 0x4000] {
            let packet = frames::ipv4(a, b, proto::UDP, options, fragment, &segment);
            frames.push(frames::ethernet(ethertype::IPV4, &packet));
        }
    }
    let (IpAddr::V6(a), IpAddr::V6(b)) = six else { unreachable!() };
    let chains: [&[u8]; 8] = [
        &[0],
        &[0, 60, 43],
        &[44],
        &[51],
        &[0, 60, 43, 44, 51, 60],
        &[60, 60, 60, 60, 60, 60, 60],
        &[43, 43, 43, 43, 43, 43, 43, 43],
        &[0, 44],
    ];
    for chain in chains {
        let headers: Vec<(u8, Vec<u8>)> = chain.iter().map(|&kind| (kind, vec![0; 6])).collect();
        let (next, payload) = frames::extension_headers(&headers, proto::UDP, &segment);
        frames.push(frames::ethernet(ethertype::IPV6, &frames::ipv6(a, b, next, &payload)));
    }
    for inner in frames.clone() {
        frames.push(frames::tagged(ethertype::VLAN, 0x6123, &inner));
        let doubly = frames::tagged(ethertype::QINQ, 0x0fff, &frames::tagged(ethertype::VLAN, 7, &inner));
        frames.push(frames::tagged(ethertype::VLAN, 1, &doubly));
        frames.push(doubly);
    }
    for first in [0x35, 0x44, 0x40, 0x55] {
        frames.push(frames::ethernet(ethertype::IPV4, &[first; 60]));
        frames.push(frames::ethernet(ethertype::IPV6, &[first; 60]));
    }
    for kind in [0x0003, 0x05ff, 0x0600, 0x8035, 0x88f7, 0x88b8, 0xffff] {
        frames.push(frames::ethernet(kind, &[0xaa; 50]));
    }
    frames
}

/// Runs a frame in the kernel and in user space and compares everything either says about it.
fn same_in_both(kernel: &mut Kernel, frame: &[u8]) {
    let before = kernel.totals();
    assert_eq!(kernel.run(frame), PASS);
    let after = kernel.totals();
    let deltas = kernel.drained();
    let bytes = frame.len() as u64;
    let mut expected = before;
    expected.seen.add(bytes);
    match parse_ethernet(frame) {
        Ok(packet) => {
            expected.counted.add(bytes);
            let mut grown = FlowStats::default();
            grown.add_packet(usize::from(packet.reverse), bytes, packet.tcp_flags, 0);
            assert_eq!(deltas.len(), 1, "one flow grew: {frame:02x?}");
            assert_eq!(deltas[0].key, packet.key, "{frame:02x?}");
            let kernel = deltas[0].grown;
            assert_eq!((kernel.packets, kernel.bytes), (grown.packets, grown.bytes), "{frame:02x?}");
            assert_eq!(kernel.flags, grown.flags, "{frame:02x?}");
        }
        Err(reason) => {
            expected.not_counted[reason as usize].add(bytes);
            assert!(deltas.is_empty(), "{reason:?}: {frame:02x?}");
        }
    }
    assert_eq!(after, expected, "{frame:02x?}");
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn kernel_and_user_space_parse_alike() {
    let mut kernel = Kernel::new(16_384);
    let corpus = corpus();
    for frame in &corpus {
        for len in SHORTEST..=frame.len() {
            same_in_both(&mut kernel, &frame[..len]);
        }
    }
    let seen = kernel.totals();
    let missing: Vec<usize> =
        (0..REASONS - 1).filter(|&reason| seen.not_counted[reason].packets == 0).collect();
    assert!(missing.is_empty(), "the corpus does not reach these reasons: {missing:?}");
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn kernel_and_user_space_parse_alike_what_chance_makes() {
    let mut kernel = Kernel::new(16_384);
    let corpus = corpus();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for _ in 0..10_000 {
        let mut frame = corpus[next() % corpus.len()].clone();
        for _ in 0..1 + next() % 4 {
            // Headers are where the decisions are.
            let at = 12 + next() % (frame.len() - 12).min(60);
            frame[at] = next() as u8;
        }
        frame.truncate(SHORTEST.max(frame.len() - next() % 16));
        same_in_both(&mut kernel, &frame);
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
