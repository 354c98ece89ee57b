//! The columns: their names as in the labelled flow files of CICIDS2017, in that order, and what each is.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use sensor_ebpf::flow::tcp;

use super::flow::Flow;
use super::{End, Ended};
use crate::analyze::output::seconds;
use crate::flow::community_id::community_id;
use crate::flow::ip;
use crate::flow::tunnel::TunnelRecord;

/// Identifiers before the features.
const IDENTIFIERS: [&str; 7] =
    ["Flow ID", "Source IP", "Source Port", "Destination IP", "Destination Port", "Protocol", "Timestamp"];

/// What CICFlowMeter writes where a person is to say what a flow was.
const LABEL: &str = "NeedManualLabel";

/// Not CICFlowMeter's.
const OWN: [&str; 7] = ["Start", "End", "End Reason", "Community ID", "VLAN", "Tunnel", "Tunnel ID"];

/// A name, and what it is of a flow.
type Feature = (&'static str, fn(&Flow) -> f64);

/// Times are microseconds, lengths payload bytes, rates a second. One name is there twice, as in the original.
pub(super) const FEATURES: [Feature; 77] = [
    ("Flow Duration", |f| f.duration()),
    ("Total Fwd Packets", |f| f.sides[0].packets()),
    ("Total Backward Packets", |f| f.sides[1].packets()),
    ("Total Length of Fwd Packets", |f| f.sides[0].lengths.sum()),
    ("Total Length of Bwd Packets", |f| f.sides[1].lengths.sum()),
    ("Fwd Packet Length Max", |f| f.sides[0].lengths.max()),
    ("Fwd Packet Length Min", |f| f.sides[0].lengths.min()),
    ("Fwd Packet Length Mean", |f| f.sides[0].lengths.mean()),
    ("Fwd Packet Length Std", |f| f.sides[0].lengths.std()),
    ("Bwd Packet Length Max", |f| f.sides[1].lengths.max()),
    ("Bwd Packet Length Min", |f| f.sides[1].lengths.min()),
    ("Bwd Packet Length Mean", |f| f.sides[1].lengths.mean()),
    ("Bwd Packet Length Std", |f| f.sides[1].lengths.std()),
    ("Flow Bytes/s", |f| f.per_second(f.lengths.sum())),
    ("Flow Packets/s", |f| f.per_second(f.lengths.count())),
    ("Flow IAT Mean", |f| f.gaps.mean()),
    ("Flow IAT Std", |f| f.gaps.std()),
    ("Flow IAT Max", |f| f.gaps.max()),
    ("Flow IAT Min", |f| f.gaps.min()),
    ("Fwd IAT Total", |f| f.sides[0].gaps.sum()),
    ("Fwd IAT Mean", |f| f.sides[0].gaps.mean()),
    ("Fwd IAT Std", |f| f.sides[0].gaps.std()),
    ("Fwd IAT Max", |f| f.sides[0].gaps.max()),
    ("Fwd IAT Min", |f| f.sides[0].gaps.min()),
    ("Bwd IAT Total", |f| f.sides[1].gaps.sum()),
    ("Bwd IAT Mean", |f| f.sides[1].gaps.mean()),
    ("Bwd IAT Std", |f| f.sides[1].gaps.std()),
    ("Bwd IAT Max", |f| f.sides[1].gaps.max()),
    ("Bwd IAT Min", |f| f.sides[1].gaps.min()),
    ("Fwd PSH Flags", |f| f.sides[0].flag(tcp::PSH)),
    ("Bwd PSH Flags", |f| f.sides[1].flag(tcp::PSH)),
    ("Fwd URG Flags", |f| f.sides[0].flag(tcp::URG)),
    ("Bwd URG Flags", |f| f.sides[1].flag(tcp::URG)),
    ("Fwd Header Length", |f| f.sides[0].header_bytes as f64),
    ("Bwd Header Length", |f| f.sides[1].header_bytes as f64),
    ("Fwd Packets/s", |f| f.per_second(f.sides[0].packets())),
    ("Bwd Packets/s", |f| f.per_second(f.sides[1].packets())),
    ("Min Packet Length", |f| f.lengths.min()),
    ("Max Packet Length", |f| f.lengths.max()),
    ("Packet Length Mean", |f| f.lengths.mean()),
    ("Packet Length Std", |f| f.lengths.std()),
    ("Packet Length Variance", |f| f.lengths.variance()),
    ("FIN Flag Count", |f| f.flag(tcp::FIN)),
    ("SYN Flag Count", |f| f.flag(tcp::SYN)),
    ("RST Flag Count", |f| f.flag(tcp::RST)),
    ("PSH Flag Count", |f| f.flag(tcp::PSH)),
    ("ACK Flag Count", |f| f.flag(tcp::ACK)),
    ("URG Flag Count", |f| f.flag(tcp::URG)),
    // CWR, misspelt in the original.
    ("CWE Flag Count", |f| f.flag(tcp::CWR)),
    ("ECE Flag Count", |f| f.flag(tcp::ECE)),
    ("Down/Up Ratio", |f| f.sides[1].packets() / f.sides[0].packets().max(1.0)),
    ("Average Packet Size", |f| f.lengths.mean()),
    ("Avg Fwd Segment Size", |f| f.sides[0].lengths.mean()),
    ("Avg Bwd Segment Size", |f| f.sides[1].lengths.mean()),
    ("Fwd Header Length", |f| f.sides[0].header_bytes as f64),
    ("Fwd Avg Bytes/Bulk", |f| f.sides[0].bulk.bytes()),
    ("Fwd Avg Packets/Bulk", |f| f.sides[0].bulk.packets()),
    ("Fwd Avg Bulk Rate", |f| f.sides[0].bulk.rate()),
    ("Bwd Avg Bytes/Bulk", |f| f.sides[1].bulk.bytes()),
    ("Bwd Avg Packets/Bulk", |f| f.sides[1].bulk.packets()),
    ("Bwd Avg Bulk Rate", |f| f.sides[1].bulk.rate()),
    ("Subflow Fwd Packets", |f| f.sides[0].packets() / f.subflows()),
    ("Subflow Fwd Bytes", |f| f.sides[0].lengths.sum() / f.subflows()),
    ("Subflow Bwd Packets", |f| f.sides[1].packets() / f.subflows()),
    ("Subflow Bwd Bytes", |f| f.sides[1].lengths.sum() / f.subflows()),
    ("Init_Win_bytes_forward", |f| window(f, 0)),
    ("Init_Win_bytes_backward", |f| window(f, 1)),
    ("act_data_pkt_fwd", |f| f.sides[0].data_packets as f64),
    ("min_seg_size_forward", |f| f64::from(f.sides[0].least_header)),
    ("Active Mean", |f| f.active.mean()),
    ("Active Std", |f| f.active.std()),
    ("Active Max", |f| f.active.max()),
    ("Active Min", |f| f.active.min()),
    ("Idle Mean", |f| f.idle.mean()),
    ("Idle Std", |f| f.idle.std()),
    ("Idle Max", |f| f.idle.max()),
    ("Idle Min", |f| f.idle.min()),
];

/// -1 where there is none, as in the data set: a window of 0 is another thing.
fn window(flow: &Flow, side: usize) -> f64 {
    flow.sides[side].window.map_or(-1.0, f64::from)
}

/// The first line.
pub(in crate::analyze) fn header() -> String {
    let features = FEATURES.iter().map(|(name, _)| *name);
    let names: Vec<&str> = IDENTIFIERS.into_iter().chain(features).chain(["Label"]).chain(OWN).collect();
    names.join(",") + "\n"
}

/// Writes the line of a flow at the end of `line`. Nothing in it is text from a packet.
pub(in crate::analyze) fn row(ended: &Ended<'_>, line: &mut String) {
    let Ended { key, reverse, flow, end } = *ended;
    let (a, b) = ((ip(&key.addr_a), key.port_a), (ip(&key.addr_b), key.port_b));
    let ((src, src_port), (dst, dst_port)) = if reverse { (b, a) } else { (a, b) };
    let proto = key.proto;
    let mut put = |text: std::fmt::Arguments<'_>| {
        // A string takes everything.
        let _ = line.write_fmt(text);
    };
    put(format_args!("{},", flow_id((src, src_port), (dst, dst_port), proto)));
    put(format_args!("{src},{src_port},{dst},{dst_port},{proto},{}", timestamp(flow.start)));
    for (_, value) in FEATURES {
        put(format_args!(",{}", value(flow)));
    }
    put(format_args!(
        ",{LABEL},{},{},{},{},{},",
        seconds(flow.start),
        seconds(flow.last),
        reason(end),
        community_id(key),
        key.vlan_outer()
    ));
    match TunnelRecord::of(key, None, 0) {
        Some(tunnel) => put(format_args!("{},{}\n", tunnel.kind, tunnel.id)),
        None => put(format_args!(",\n")),
    }
}

/// From the side of the first packet.
fn flow_id((src, src_port): (IpAddr, u16), (dst, dst_port): (IpAddr, u16), proto: u8) -> String {
    format!("{src}-{dst}-{src_port}-{dst_port}-{proto}")
}

/// `dd/MM/yyyy HH:mm:ss`, UTC, 24 hours.
fn timestamp(time: u64) -> String {
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(time);
    let text = humantime::format_rfc3339_seconds(at).to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}/{}/{} {}", part(8, 10), part(5, 7), part(0, 4), part(11, 19))
}

fn reason(end: End) -> &'static str {
    match end {
        End::Closed => "closed",
        End::Timeout => "timeout",
        End::Evicted => "evicted",
        End::NoMorePackets => "end_of_input",
    }
}
