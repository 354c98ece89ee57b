//! Each stage of the sensor alone, on one core: `cargo xtask bench stages` shows nanoseconds for each packet, flow
//! update or row. Through the interfaces that the pipeline itself uses.
#![allow(clippy::unwrap_used, reason = "a benchmark ends with the error")]
#![allow(clippy::disallowed_methods, reason = "it measures how long things take")]

use std::hint::black_box;
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sensor::analysis::{Analysis, AnalysisConfig};
use sensor::capture::replay::{Replay, ReplayConfig};
use sensor::capture::{FLOW_BATCH, FlowDelta, Tick};
use sensor::features::matrix::Matrix;
use sensor::features::spec;
use sensor::flow::SECOND;
use sensor::flow::config::FlowConfig;
use sensor::score::config::ScoreConfig;
use sensor::score::random::Random;
use sensor::score::scorer::{Kind, Scorer};
use sensor_ebpf::flow::{FlowKey, FlowStats, proto};
use sensor_ebpf::parse::{mapped, parse_ethernet};
use sensor_tests::capture::{ETHERNET, Fraction, Order, Packet, pcap};
use sensor_tests::frames::{self, Tcp, ethertype, flag};

/// When everything begins.
const EPOCH: u64 = 1_700_000_000 * SECOND;
/// Link types from 147 on are private (LINKTYPE_USER0): such packets are read and counted, not looked into.
const NOT_LOOKED_INTO: u32 = 147;

fn parse(c: &mut Criterion) {
    let (a, b): (IpAddr, IpAddr) =
        (Ipv4Addr::new(192, 0, 2, 7).into(), Ipv4Addr::new(198, 51, 100, 9).into());
    let (six_a, six_b): (IpAddr, IpAddr) =
        (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, 2).into());
    let header = Tcp { src: 40_000, dst: 443, flags: flag::A, ..Tcp::default() };
    let tcp = frames::tcp(a, b, header, &[0; 6]);
    let tagged = frames::tagged(ethertype::VLAN, 7, &tcp);
    let kinds = [
        ("tcp4", tcp),
        ("udp4", frames::udp((a, 40_000), (b, 53), &[0; 18])),
        ("icmp4", frames::icmp(a, b, 8, 0, &[0; 18])),
        ("tcp6", frames::tcp(six_a, six_b, header, &[0; 6])),
        ("tcp4 qinq", frames::tagged(ethertype::QINQ, 9, &tagged)),
        ("tcp4 vlan", tagged),
        ("arp", frames::arp(Ipv4Addr::new(192, 0, 2, 7), Ipv4Addr::new(192, 0, 2, 1))),
    ];
    let mut group = c.benchmark_group("parse");
    for (name, frame) in kinds {
        group.bench_function(name, |b| b.iter(|| parse_ethernet(black_box(frame.as_slice()))));
    }
}

/// Reading a capture file and what the XDP program does, in software.
fn replay(c: &mut Criterion) {
    const PACKETS: usize = 200_000;
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Elements(PACKETS as u64));
    for (name, flows, link_type) in
        [("read only", 1, NOT_LOOKED_INTO), ("1 flow", 1, ETHERNET), ("100k flows", 100_000, ETHERNET)]
    {
        let file: Arc<[u8]> = capture(PACKETS, flows, link_type).into();
        group.bench_function(name, |b| b.iter(|| read(file.clone())));
    }
}

fn read(file: Arc<[u8]>) {
    let mut replay = Replay::from_reader("bench", Cursor::new(file), ReplayConfig::default()).unwrap();
    while let Some(event) = replay.next_event().unwrap() {
        replay.buffers().give_back(event);
    }
}

/// Datagrams of so many flows in random order, over ten seconds.
fn capture(packets: usize, flows: usize, link_type: u32) -> Vec<u8> {
    let mut random = Random::new(1);
    let packet = |number: usize| {
        let flow = random.below(flows) as u32;
        let (src, port) = (Ipv4Addr::from(0x0a00_0000 + flow / 16), 40_000 + (flow % 16) as u16);
        let frame = frames::udp((src.into(), port), (Ipv4Addr::new(192, 0, 2, 1).into(), 53), &[0; 18]);
        Packet { time: EPOCH + number as u64 * (10 * SECOND / packets as u64), frame }
    };
    let packets: Vec<Packet> = (0..packets).map(packet).collect();
    pcap(&packets, Order::Little, Fraction::Nano, link_type)
}

