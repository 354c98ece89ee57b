//! Capture files as a source: what was generated is what is counted, whatever the file format, and no file,
//! however broken, makes the reader panic or loop.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::{HashMap, HashSet};
use std::io::Cursor;

use proptest::prelude::*;
use sensor::capture::replay::{Replay, ReplayConfig, ReplayError, Summary};
use sensor::capture::{Event, Link};
use sensor_ebpf::control::Control;
use sensor_ebpf::counter::{Count, Reason, Totals};
use sensor_ebpf::flow::FlowKey;
use sensor_tests::capture::{self, Fraction, Order, Packet};
use sensor_tests::frames;
use sensor_tests::traffic::{self, MILLISECOND, SECOND, Traffic};

/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600 * SECOND;

/// What came out of a replay.
#[derive(Debug, Default)]
struct Outcome {
    summary: Summary,
    totals: Totals,
    drained: Count,
    flows: HashSet<FlowKey>,
    ticks: Vec<u64>,
    samples: u64,
    /// Everything, in order, as text: two replays are compared by it.
    trace: String,
}

fn replay(file: &[u8], config: ReplayConfig) -> Result<Outcome, ReplayError> {
    drain(Replay::from_reader("test", Cursor::new(file.to_vec()), config)?)
}

fn drain(mut replay: Replay) -> Result<Outcome, ReplayError> {
    let mut outcome = Outcome::default();
    while let Some(event) = replay.next_event()? {
        outcome.trace.push_str(&format!("{event:?}\n"));
        match event {
            Event::Samples(samples) => {
                let last = outcome.ticks.last().copied().unwrap_or(0);
                assert!(
                    samples.iter().all(|sample| sample.time >= last),
                    "a sample older than the tick before it"
                );
                outcome.samples += samples.len() as u64;
            }
            Event::Tick(tick) => {
                assert!(outcome.ticks.last().is_none_or(|last| *last < tick.time), "ticks go forward");
                let mut keys = HashSet::new();
                for delta in &tick.deltas {
                    assert!(keys.insert(delta.key), "a flow twice in one tick");
                    outcome.flows.insert(delta.key);
                    outcome.drained.packets += delta.grown.packets.iter().sum::<u64>();
                    outcome.drained.bytes += delta.grown.bytes.iter().sum::<u64>();
                }
                outcome.ticks.push(tick.time);
                outcome.totals = tick.totals;
            }
        }
    }
    outcome.summary = replay.summary();
    Ok(outcome)
}

/// Every packet is in exactly one bin.
#[track_caller]
fn assert_conserved(outcome: &Outcome) {
    let (totals, drained) = (&outcome.totals, outcome.drained);
    let (not, overflow) = (totals.not_counted_total(), totals.overflow_total());
    assert_eq!(outcome.summary.packets, totals.seen.packets);
    assert_eq!(outcome.summary.bytes, totals.seen.bytes);
    assert_eq!(totals.seen.packets, totals.counted.packets + not.packets, "wire");
    assert_eq!(totals.seen.bytes, totals.counted.bytes + not.bytes, "wire bytes");
    assert_eq!(totals.counted.packets, drained.packets + overflow.packets, "flows");
    assert_eq!(totals.counted.bytes, drained.bytes + overflow.bytes, "flow bytes");
    assert_eq!(totals.sampled, outcome.samples, "samples");
}

fn traffic(seed: u64) -> Vec<Packet> {
    let mut traffic = Traffic::new(seed);
    traffic.benign(START, 60 * SECOND, 6);
    traffic.port_scan(START + 20 * SECOND, traffic::client(66), traffic::SSH.0, 500, MILLISECOND);
    traffic.syn_flood(START + 30 * SECOND, traffic::WEB, 2_000, MILLISECOND / 2);
    traffic.brute_force(START + 40 * SECOND, traffic::client(67), traffic::SSH, 50);
    traffic.beacon(START, traffic::client(3), traffic::OUTSIDE, 5 * SECOND, 12);
    traffic.exfiltration(START + 50 * SECOND, traffic::client(4), traffic::OUTSIDE, 2_000_000);
    traffic.into_packets()
}

#[test]
fn what_was_generated_is_what_is_counted() {
    let packets = traffic(1);
    let mut expected: HashMap<FlowKey, u64> = HashMap::new();
    for packet in &packets {
        if let Ok(parsed) = Link::Ethernet.parse(&packet.frame) {
            *expected.entry(parsed.key).or_default() += 1;
        }
    }
    let outcome =
        replay(&capture::pcapng(&packets, Order::Little, capture::ETHERNET), ReplayConfig::default())
            .unwrap();
    assert_conserved(&outcome);
    assert_eq!(outcome.summary.packets, packets.len() as u64);
    assert_eq!(outcome.summary.bytes, packets.iter().map(|packet| packet.frame.len() as u64).sum::<u64>());
    assert_eq!(outcome.summary.first, packets[0].time);
    assert_eq!(outcome.summary.last, packets.last().unwrap().time);
    assert_eq!(outcome.summary.warnings, Vec::<String>::new());
    assert_eq!(outcome.totals.counted.packets, expected.values().sum::<u64>());
    assert_eq!(outcome.flows.len(), expected.len());
    assert!(outcome.totals.not_counted[Reason::Arp as usize].packets > 0, "the traffic has ARP");
    assert!(outcome.samples > 0);
    assert!(!outcome.summary.truncated);
    assert!(outcome.ticks.iter().all(|tick| tick % (100 * MILLISECOND) == 0));
}

