//! Flows of packets made by hand; what each column is, by arithmetic that a person can follow.

use std::collections::BTreeMap;
use std::convert::Infallible;

use sensor_ebpf::flow::{FlowKey, proto, tcp};
use sensor_ebpf::parse::mapped;

use super::columns::{self, FEATURES};
use super::{End, Meter, SECOND, Settings};
use crate::capture::PacketFacts;

const MS: u64 = 1_000_000;
const A: u8 = 9;
const B: u8 = 1;

/// A row: its line, why it ended, and the features by name.
struct Row {
    line: String,
    end: End,
    features: BTreeMap<&'static str, f64>,
}

/// A packet from A to B, or back; B's address sorts before A's.
fn packet(time: u64, forward: bool, flags: u8, payload: u32) -> PacketFacts {
    numbered(time, 1000, forward, flags, payload)
}

fn numbered(time: u64, port: u16, forward: bool, flags: u8, payload: u32) -> PacketFacts {
    let (a, b) = ((mapped([10, 0, 0, A]), port), (mapped([10, 0, 0, B]), 80));
    let (from, to) = if forward { (a, b) } else { (b, a) };
    let (key, reverse) = FlowKey::canonical(from, to, [0; 3], proto::TCP);
    let window = if forward { 1000 } else { 2000 };
    PacketFacts { time, key, payload, header: 20, window, tcp_flags: flags, reverse }
}

fn rows_of(settings: Settings, packets: &[PacketFacts]) -> (Vec<Row>, u64) {
    let mut rows = Vec::new();
    let mut meter = Meter::new(settings);
    let mut take = |ended: &super::Ended<'_>| {
        let mut line = String::new();
        columns::row(ended, &mut line);
        let features = FEATURES.iter().map(|(name, value)| (*name, value(ended.flow))).collect();
        rows.push(Row { line, end: ended.end, features });
        Ok::<_, Infallible>(())
    };
    for packet in packets {
        let Ok(()) = meter.packet(packet, &mut take);
    }
    let Ok(()) = meter.finish(&mut take);
    (rows, meter.evicted)
}

fn rows(packets: &[PacketFacts]) -> Vec<Row> {
    rows_of(Settings::new(100), packets).0
}

#[track_caller]
fn check(row: &Row, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        let seen = row.features[name];
        assert!((seen - value).abs() <= 1e-9 * value.abs().max(1.0), "{name}: {seen}, expected {value}");
    }
}

#[test]
fn the_header_is_that_of_the_data_set() {
    let header = columns::header();
    let names: Vec<&str> = header.trim_end().split(',').collect();
    assert_eq!(names.len(), 85 + 7);
    assert_eq!(
        (names[0], names[6], names[7], names[83], names[84]),
        ("Flow ID", "Timestamp", "Flow Duration", "Idle Min", "Label")
    );
    assert_eq!(names.iter().filter(|name| **name == "Fwd Header Length").count(), 2, "twice, as there");
}

#[test]
fn lengths_gaps_and_flags() {
    let packets = [
        packet(0, true, tcp::SYN, 0),
        packet(10 * MS, false, tcp::SYN | tcp::ACK, 0),
        packet(20 * MS, true, tcp::ACK, 0),
        packet(40 * MS, true, tcp::ACK | tcp::PSH, 100),
        packet(100 * MS, false, tcp::ACK | tcp::PSH | tcp::URG, 400),
        packet(200 * MS, true, tcp::ACK | tcp::ECE | tcp::CWR, 100),
    ];
    let all = rows(&packets);
    assert_eq!(all.len(), 1);
    check(
        &all[0],
        &[
            ("Flow Duration", 200_000.0),
            ("Total Fwd Packets", 4.0),
            ("Total Backward Packets", 2.0),
            ("Total Length of Fwd Packets", 200.0),
            ("Fwd Packet Length Mean", 50.0),
            // Squares of 50 four times, by three.
            ("Fwd Packet Length Std", (10_000.0f64 / 3.0).sqrt()),
            ("Bwd Packet Length Max", 400.0),
            ("Flow Bytes/s", 3000.0),
            ("Flow Packets/s", 30.0),
            ("Flow IAT Mean", 40_000.0),
            ("Flow IAT Max", 100_000.0),
            ("Flow IAT Min", 10_000.0),
            // 20, 20 and 160 ms.
            ("Fwd IAT Total", 200_000.0),
            ("Fwd IAT Max", 160_000.0),
            ("Bwd IAT Total", 90_000.0),
            ("Bwd IAT Std", 0.0),
            ("Fwd PSH Flags", 1.0),
            ("Bwd URG Flags", 1.0),
            ("Fwd Header Length", 80.0),
            ("SYN Flag Count", 2.0),
            ("ACK Flag Count", 5.0),
            ("CWE Flag Count", 1.0),
            ("ECE Flag Count", 1.0),
            ("Down/Up Ratio", 0.5),
            ("Average Packet Size", 100.0),
            ("Init_Win_bytes_forward", 1000.0),
            ("Init_Win_bytes_backward", 2000.0),
            ("act_data_pkt_fwd", 2.0),
            ("min_seg_size_forward", 20.0),
            ("Active Mean", 0.0),
            ("Idle Max", 0.0),
            ("Subflow Fwd Packets", 4.0),
        ],
    );
    let start =
        "10.0.0.9-10.0.0.1-1000-80-6,10.0.0.9,1000,10.0.0.1,80,6,01/01/1970 00:00:00,200000,4,2,200,400,";
    assert!(all[0].line.starts_with(start), "{}", all[0].line);
    let end = ",NeedManualLabel,0.000000,0.200000,end_of_input,1:";
    assert!(all[0].line.contains(end) && all[0].line.ends_with(",0,,\n"), "{}", all[0].line);
}