/// Updates of flows that are in the table, in random order.
fn flow_updates(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow update");
    group.throughput(Throughput::Elements(FLOW_BATCH as u64));
    for (name, flows) in [("10k live", 10_000), ("100k live", 100_000), ("1M live", 1_000_000)] {
        group.bench_function(name, |b| {
            let mut analysis = analysis(flows);
            fill(&mut analysis, flows, EPOCH);
            analysis.tick(&Tick { time: EPOCH + SECOND / 10, ..Tick::default() }).unwrap();
            let mut random = Random::new(2);
            let mut batch = || -> Vec<FlowDelta> {
                (0..FLOW_BATCH).map(|_| delta(random.below(flows), EPOCH + SECOND / 5)).collect()
            };
            let batches: Vec<_> = (0..64).map(|_| batch()).collect();
            let mut turn = batches.iter().cycle();
            b.iter(|| analysis.flows(turn.next().unwrap()));
        });
    }
}

/// What a second costs beyond its flow updates: features, scores, the search for what to alert. Each flow is a row.
fn windows(c: &mut Criterion) {
    let mut group = c.benchmark_group("window");
    for flows in [1_000, 10_000] {
        group.throughput(Throughput::Elements(flows as u64));
        group.bench_with_input(BenchmarkId::from_parameter(format!("{flows} flows")), &flows, |b, &flows| {
            let mut analysis = analysis(flows);
            let mut now = EPOCH;
            // Through warming and calibrating: once active, and with learning off, every window costs the same.
            for _ in 0..12 {
                one_window(&mut analysis, flows, &mut now);
            }
            b.iter_custom(|times| (0..times).map(|_| one_window(&mut analysis, flows, &mut now)).sum());
        });
    }
}

/// The time that the closing tick takes.
fn one_window(analysis: &mut Analysis, flows: usize, now: &mut u64) -> Duration {
    fill(analysis, flows, *now);
    *now += SECOND;
    let tick = Tick { time: *now, ..Tick::default() };
    let started = Instant::now();
    black_box(analysis.tick(&tick).unwrap());
    started.elapsed()
}

/// Rows through the network of flows.
fn scores(c: &mut Criterion) {
    let mut group = c.benchmark_group("score");
    for rows in [64, 1024, 16_384] {
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_with_input(BenchmarkId::from_parameter(format!("{rows} rows")), &rows, |b, &rows| {
            let mut scorer = Scorer::new(&ScoreConfig::default(), 1.0).unwrap();
            let mut random = Random::new(3);
            let mut matrix = Matrix::new(&spec::FLOW);
            for _ in 0..rows {
                matrix.push_encoded((0..spec::FLOW.len()).map(|_| random.symmetric().abs()));
            }
            let mut scores = Vec::new();
            b.iter(|| {
                scores.clear();
                scorer.score(black_box(&matrix), Kind::Flow, &mut scores);
            });
        });
    }
}

fn analysis(flows: usize) -> Analysis {
    let second = Duration::from_secs(1);
    let config = AnalysisConfig {
        flow: FlowConfig { max_flows: flows * 5 / 4, ..FlowConfig::default() },
        score: ScoreConfig {
            warmup_rows: 1,
            warmup_time: second,
            calibration_rows: 20,
            calibration_time: second,
            active_steps: 0,
            ..ScoreConfig::default()
        },
        ..AnalysisConfig::default()
    };
    Analysis::new(&config).unwrap()
}

/// Every flow grows once, in batches as capture hands them on.
fn fill(analysis: &mut Analysis, flows: usize, time: u64) {
    let all: Vec<FlowDelta> = (0..flows).map(|flow| delta(flow, time)).collect();
    for batch in all.chunks(FLOW_BATCH) {
        analysis.flows(batch);
    }
}

/// Two packets of a flow, one each way.
fn delta(flow: usize, time: u64) -> FlowDelta {
    let client = (mapped((0x0a00_0000 + flow as u32 / 16).to_be_bytes()), 40_000 + (flow % 16) as u16);
    let (key, reverse) = FlowKey::canonical(client, (mapped([192, 0, 2, 1]), 443), [0; 3], proto::TCP);
    let side = usize::from(reverse);
    let mut grown = FlowStats { first: EPOCH, last: time, initiator: side as u64, ..FlowStats::default() };
    grown.add_packet(side, 60, flag::A, time);
    grown.add_packet(1 - side, 60, flag::A, time);
    FlowDelta { key, grown }
}

criterion_group!(stages, parse, replay, flow_updates, windows, scores);
criterion_main!(stages);
