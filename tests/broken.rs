//! Broken and hostile capture files: the good records count, the rest is said, and the reader never panics or loops.

use std::collections::HashSet;

use proptest::prelude::*;
use sensor::capture::replay::{Replay, ReplayConfig, ReplayError};
use sensor_tests::capture::{self, Fraction, Order, Packet};
use sensor_tests::frames;
use sensor_tests::outcome::{assert_conserved, replay};
use sensor_tests::traffic::{self, MILLISECOND, SECOND, Traffic};

/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600 * SECOND;

/// With what is only done when every packet is asked for.
fn every_packet() -> ReplayConfig {
    ReplayConfig { packets: true, ..ReplayConfig::default() }
}

#[test]
fn cut_at_every_byte() {
    let mut traffic = Traffic::new(4);
    traffic.port_scan(START, traffic::client(66), traffic::SSH.0, 50, 50 * MILLISECOND);
    let packets = traffic.into_packets();
    let order = Order::Little;
    for (name, file) in [
        ("pcap", capture::pcap(&packets, order, Fraction::Micro, capture::ETHERNET)),
        ("pcapng", capture::pcapng(&packets, order, capture::ETHERNET)),
        ("pcap.gz", capture::gzip(&capture::pcap(&packets, order, Fraction::Micro, capture::ETHERNET))),
    ] {
        let boundaries = boundaries(name, &packets);
        let mut before = 0;
        for cut in 0..file.len() {
            match replay(&file[..cut], every_packet()) {
                Ok(outcome) => {
                    assert_conserved(&outcome);
                    let clean = boundaries.contains(&cut);
                    assert_eq!(outcome.summary.truncated, !clean, "{name} cut at {cut}");
                    assert!(outcome.summary.packets >= before, "{name} cut at {cut}: fewer than with less");
                    assert!(outcome.summary.packets <= packets.len() as u64);
                    before = outcome.summary.packets;
                }
                Err(ReplayError::NotCapture { .. }) => assert!(before == 0, "{name} cut at {cut}"),
                Err(error) => panic!("{name} cut at {cut}: {error}"),
            }
        }
        let whole = replay(&file, every_packet()).unwrap();
        assert_eq!(whole.summary.packets, 100, "{name}");
    }
}

/// Where a file may end without anyone noticing.
fn boundaries(name: &str, packets: &[Packet]) -> HashSet<usize> {
    let (mut at, mut boundaries) = match name {
        "pcap" => (24, HashSet::from([24])),
        "pcapng" => (28 + 28, HashSet::from([28, 28 + 28])),
        _ => return HashSet::new(),
    };
    for packet in packets {
        let len = packet.frame.len();
        at += if name == "pcap" { 16 + len } else { 32 + len.next_multiple_of(4) };
        boundaries.insert(at);
    }
    boundaries
}

