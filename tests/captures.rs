//! Real captures, odd and broken ones among them, from a folder outside of the repository: `VESPER_DATA`, or
//! `../shared/data` beside the workspace. None may panic or hang the reader; every packet is in a bin, and there
//! are as many as a second, independent count finds.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::MultiGzDecoder;
use sensor::capture::Event;
use sensor::capture::replay::{Replay, ReplayConfig, ReplayError};
use sensor_ebpf::counter::Totals;

#[test]
fn every_capture_is_accounted_for() {
    let folder = std::env::var_os("VESPER_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    if !folder.is_dir() {
        eprintln!(
            "SKIPPED: no capture data at {}; set VESPER_DATA to a folder of captures",
            folder.display()
        );
        return;
    }
    let unpacked = tempfile::tempdir().unwrap();
    let mut captures = Vec::new();
    collect(&folder, unpacked.path(), &mut captures);
    captures.sort();
    let (mut packets, mut damaged, mut refused) = (0, 0, 0);
    for capture in &captures {
        match check(capture) {
            Some((count, truncated)) => {
                packets += count;
                damaged += usize::from(truncated);
            }
            None => refused += 1,
        }
    }
    eprintln!("{} files, {packets} packets, {damaged} damaged, {refused} no captures", captures.len());
    assert!(packets > 0, "no packets under {}", folder.display());
}

/// Every file below `folder`; archives are unpacked under `unpacked` first.
fn collect(folder: &Path, unpacked: &Path, captures: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, unpacked, captures);
        } else if name.ends_with(".tar.gz") {
            let into = unpacked.join(&name);
            std::fs::create_dir(&into).unwrap();
            let done = Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(&into).status().unwrap();
            assert!(done.success(), "tar cannot unpack {}", path.display());
            collect(&into, unpacked, captures);
        } else if !name.contains(".csv") && !name.ends_with(".md") {
            captures.push(path);
        }
    }
}

/// Packets of a capture, and whether it is damaged; `None` where the file is refused as no capture.
fn check(path: &Path) -> Option<(u64, bool)> {
    let name = path.display();
    let opened = Replay::open(&[path.to_owned()], ReplayConfig { packets: true, ..ReplayConfig::default() });
    let mut replay = match opened {
        Ok(replay) => replay,
        Err(ReplayError::NotCapture { .. }) => return None,
        Err(error) => panic!("{name}: {error}"),
    };
    let mut totals = Totals::default();
    let (mut drained, mut samples, mut facts) = (0, 0, 0);
    while let Some(event) = replay.next_event().unwrap() {
        match event {
            Event::Samples(some) => samples += some.len() as u64,
            Event::Flows(deltas) => {
                drained += deltas.iter().flat_map(|delta| delta.grown.packets).sum::<u64>();
            }
            Event::Packets(packets) => facts += packets.len() as u64,
            Event::Tunnels(_) | Event::Listed(_) | Event::Lists(_) => {}
            Event::Tick(tick) => totals = tick.totals,
        }
    }
    let summary = replay.summary();
    assert_eq!(summary.packets, totals.seen.packets, "{name}");
    assert_eq!(summary.bytes, totals.seen.bytes, "{name}");
    assert_eq!(totals.seen.packets, totals.counted.packets + totals.not_counted_total().packets, "{name}");
    assert_eq!(totals.counted.packets, drained + totals.overflow_total().packets, "{name}");
    assert_eq!(totals.sampled, samples, "{name}");
    assert_eq!(totals.counted.packets, facts, "{name}");
    let counted = independent_count(path);
    assert_eq!(summary.packets, counted, "{name}: {:?}", summary.warnings);
    Some((summary.packets, summary.truncated))
}

/// Whole records of a pcap or pcapng file held in memory, as plainly as it can be said.
fn independent_count(path: &Path) -> u64 {
    let mut bytes = std::fs::read(path).unwrap();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        // What was unpacked before an error counts.
        let _ = MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain);
        bytes = plain;
    }
    let number = |at: usize, big: bool| {
        let four = bytes.get(at..at + 4)?.try_into().unwrap();
        Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) } as usize)
    };
    let pcapng = bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
    let mut big = if pcapng { bytes.get(8) == Some(&0x1a) } else { bytes[0] == 0xa1 };
    let record = if bytes[..4] == [0xa1, 0xb2, 0xcd, 0x34] || bytes[..4] == [0x34, 0xcd, 0xb2, 0xa1] {
        24
    } else {
        16
    };
    let mut at = if pcapng { 0 } else { 24 };
    let mut packets = 0;
    loop {
        let (kind, len) = if pcapng {
            if number(at, false) == Some(0x0a0d_0d0a) {
                big = bytes.get(at + 8) == Some(&0x1a);
            }
            let (Some(kind), Some(len)) = (number(at, big), number(at + 4, big)) else {
                break;
            };
            if len < 12 || len % 4 != 0 {
                break;
            }
            (kind, len)
        } else {
            let (Some(first), Some(second)) = (number(at + 8, big), number(at + 12, big)) else {
                break;
            };
            // Before version 2.3 the two lengths stood the other way round, and in 2.3 either way.
            let len = match bytes[if big { 7 } else { 6 }] {
                0..3 => second,
                3 => first.min(second),
                _ => first,
            };
            if len > 256 << 10 {
                break;
            }
            (6, record + len)
        };
        if at + len > bytes.len() {
            break;
        }
        packets += u64::from(matches!(kind, 2 | 3 | 6));
        at += len;
    }
    packets
}