#[test]
fn every_format_gives_the_same_events() {
    let mut packets = traffic(2);
    for packet in &mut packets {
        // Classic files hold microseconds.
        packet.time -= packet.time % 1_000;
    }
    let reference = replay(
        &capture::pcap(&packets, Order::Little, Fraction::Micro, capture::ETHERNET),
        ReplayConfig::default(),
    )
    .unwrap();
    let pcap = |order, fraction| capture::pcap(&packets, order, fraction, capture::ETHERNET);
    let pcapng = |order| capture::pcapng(&packets, order, capture::ETHERNET);
    for (name, file) in [
        ("again", pcap(Order::Little, Fraction::Micro)),
        ("big endian", pcap(Order::Big, Fraction::Micro)),
        ("nanoseconds", pcap(Order::Little, Fraction::Nano)),
        ("nanoseconds, big endian", pcap(Order::Big, Fraction::Nano)),
        ("kuznetzov", pcap(Order::Little, Fraction::Kuznetzov)),
        ("pcapng", pcapng(Order::Little)),
        ("pcapng, big endian", pcapng(Order::Big)),
        ("pcap.gz", capture::gzip(&pcap(Order::Little, Fraction::Micro))),
        ("pcapng.gz", capture::gzip(&pcapng(Order::Big))),
    ] {
        let outcome = replay(&file, ReplayConfig::default()).unwrap();
        assert!(outcome.trace == reference.trace, "{name}: other events");
        assert_eq!(outcome.summary, reference.summary, "{name}");
    }
}

#[test]
fn several_files_are_one_stream() {
    let packets = traffic(3);
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = packets.split_at(packets.len() / 3);
    let files = [folder.path().join("first"), folder.path().join("second")];
    std::fs::write(&files[0], capture::gzip(&capture::pcapng(first, Order::Little, capture::ETHERNET)))
        .unwrap();
    std::fs::write(&files[1], capture::pcap(second, Order::Big, Fraction::Nano, capture::ETHERNET)).unwrap();
    let parts = Replay::open(&files, ReplayConfig::default()).unwrap();
    assert_eq!(
        parts.progress().1,
        Some(files.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum::<u64>())
    );
    let parts = drain(parts).unwrap();
    let whole = replay(&capture::pcapng(&packets, Order::Little, capture::ETHERNET), ReplayConfig::default())
        .unwrap();
    assert!(parts.trace == whole.trace);

    let reversed = [files[1].clone(), files[0].clone()];
    let reversed = drain(Replay::open(&reversed, ReplayConfig::default()).unwrap()).unwrap();
    assert_conserved(&reversed);
    assert!(reversed.summary.warnings[0].contains("older than the packet before"), "{:?}", reversed.summary);
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
            match replay(&file[..cut], ReplayConfig::default()) {
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
        let whole = replay(&file, ReplayConfig::default()).unwrap();
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
        let outcome = replay(&file, ReplayConfig::default()).unwrap();
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
        let error =
            replay(&file, ReplayConfig::default()).map(|outcome| outcome.summary).unwrap_err().to_string();
        assert!(error.contains("test is not a capture") && error.contains(hint), "{name}: {error}");
    }
    let missing = Replay::open(&["/nonexistent/x.pcap".into()], ReplayConfig::default());
    let Err(error) = missing else { panic!("opened a file that is not there") };
    assert!(error.to_string().contains("cannot open capture /nonexistent/x.pcap"), "{error}");
}