#[test]
fn broken_files() {
    let order = Order::Little;
    let frame = frames::udp((traffic::client(1), 1), traffic::RESOLVER, &[0; 20]);
    let good = || {
        let mut file = capture::section(order);
        file.extend(capture::interface(order, 1, &[]));
        file.extend(capture::enhanced_packet(order, 0, 1, &frame));
        file
    };
    let with = |more: &[u8]| [good(), more.to_vec()].concat();
    let lying_block = |kind: u32, len: u32| {
        let mut block = order.u32(kind).to_vec();
        block.extend(order.u32(len));
        block.extend([0; 64]);
        with(&block)
    };
    let lying_record = |len: u32| {
        let packet = Packet { time: START, frame: frame.clone() };
        let mut file = capture::pcap(&[packet], order, Fraction::Micro, 1);
        file.extend([0; 8]);
        file.extend(order.u32(len));
        file.extend(order.u32(len));
        file.extend([0; 64]);
        file
    };
    let interfaces = [capture::section(order), capture::interface(order, 1, &[]).repeat(100_000)].concat();
    let mut lying_packet = capture::enhanced_packet(order, 0, 1, &frame);
    lying_packet[20..24].copy_from_slice(&order.u32(1 << 20));
    let mut wrong_trailer = capture::enhanced_packet(order, 0, 1, &frame);
    let end = wrong_trailer.len();
    wrong_trailer[end - 4..].copy_from_slice(&order.u32(16));

    for (name, file, packets) in [
        ("block of length 0", lying_block(6, 0), 1),
        ("block of length 3", lying_block(6, 3), 1),
        ("block of length 8", lying_block(5, 8), 1),
        ("block of length 0xfffffffc", lying_block(6, 0xffff_fffc), 1),
        ("skipped block of length 0xfffffffc", lying_block(0x0bad, 0xffff_fffc), 1),
        ("skipped block longer than the file", lying_block(0x0bad, 1 << 20), 1),
        ("10^5 interfaces", interfaces, 0),
        ("packet longer than its block", with(&lying_packet), 1),
        ("lengths that differ", with(&wrong_trailer), 1),
        ("packet of no interface", with(&capture::enhanced_packet(order, 7, 1, &frame)), 1),
        (
            "packet before any interface",
            [capture::section(order), capture::simple_packet(order, &frame)].concat(),
            0,
        ),
        ("packet block without a body", with(&capture::block(order, 6, &[])), 1),
        ("interface without a body", with(&capture::block(order, 1, &[])), 1),
        (
            "time resolution 10^-127",
            with(&capture::interface(order, 1, &capture::option(order, 9, &[127]))),
            1,
        ),
        ("section without byte order", with(&capture::block(order, 0x0a0d_0d0a, &[0; 16])), 1),
        ("record of 0xffffffff bytes", lying_record(u32::MAX), 1),
        ("record of 256 KiB and a byte", lying_record((256 << 10) + 1), 1),
        ("record longer than the file", lying_record(65), 1),
    ] {
        let outcome = replay(&file, every_packet()).unwrap();
        assert_eq!(outcome.facts, outcome.totals.counted.packets);
        assert_conserved(&outcome);
        assert_eq!(outcome.summary.packets, packets, "{name}: {:?}", outcome.summary);
        assert!(outcome.summary.truncated, "{name}");
        assert!(outcome.summary.warnings[0].contains("truncated/corrupt at byte"), "{name}");
    }
}

#[test]
fn no_captures() {
    for (name, file, hint) in [
        ("nothing", Vec::new(), "has 0 bytes"),
        ("text", b"hello world".to_vec(), "begins with 68 65 6c 6c"),
        ("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0], "zstdcat"),
        ("gzip of text", capture::gzip(b"hello world"), "begins with"),
        ("gzip of gzip", capture::gzip(&capture::gzip(b"hello")), "packed twice"),
        ("broken gzip", vec![0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "cannot be unpacked"),
    ] {
        let error = replay(&file, every_packet()).map(|outcome| outcome.summary).unwrap_err().to_string();
        assert!(error.contains("test is not a capture") && error.contains(hint), "{name}: {error}");
    }
    let missing = Replay::open(&["/nonexistent/x.pcap".into()], ReplayConfig::default());
    let Err(error) = missing else { panic!("opened a file that is not there") };
    assert!(error.to_string().contains("cannot open capture /nonexistent/x.pcap"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(head in 0usize..5, bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let start = match head {
            0 => capture::pcap_header(Order::Little, Fraction::Micro, 1),
            1 => capture::pcap_header(Order::Big, Fraction::Kuznetzov, 113),
            2 => capture::section(Order::Little),
            3 => [capture::section(Order::Big), capture::interface(Order::Big, 105, &[])].concat(),
            _ => vec![0x1f, 0x8b],
        };
        if let Ok(outcome) = replay(&[start, bytes].concat(), every_packet()) {
            assert_conserved(&outcome);
        }
    }

    #[test]
    fn flipped_bytes_never_panic(seed in 0u64..4, ng in any::<bool>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut traffic = Traffic::new(seed);
        traffic.benign(START, SECOND, 2);
        let packets = traffic.into_packets();
        let mut file = if ng {
            capture::pcapng(&packets, Order::Little, capture::ETHERNET)
        } else {
            capture::pcap(&packets, Order::Big, Fraction::Nano, capture::ETHERNET)
        };
        for (at, value) in flips {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Ok(outcome) = replay(&file, every_packet()) {
            assert_conserved(&outcome);
        }
    }
}
