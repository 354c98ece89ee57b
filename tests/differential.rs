//! The parser in the kernel against the parser in user space: the same frames go through the XDP program
//! (BPF_PROG_TEST_RUN) and through the library, and both must say the same of them, flow by flow and reason by reason.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor::capture::replay::{Replay, ReplayConfig};
use sensor::capture::{Event, Link};
use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::counter::{REASONS, Totals};
use sensor_ebpf::flow::{FlowKey, FlowStats};
use sensor_ebpf::parse::parse_ethernet;
use sensor_tests::corpus::{Mutator, SHORTEST, every_kind};
use sensor_tests::kernel::Kernel;

/// Verdict of the program while user space has asked for nothing.
const PASS: u32 = 2;
/// Frames compared at once: reading the kernel's side costs as much as running many frames.
const CHUNK: usize = 4096;
/// Room for the flows of a chunk, with some to spare: no bucket fills up.
const ENTRIES: u32 = 4 * CHUNK as u32;

/// What either side says of some frames.
#[derive(Debug, Default, PartialEq)]
struct Said {
    totals: Totals,
    /// Times are left out.
    flows: HashMap<FlowKey, FlowStats>,
}

/// Compares frame by frame what differs as a whole.
struct Comparison {
    kernel: Kernel,
    before: Totals,
    pending: Vec<Vec<u8>>,
    compared: u64,
    tunnelled: u64,
}

impl Comparison {
    fn new() -> Comparison {
        let kernel = Kernel::new(ENTRIES);
        let before = kernel.totals();
        Comparison { kernel, before, pending: Vec::with_capacity(CHUNK), compared: 0, tunnelled: 0 }
    }

    fn frame(&mut self, frame: Vec<u8>) {
        self.pending.push(frame);
        if self.pending.len() >= CHUNK {
            self.compare();
        }
    }

    fn compare(&mut self) {
        let mut frames = std::mem::take(&mut self.pending);
        if !self.same(&frames) {
            let frame = self.culprit(&frames);
            let (kernel, user) = (self.kernel(&[frame]), user(&[frame]));
            panic!("{frame:02x?}\nin the kernel: {kernel:?}\nin user space: {user:?}");
        }
        self.compared += frames.len() as u64;
        frames.clear();
        self.pending = frames;
    }

    /// One of the frames on which the two differ.
    fn culprit<'a>(&mut self, frames: &'a [Vec<u8>]) -> &'a Vec<u8> {
        let mut suspects = frames;
        while suspects.len() > 1 {
            let (first, second) = suspects.split_at(suspects.len() / 2);
            suspects = if !self.same(first) {
                first
            } else {
                assert!(!self.same(second), "only together do they differ: {suspects:02x?}");
                second
            };
        }
        &suspects[0]
    }

    fn same(&mut self, frames: &[Vec<u8>]) -> bool {
        let user = user(frames);
        self.tunnelled += in_tunnels(&user);
        self.kernel(frames) == user
    }

    fn kernel(&mut self, frames: &[impl AsRef<[u8]>]) -> Said {
        for frame in frames {
            assert_eq!(self.kernel.run(frame.as_ref()), PASS);
        }
        let (before, after) = (self.before, self.kernel.totals());
        self.before = after;
        let mut flows = self.kernel.flows();
        for stats in flows.values_mut() {
            (stats.first, stats.last) = (0, 0);
        }
        Said { totals: grown(&before, &after), flows }
    }
}

fn user(frames: &[impl AsRef<[u8]>]) -> Said {
    let mut said = Said::default();
    for frame in frames.iter().map(AsRef::as_ref) {
        let bytes = frame.len() as u64;
        said.totals.seen.add(bytes);
        match parse_ethernet(frame) {
            Ok(packet) => {
                said.totals.counted.add(bytes);
                let direction = usize::from(packet.reverse);
                let stats = said.flows.entry(packet.key).or_default();
                if stats.packets == [0, 0] {
                    stats.set_first_packet(direction, bytes, packet.tcp_flags, 0);
                } else {
                    stats.add_packet(direction, bytes, packet.tcp_flags, 0);
                }
            }
            Err(reason) => said.totals.not_counted[reason as usize].add(bytes),
        }
    }
    said
}

/// Packets whose flow is in a tunnel.
fn in_tunnels(said: &Said) -> u64 {
    let tunnels = said.flows.iter().filter(|(key, _)| key.tunnel != 0);
    tunnels.map(|(_, stats)| stats.packets.iter().sum::<u64>()).sum()
}

