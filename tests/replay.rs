//! Capture files as a source: what was generated is what is counted, whatever the file format, and no file,
//! however broken, makes the reader panic or loop.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::{HashMap, HashSet};
use std::io::Cursor;

use sensor::capture::replay::{Replay, ReplayConfig};
use sensor::capture::{Event, Link};
use sensor_ebpf::control::Control;
use sensor_ebpf::counter::Reason;
use sensor_ebpf::flow::FlowKey;
use sensor_tests::capture::{self, Fraction, Order, Packet};
use sensor_tests::frames;
use sensor_tests::outcome::{assert_conserved, drain, replay};
use sensor_tests::traffic::{self, MILLISECOND, SECOND, Traffic};

/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600 * SECOND;

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
    assert_eq!(outcome.totals.overflow_table_full.packets, 900);
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
