//! `vesper analyze --flows` against CICFlowMeter of PyPI, on generated traffic: every column of every flow.
//!
//! Each side is held to its own definition, written down here a second time over plain lists of packets: Vesper to what
//! `docs/flows.md` promises, CICFlowMeter to what its source does. Where the two definitions differ, the reason has a
//! name, and `docs/flows.md` explains it. A value that is neither fails.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod columns;
mod construction;
mod conversation;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use columns::{COLUMNS, Column};
use construction::Segment;
use sensor::analyze::{AnalyzeOptions, analyze};
use sensor::config::Config;
use sensor_tests::capture::{self, Fraction, Order};

/// What its command does with a file, less the filter: that needs tcpdump, and lets through what is looked at anyway.
const DRIVER: &str = "
import sys
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader
from cicflowmeter.flow_session import FlowSession
FlowSession.output_mode, FlowSession.output = 'csv', sys.argv[2]
session = FlowSession()
for packet in PcapReader(sys.argv[1]):
    session.on_packet_received(packet)
session.garbage_collect(None)
";

/// Ours and theirs of a number that both computed in doubles, from times in different units.
const TOLERANCE: f64 = 1e-6;

/// A row by the names of its columns; of a name that is there twice, the first.
type Row = BTreeMap<String, String>;

/// By flow id (addresses, ports, protocol) and second of its start.
type Rows = BTreeMap<(String, u64), Row>;

#[test]
#[ignore = "needs CICFlowMeter of PyPI: `cargo xtask setup`, as root"]
fn every_column_is_as_in_cicflowmeter_or_the_difference_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let packets = conversation::all();
    let pcap = folder.path().join("capture.pcap");
    let frames: Vec<_> = packets.iter().map(conversation::Packet::recorded).collect();
    std::fs::write(&pcap, capture::pcap(&frames, Order::Little, Fraction::Micro, capture::ETHERNET)).unwrap();

    let ours = vesper(&pcap, &folder.path().join("ours.csv"));
    let theirs = cicflowmeter(&pcap, &folder.path().join("theirs.csv"));
    let mut wrong = Vec::new();
    compare(&ours, &construction::vesper(&packets), |column| column.name, |column| column.value, &mut wrong);
    let seen: Vec<_> =
        packets.iter().filter(|packet| construction::known_to_cicflowmeter(packet)).cloned().collect();
    let segments = construction::cicflowmeter(&seen);
    compare(&theirs, &segments, |column| column.theirs, |column| column.their_value(), &mut wrong);
    assert!(wrong.is_empty(), "{} differences without a reason:\n{}", wrong.len(), wrong.join("\n"));
    for name in feature_names(&folder.path().join("ours.csv")) {
        assert!(COLUMNS.iter().any(|column| column.name == name), "{name} is compared with nothing");
    }
    assert!(ours.len() > 30 && theirs.len() > 25, "{} and {} flows", ours.len(), theirs.len());
    every_reason_shows_and_is_documented(&packets);
}

/// A reason that no packet bears out, or that nobody can read about, is none.
fn every_reason_shows_and_is_documented(packets: &[conversation::Packet]) {
    let docs = std::fs::read_to_string(root().join("docs/flows.md")).unwrap();
    let segments = construction::vesper(packets);
    let mut reasons = BTreeSet::new();
    for column in COLUMNS.iter().filter(|column| !column.reasons.is_empty()) {
        let differs = segments.iter().any(|flow| !close((column.value)(flow), (column.their_value())(flow)));
        assert!(differs, "{}: no flow shows the difference", column.name);
        reasons.extend(column.reasons);
    }
    reasons.extend(construction::REASONS);
    for reason in reasons {
        assert!(docs.contains(&format!("`{reason}`")), "docs/flows.md does not explain `{reason}`");
    }
}

/// Holds rows to the segments of the traffic they must be of.
fn compare(
    rows: &Rows,
    segments: &[Segment],
    name: fn(&Column) -> &'static str,
    value: fn(&Column) -> fn(&Segment) -> f64,
    wrong: &mut Vec<String>,
) {
    let mut left: BTreeSet<_> = rows.keys().collect();
    for segment in segments {
        let id = (segment.flow_id(), segment.first().time / 1_000_000_000);
        left.remove(&id);
        let Some(row) = rows.get(&id) else {
            wrong.push(format!("{id:?} has no row"));
            continue;
        };
        for column in COLUMNS {
            let seen: f64 = row[name(column)].parse().unwrap();
            let expected = value(column)(segment);
            if !close(seen, expected) {
                wrong.push(format!("{id:?}: {} is {seen}, expected {expected}", name(column)));
            }
        }
    }
    wrong.extend(left.into_iter().map(|id| format!("{id:?} is no flow of the traffic")));
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0)
}

fn vesper(pcap: &Path, out: &Path) -> Rows {
    let options = AnalyzeOptions {
        files: vec![pcap.to_owned()],
        flows: Some(out.to_owned()),
        json: true,
        ..AnalyzeOptions::default()
    };
    analyze(&options, &Config::default()).unwrap();
    rows(out, |row| {
        let start: f64 = row["Start"].parse().unwrap();
        let expected = construction::timestamp(start as u64, "%d/%m/%Y");
        assert_eq!(row["Timestamp"], expected, "UTC, day first");
        (row["Flow ID"].clone(), start as u64)
    })
}

fn cicflowmeter(pcap: &Path, out: &Path) -> Rows {
    let python = root().join("target/cicflowmeter/bin/python");
    assert!(python.exists(), "CICFlowMeter is not here: run `cargo xtask setup` as root");
    let status =
        Command::new(python).args(["-c", DRIVER]).args([pcap, out]).env("TZ", "UTC").status().unwrap();
    assert!(status.success(), "{status}");
    rows(out, |row| {
        let of = |name: &str| row[name].as_str();
        let id = [of("src_ip"), of("dst_ip"), of("src_port"), of("dst_port"), of("protocol")].join("-");
        (id, construction::seconds(of("timestamp")))
    })
}

/// The features are between the identifiers and the label.
fn feature_names(file: &Path) -> Vec<String> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let names = reader.headers().unwrap().iter().map(str::to_owned);
    names.skip_while(|name| name != "Flow Duration").take_while(|name| name != "Label").collect()
}

fn rows(file: &Path, id: impl Fn(&Row) -> (String, u64)) -> Rows {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let names = reader.headers().unwrap().clone();
    let mut rows = Rows::new();
    for record in reader.records() {
        let record = record.unwrap();
        let mut row = Row::new();
        for (name, value) in names.iter().zip(&record) {
            // Of the name that is there twice both values are the same.
            let before = row.insert(name.to_owned(), value.to_owned());
            assert!(before.is_none_or(|before| before == value), "{name}");
        }
        let before = rows.insert(id(&row), row);
        assert!(before.is_none(), "two flows of one tuple begin in one second: {before:?}");
    }
    rows
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