/// What the totals grew by; the bins of samples stay at 0, for there are none.
fn grown(before: &Totals, after: &Totals) -> Totals {
    let mut grown = *after;
    let less = |into: &mut sensor_ebpf::counter::Count, from: &sensor_ebpf::counter::Count| {
        into.packets -= from.packets;
        into.bytes -= from.bytes;
    };
    for (into, from) in grown.not_counted.iter_mut().zip(&before.not_counted) {
        less(into, from);
    }
    less(&mut grown.counted, &before.counted);
    less(&mut grown.overflow_table_full, &before.overflow_table_full);
    less(&mut grown.overflow_not_admitted, &before.overflow_not_admitted);
    less(&mut grown.overflow_no_lane, &before.overflow_no_lane);
    less(&mut grown.seen, &before.seen);
    grown
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn every_kind_of_frame_cut_at_every_byte() {
    let mut comparison = Comparison::new();
    for frame in every_kind() {
        for len in SHORTEST..=frame.len() {
            comparison.frame(frame[..len].to_vec());
        }
    }
    comparison.compare();
    let seen = comparison.kernel.totals();
    let missing: Vec<usize> =
        (0..REASONS - 1).filter(|&reason| seen.not_counted[reason].packets == 0).collect();
    assert!(missing.is_empty(), "the corpus does not reach these reasons: {missing:?}");
    assert!(comparison.tunnelled > 1000, "tunnels were looked into: {}", comparison.tunnelled);
    eprintln!("{} frames, {} packets in tunnels", comparison.compared, comparison.tunnelled);
}

/// A million of them; `VESPER_DIFFERENTIAL_FRAMES` asks for another number, `VESPER_DIFFERENTIAL_SEED` for others.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn what_chance_makes_of_frames() {
    let number = |name: &str, usual: u64| {
        std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    };
    let frames = number("VESPER_DIFFERENTIAL_FRAMES", 1_000_000);
    let mut mutator = Mutator::new(number("VESPER_DIFFERENTIAL_SEED", 0x5eed));
    let mut comparison = Comparison::new();
    for _ in 0..frames {
        comparison.frame(mutator.frame());
    }
    comparison.compare();
    assert_eq!(comparison.compared, frames);
    eprintln!("{frames} frames, {} packets in tunnels", comparison.tunnelled);
}

/// Captures from a folder outside of the repository, as in `captures`.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn frames_of_real_captures() {
    let folder = std::env::var_os("VESPER_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let archive = folder.join("parser/captures.tar.gz");
    if !archive.is_file() {
        eprintln!("SKIPPED: no captures at {}; set VESPER_DATA to their folder", archive.display());
        return;
    }
    let unpacked = tempfile::tempdir().unwrap();
    let done = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(unpacked.path()).status().unwrap();
    assert!(done.success(), "tar cannot unpack {}", archive.display());
    let mut comparison = Comparison::new();
    let mut captures = 0;
    each_file(unpacked.path(), &mut |path| captures += u64::from(compare_capture(path, &mut comparison)));
    comparison.compare();
    eprintln!(
        "{captures} captures, {} frames, {} packets in tunnels",
        comparison.compared, comparison.tunnelled
    );
    assert!(comparison.compared > 0, "no frames in {}", archive.display());
}

/// Every packet of a capture is a sample, and so comes out as a frame. Whether the file is one.
fn compare_capture(path: &Path, comparison: &mut Comparison) -> bool {
    let everything = Control { mode: mode::HOST, first_packets: u32::MAX, ..Control::default() };
    let config = ReplayConfig { control: everything, ..ReplayConfig::default() };
    let Ok(mut replay) = Replay::open(&[path.to_owned()], config) else {
        return false;
    };
    while let Ok(Some(event)) = replay.next_event() {
        let Event::Samples(samples) = event else { continue };
        for sample in samples {
            let mut frame = match sample.link {
                Link::Ethernet => sample.frame.to_vec(),
                // Another link layer: the kernel gets the packet behind an Ethernet header.
                Link::Network { ethertype, at } => {
                    let packet = sample.frame.get(usize::from(at)..).unwrap_or_default();
                    sensor_tests::frames::ethernet(ethertype, packet)
                }
                Link::Unknown => continue,
            };
            frame.resize(frame.len().max(SHORTEST), 0);
            comparison.frame(frame);
        }
    }
    true
}

fn each_file(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { each_file(&path, visit) } else { visit(&path) }
    }
}