#[test]
fn silence_makes_idle_stretches_and_subflows() {
    let times = [0, 1, 2, 10, 12, 20];
    let packets: Vec<_> = times.iter().map(|at| packet(at * SECOND, true, tcp::ACK, 10)).collect();
    check(
        &rows(&packets)[0],
        &[
            // 0 to 2 and 10 to 12; the stretch that began at 20 has not ended.
            ("Active Mean", 2e6),
            ("Active Std", 0.0),
            ("Idle Mean", 8e6),
            ("Idle Min", 8e6),
            // Silences longer than a second: at 10, 12 and 20.
            ("Subflow Fwd Packets", 6.0 / 4.0),
            ("Subflow Fwd Bytes", 60.0 / 4.0),
            ("Init_Win_bytes_backward", -1.0),
            ("Down/Up Ratio", 0.0),
        ],
    );
}

#[test]
fn four_packets_with_payload_are_a_bulk_unless_the_other_side_speaks() {
    let forward = |at: u64, payload: u32| packet(at * 100 * MS, true, tcp::ACK, payload);
    let backward = |at: u64, payload: u32| packet(at * 100 * MS, false, tcp::ACK, payload);
    let bulk =
        [forward(1, 10), forward(2, 10), backward(3, 0), forward(4, 10), forward(5, 10), forward(6, 60)];
    check(
        &rows(&bulk)[0],
        &[
            ("Fwd Avg Bytes/Bulk", 100.0),
            ("Fwd Avg Packets/Bulk", 5.0),
            ("Fwd Avg Bulk Rate", 100.0 / 0.5),
            ("Bwd Avg Bytes/Bulk", 0.0),
        ],
    );
    let broken = [forward(1, 10), forward(2, 10), backward(3, 5), forward(4, 10), forward(5, 10)];
    check(&rows(&broken)[0], &[("Fwd Avg Packets/Bulk", 0.0), ("Bwd Avg Packets/Bulk", 0.0)]);
    let slow = [forward(1, 10), forward(2, 10), forward(3, 10), forward(14, 10)];
    check(&rows(&slow)[0], &[("Fwd Avg Packets/Bulk", 0.0)]);
}

#[test]
fn a_closed_connection_keeps_its_late_packets_and_gives_way_to_a_handshake() {
    let fin = tcp::FIN | tcp::ACK;
    let packets = [
        packet(0, true, tcp::SYN, 0),
        packet(10 * MS, true, fin, 0),
        packet(20 * MS, false, fin, 0),
        packet(30 * MS, true, tcp::ACK, 0),
        packet(SECOND, true, tcp::SYN, 0),
        packet(SECOND + MS, false, tcp::RST | tcp::ACK, 0),
        // The other side begins, long after.
        packet(20 * SECOND, false, tcp::SYN, 0),
    ];
    let all = rows(&packets);
    let summary: Vec<_> = all
        .iter()
        .map(|row| (row.end, row.features["Total Fwd Packets"], row.features["RST Flag Count"]))
        .collect();
    assert_eq!(summary, [(End::Closed, 3.0, 0.0), (End::Closed, 1.0, 1.0), (End::NoMorePackets, 1.0, 0.0)]);
    assert!(all[2].line.starts_with("10.0.0.1-10.0.0.9-80-1000-6"), "{}", all[2].line);
}

#[test]
fn an_old_flow_goes_on_as_a_new_one_of_the_same_direction() {
    let packets: Vec<_> =
        [0, 60, 120, 121, 180, 300].iter().map(|at| packet(at * SECOND, *at < 100, tcp::ACK, 1)).collect();
    let all = rows(&packets);
    let counts: Vec<_> = all
        .iter()
        .map(|row| (row.end, row.features["Total Fwd Packets"], row.features["Total Backward Packets"]))
        .collect();
    assert_eq!(counts, [(End::Timeout, 2.0, 1.0), (End::Timeout, 0.0, 2.0), (End::NoMorePackets, 0.0, 1.0)]);
    assert!(all.iter().all(|row| row.line.starts_with("10.0.0.9-")), "began by A, whoever spoke after");
}

#[test]
fn a_full_table_writes_its_oldest_and_counts_it() {
    let settings = Settings { max_flows: 10, ..Settings::new(10) };
    let mut packets: Vec<_> = (0..25).map(|at| numbered(at * MS, at as u16, true, tcp::ACK, 1)).collect();
    let (all, evicted) = rows_of(settings, &packets);
    assert_eq!((all.len(), evicted), (25, 15));
    assert!(all[0].line.contains("-0-80-6"), "the oldest first");
    // Closed connections make room first.
    packets[20].tcp_flags = tcp::RST;
    packets.push(numbered(SECOND, 77, true, tcp::ACK, 1));
    let (all, evicted) = rows_of(settings, &packets);
    assert_eq!((all.len(), evicted), (26, 15));
    let packets: f64 = all.iter().map(|row| row.features["Total Fwd Packets"]).sum();
    assert_eq!(packets, 26.0, "every packet is in one row");
}