#[test]
fn pcapng_in_all_its_forms() {
    let order = Order::Big;
    let frame = frames::udp((traffic::client(1), 1), traffic::RESOLVER, &[0; 20]);
    let bare = &frame[14..];
    let mut file = capture::section(order);
    file.extend(capture::interface(order, 1, &[]));
    file.extend(capture::interface(order, 101, &capture::option(order, 9, &[0x80 | 10])));
    // Ten seconds on, in units of 1/1024 s.
    let offset = [capture::option(order, 9, &[9]), capture::option(order, 14, &10u64.to_be_bytes())].concat();
    file.extend(capture::interface(order, 1, &offset));
    file.extend(capture::enhanced_packet(order, 0, 1_000_000, &frame));
    file.extend(capture::enhanced_packet(order, 1, 2 * 1024 + 512, bare));
    file.extend(capture::enhanced_packet(order, 2, 3_000_000_001, &frame));
    file.extend(capture::simple_packet(order, &frame));
    // Unknown blocks, one longer than the reader's buffer, and a second section in the other byte order.
    file.extend(capture::block(order, 0x0bad, &vec![7; 3 << 20]));
    file.extend(capture::section(Order::Little));
    file.extend(capture::interface(Order::Little, 1, &capture::option(Order::Little, 9, &[9])));
    file.extend(capture::enhanced_packet(Order::Little, 0, 20 * SECOND, &frame));
    let config = ReplayConfig {
        control: Control { mode: 1, first_packets: 100, ..Control::default() },
        ..ReplayConfig::default()
    };
    let mut replay = Replay::from_reader("test", Cursor::new(file), config).unwrap();
    let mut times = Vec::new();
    while let Some(event) = replay.next_event().unwrap() {
        if let Event::Samples(samples) = event {
            times.extend(samples.iter().map(|sample| (sample.time, sample.wire_len as usize)));
        }
    }
    let len = frame.len();
    assert_eq!(
        times,
        [
            (SECOND, len),
            (2 * SECOND + SECOND / 2, len - 14),
            (13 * SECOND + 1, len),
            (13 * SECOND + 1, len),
            (20 * SECOND, len)
        ]
    );
    assert_eq!(replay.summary().warnings, Vec::<String>::new());
}

#[test]
fn time_that_goes_back_or_leaps() {
    let frame = frames::udp((traffic::client(1), 1), traffic::RESOLVER, &[0; 20]);
    let at = |time| Packet { time, frame: frame.clone() };
    let day = 24 * 3600 * SECOND;
    let packets = [at(START), at(START - 5 * SECOND), at(START + day), at(START + day + MILLISECOND)];
    let outcome =
        replay(&capture::pcapng(&packets, Order::Little, capture::ETHERNET), ReplayConfig::default())
            .unwrap();
    assert_conserved(&outcome);
    assert_eq!(outcome.summary.first, START);
    assert_eq!(outcome.summary.warnings.len(), 1);
    assert!(outcome.summary.warnings[0].starts_with("1 packets are older"), "{:?}", outcome.summary.warnings);
    // The timeout of 120 s and a little more, second by second, and then the leap.
    assert!((120..=126).contains(&outcome.ticks.len()), "{} ticks", outcome.ticks.len());
    assert!(outcome.ticks.contains(&(START + day)));

    let never = [at(0), at(u64::MAX)];
    let outcome =
        replay(&capture::pcapng(&never, Order::Little, capture::ETHERNET), ReplayConfig::default()).unwrap();
    assert_conserved(&outcome);
    assert_eq!(outcome.summary.packets, 2);
}

#[test]
fn a_full_map_overflows_and_says_so() {
    let mut traffic = Traffic::new(5);
    traffic.syn_flood(START, traffic::WEB, 1_000, MILLISECOND);
    // After the idle timeout there is room again.
    traffic.syn_flood(START + 60 * SECOND, traffic::WEB, 50, MILLISECOND);
    let packets = traffic.into_packets();
    let config = ReplayConfig { max_flows: 100, map_idle_timeout: 30 * SECOND, ..ReplayConfig::default() };
    let outcome =
        replay(&capture::pcap(&packets, Order::Little, Fraction::Nano, capture::ETHERNET), config).unwrap();
    assert_conserved(&outcome);
    assert_eq!(outcome.totals.overflow_map_full.packets, 900);
    assert_eq!(outcome.flows.len(), 150);
}

#[test]
fn link_types_lead_to_the_same_flow() {
    let frame = frames::udp((traffic::client(1), 1), traffic::RESOLVER, &[0; 20]);
    let bare = frame[14..].to_vec();
    let prefixed = |prefix: &[u8]| [prefix, &bare].concat();
    let key = Link::Ethernet.parse(&frame).unwrap().key;
    for (link_type, frame) in [
        (1, frame.clone()),
        (0, prefixed(&[2, 0, 0, 0])),
        (9, prefixed(&[0xff, 3, 0, 0x21])),
        (12, bare.clone()),
        (101, bare.clone()),
        (108, prefixed(&[0, 0, 0, 2])),
        (113, prefixed(&[0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0])),
        (228, bare.clone()),
        (276, prefixed(&[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    ] {
        let packets = [Packet { time: START, frame }];
        let file = capture::pcap(&packets, Order::Little, Fraction::Micro, link_type);
        let outcome = replay(&file, ReplayConfig::default()).unwrap();
        assert_conserved(&outcome);
        assert_eq!(outcome.flows, HashSet::from([key]), "link type {link_type}");
    }
    let file = capture::pcap(&[Packet { time: START, frame }], Order::Little, Fraction::Micro, 189);
    let outcome = replay(&file, ReplayConfig::default()).unwrap();
    assert_conserved(&outcome);
    assert_eq!(outcome.totals.not_counted[Reason::UnknownLink as usize].packets, 1);
    assert!(outcome.summary.warnings[0].contains("link type 189"));
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
        if let Ok(outcome) = replay(&[start, bytes].concat(), ReplayConfig::default()) {
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
        if let Ok(outcome) = replay(&file, ReplayConfig::default()) {
            assert_conserved(&outcome);
        }
    }
}
