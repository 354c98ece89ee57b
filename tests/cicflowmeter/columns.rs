//! What each column is, here and in CICFlowMeter, over plain lists of packets.

use sensor_tests::frames::flag;

use crate::construction::Segment;
use crate::values::*;

type Value = fn(&Segment) -> f64;

/// A column of both.
pub struct Column {
    pub name: &'static str,
    pub theirs: &'static str,
    pub value: Value,
    /// Theirs, where it is another.
    pub differs: Option<Value>,
    /// Why, as `docs/flows.md` names it.
    pub reasons: &'static [&'static str],
}

impl Column {
    pub fn their_value(&self) -> Value {
        self.differs.unwrap_or(self.value)
    }
}

const fn same(name: &'static str, theirs: &'static str, value: Value) -> Column {
    Column { name, theirs, value, differs: None, reasons: &[] }
}

const fn differs(
    name: &'static str,
    theirs: &'static str,
    reasons: &'static [&'static str],
    value: Value,
    other: Value,
) -> Column {
    Column { name, theirs, value, differs: Some(other), reasons }
}

const F: Option<bool> = Some(true);
const B: Option<bool> = Some(false);
const LENGTH: &[&str] = &["frame-length"];
const LENGTH_STD: &[&str] = &["frame-length", "population-deviation"];
const GAP: &[&str] = &["single-gap"];
const GAP_STD: &[&str] = &["single-gap", "population-deviation"];
const BULK: &[&str] = &["bulk-pause", "padding-is-payload"];
const ACTIVE: &[&str] = &["active-idle"];

pub const COLUMNS: &[Column] = &[
    same("Source Port", "src_port", |s| {
        f64::from(if s.packets[0].1 { s.first().src.1 } else { s.first().dst.1 })
    }),
    same("Destination Port", "dst_port", |s| {
        f64::from(if s.packets[0].1 { s.first().dst.1 } else { s.first().src.1 })
    }),
    same("Protocol", "protocol", |s| f64::from(s.first().proto)),
    same("Flow Duration", "flow_duration", |s| s.duration() as f64 / 1e3),
    same("Total Fwd Packets", "tot_fwd_pkts", |s| s.of(F).count() as f64),
    same("Total Backward Packets", "tot_bwd_pkts", |s| s.of(B).count() as f64),
    differs(
        "Total Length of Fwd Packets",
        "totlen_fwd_pkts",
        LENGTH,
        |s| sum(&payloads(s, F)),
        |s| sum(&frames(s, F)),
    ),
    differs(
        "Total Length of Bwd Packets",
        "totlen_bwd_pkts",
        LENGTH,
        |s| sum(&payloads(s, B)),
        |s| sum(&frames(s, B)),
    ),
    differs(
        "Fwd Packet Length Max",
        "fwd_pkt_len_max",
        LENGTH,
        |s| max(&payloads(s, F)),
        |s| max(&frames(s, F)),
    ),
    differs(
        "Fwd Packet Length Min",
        "fwd_pkt_len_min",
        LENGTH,
        |s| min(&payloads(s, F)),
        |s| min(&frames(s, F)),
    ),
    differs(
        "Fwd Packet Length Mean",
        "fwd_pkt_len_mean",
        LENGTH,
        |s| mean(&payloads(s, F)),
        |s| mean(&frames(s, F)),
    ),
    differs(
        "Fwd Packet Length Std",
        "fwd_pkt_len_std",
        LENGTH_STD,
        |s| std(&payloads(s, F)),
        |s| std_n(&frames(s, F)),
    ),
    differs(
        "Bwd Packet Length Max",
        "bwd_pkt_len_max",
        LENGTH,
        |s| max(&payloads(s, B)),
        |s| max(&frames(s, B)),
    ),
    differs(
        "Bwd Packet Length Min",
        "bwd_pkt_len_min",
        LENGTH,
        |s| min(&payloads(s, B)),
        |s| min(&frames(s, B)),
    ),
    differs(
        "Bwd Packet Length Mean",
        "bwd_pkt_len_mean",
        LENGTH,
        |s| mean(&payloads(s, B)),
        |s| mean(&frames(s, B)),
    ),
    differs(
        "Bwd Packet Length Std",
        "bwd_pkt_len_std",
        LENGTH_STD,
        |s| std(&payloads(s, B)),
        |s| std_n(&frames(s, B)),
    ),
    differs(
        "Flow Bytes/s",
        "flow_byts_s",
        LENGTH,
        |s| rate(s, sum(&payloads(s, None))),
        |s| rate(s, sum(&frames(s, None))),
    ),
    same("Flow Packets/s", "flow_pkts_s", |s| rate(s, s.packets.len() as f64)),
    differs("Flow IAT Mean", "flow_iat_mean", GAP, |s| mean(&gaps(s, None)), |s| mean(&two(gaps(s, None)))),
    differs("Flow IAT Std", "flow_iat_std", GAP_STD, |s| std(&gaps(s, None)), |s| std_n(&two(gaps(s, None)))),
    differs("Flow IAT Max", "flow_iat_max", GAP, |s| max(&gaps(s, None)), |s| max(&two(gaps(s, None)))),
    differs("Flow IAT Min", "flow_iat_min", GAP, |s| min(&gaps(s, None)), |s| min(&two(gaps(s, None)))),
    differs("Fwd IAT Total", "fwd_iat_tot", GAP, |s| sum(&gaps(s, F)), |s| sum(&two(gaps(s, F)))),
    differs("Fwd IAT Mean", "fwd_iat_mean", GAP, |s| mean(&gaps(s, F)), |s| mean(&two(gaps(s, F)))),
    differs("Fwd IAT Std", "fwd_iat_std", GAP_STD, |s| std(&gaps(s, F)), |s| std_n(&two(gaps(s, F)))),
    differs("Fwd IAT Max", "fwd_iat_max", GAP, |s| max(&gaps(s, F)), |s| max(&two(gaps(s, F)))),
    differs("Fwd IAT Min", "fwd_iat_min", GAP, |s| min(&gaps(s, F)), |s| min(&two(gaps(s, F)))),
    differs("Bwd IAT Total", "bwd_iat_tot", GAP, |s| sum(&gaps(s, B)), |s| sum(&two(gaps(s, B)))),
    differs("Bwd IAT Mean", "bwd_iat_mean", GAP, |s| mean(&gaps(s, B)), |s| mean(&two(gaps(s, B)))),
    differs("Bwd IAT Std", "bwd_iat_std", GAP_STD, |s| std(&gaps(s, B)), |s| std_n(&two(gaps(s, B)))),
    differs("Bwd IAT Max", "bwd_iat_max", GAP, |s| max(&gaps(s, B)), |s| max(&two(gaps(s, B)))),
    differs("Bwd IAT Min", "bwd_iat_min", GAP, |s| min(&gaps(s, B)), |s| min(&two(gaps(s, B)))),
    same("Fwd PSH Flags", "fwd_psh_flags", |s| flags(s, F, flag::PSH)),
    same("Bwd PSH Flags", "bwd_psh_flags", |s| flags(s, B, flag::PSH)),
    same("Fwd URG Flags", "fwd_urg_flags", |s| flags(s, F, flag::URG)),
    same("Bwd URG Flags", "bwd_urg_flags", |s| flags(s, B, flag::URG)),
    differs(
        "Fwd Header Length",
        "fwd_header_len",
        &["ip-header"],
        |s| sum(&headers(s, F)),
        |s| sum(&ip_headers(s, F)),
    ),
    differs(
        "Bwd Header Length",
        "bwd_header_len",
        &["ip-header"],
        |s| sum(&headers(s, B)),
        |s| sum(&ip_headers(s, B)),
    ),
    same("Fwd Packets/s", "fwd_pkts_s", |s| rate(s, s.of(F).count() as f64)),
    same("Bwd Packets/s", "bwd_pkts_s", |s| rate(s, s.of(B).count() as f64)),
    differs(
        "Min Packet Length",
        "pkt_len_min",
        LENGTH,
        |s| min(&payloads(s, None)),
        |s| min(&frames(s, None)),
    ),
    differs(
        "Max Packet Length",
        "pkt_len_max",
        LENGTH,
        |s| max(&payloads(s, None)),
        |s| max(&frames(s, None)),
    ),
    differs(
        "Packet Length Mean",
        "pkt_len_mean",
        LENGTH,
        |s| mean(&payloads(s, None)),
        |s| mean(&frames(s, None)),
    ),
    differs(
        "Packet Length Std",
        "pkt_len_std",
        LENGTH_STD,
        |s| std(&payloads(s, None)),
        |s| std_n(&frames(s, None)),
    ),
    differs(
        "Packet Length Variance",
        "pkt_len_var",
        LENGTH_STD,
        |s| std(&payloads(s, None)).powi(2),
        |s| std_n(&frames(s, None)).powi(2),
    ),
    same("FIN Flag Count", "fin_flag_cnt", |s| flags(s, None, flag::FIN)),
    same("SYN Flag Count", "syn_flag_cnt", |s| flags(s, None, flag::SYN)),
    same("RST Flag Count", "rst_flag_cnt", |s| flags(s, None, flag::RST)),
    same("PSH Flag Count", "psh_flag_cnt", |s| flags(s, None, flag::PSH)),
    same("ACK Flag Count", "ack_flag_cnt", |s| flags(s, None, flag::ACK)),
    same("URG Flag Count", "urg_flag_cnt", |s| flags(s, None, flag::URG)),
    differs(
        "CWE Flag Count",
        "cwr_flag_count",
        &["cwr-is-urg"],
        |s| flags(s, None, flag::CWR),
        |s| flags(s, F, flag::URG),
    ),
    same("ECE Flag Count", "ece_flag_cnt", |s| flags(s, None, flag::ECE)),
    same("Down/Up Ratio", "down_up_ratio", |s| s.of(B).count() as f64 / s.of(F).count().max(1) as f64),
    differs(
        "Average Packet Size",
        "pkt_size_avg",
        LENGTH,
        |s| mean(&payloads(s, None)),
        |s| mean(&frames(s, None)),
    ),
    differs(
        "Avg Fwd Segment Size",
        "fwd_seg_size_avg",
        LENGTH,
        |s| mean(&payloads(s, F)),
        |s| mean(&frames(s, F)),
    ),
    differs(
        "Avg Bwd Segment Size",
        "bwd_seg_size_avg",
        LENGTH,
        |s| mean(&payloads(s, B)),
        |s| mean(&frames(s, B)),
    ),
    differs(
        "Fwd Avg Bytes/Bulk",
        "fwd_byts_b_avg",
        BULK,
        |s| ours_in_bulk(s, true)[0],
        |s| theirs_in_bulk(s, true)[0],
    ),
    differs(
        "Fwd Avg Packets/Bulk",
        "fwd_pkts_b_avg",
        BULK,
        |s| ours_in_bulk(s, true)[1],
        |s| theirs_in_bulk(s, true)[1],
    ),
    differs(
        "Fwd Avg Bulk Rate",
        "fwd_blk_rate_avg",
        BULK,
        |s| ours_in_bulk(s, true)[2],
        |s| theirs_in_bulk(s, true)[2],
    ),
    differs(
        "Bwd Avg Bytes/Bulk",
        "bwd_byts_b_avg",
        BULK,
        |s| ours_in_bulk(s, false)[0],
        |s| theirs_in_bulk(s, false)[0],
    ),
    differs(
        "Bwd Avg Packets/Bulk",
        "bwd_pkts_b_avg",
        BULK,
        |s| ours_in_bulk(s, false)[1],
        |s| theirs_in_bulk(s, false)[1],
    ),
    differs(
        "Bwd Avg Bulk Rate",
        "bwd_blk_rate_avg",
        BULK,
        |s| ours_in_bulk(s, false)[2],
        |s| theirs_in_bulk(s, false)[2],
    ),
    differs(
        "Subflow Fwd Packets",
        "subflow_fwd_pkts",
        &["one-subflow"],
        |s| s.of(F).count() as f64 / subflows(s),
        |s| s.of(F).count() as f64,
    ),
    differs(
        "Subflow Fwd Bytes",
        "subflow_fwd_byts",
        &["one-subflow", "frame-length"],
        |s| sum(&payloads(s, F)) / subflows(s),
        |s| sum(&frames(s, F)),
    ),
    differs(
        "Subflow Bwd Packets",
        "subflow_bwd_pkts",
        &["one-subflow"],
        |s| s.of(B).count() as f64 / subflows(s),
        |s| s.of(B).count() as f64,
    ),
    differs(
        "Subflow Bwd Bytes",
        "subflow_bwd_byts",
        &["one-subflow", "frame-length"],
        |s| sum(&payloads(s, B)) / subflows(s),
        |s| sum(&frames(s, B)),
    ),
    differs(
        "Init_Win_bytes_forward",
        "init_fwd_win_byts",
        &["no-window"],
        |s| window(s, F),
        |s| window(s, F).max(0.0),
    ),
    differs(
        "Init_Win_bytes_backward",
        "init_bwd_win_byts",
        &["no-window", "last-window"],
        |s| window(s, B),
        |s| s.of(B).last().map_or(0.0, |packet| f64::from(packet.window)),
    ),
    differs(
        "act_data_pkt_fwd",
        "fwd_act_data_pkts",
        &["padding-is-payload"],
        |s| s.of(F).filter(|packet| packet.payload > 0).count() as f64,
        |s| s.of(F).filter(|packet| padded(packet) > 0).count() as f64,
    ),
    differs(
        "min_seg_size_forward",
        "fwd_seg_size_min",
        &["ip-header"],
        |s| min(&headers(s, F)),
        |s| min(&ip_headers(s, F)),
    ),
    differs(
        "Active Mean",
        "active_mean",
        ACTIVE,
        |s| mean(&ours_active(s)[0]),
        |s| mean(&theirs_active(s)[0]),
    ),
    differs("Active Std", "active_std", ACTIVE, |s| std(&ours_active(s)[0]), |s| std_n(&theirs_active(s)[0])),
    differs("Active Max", "active_max", ACTIVE, |s| max(&ours_active(s)[0]), |s| max(&theirs_active(s)[0])),
    differs("Active Min", "active_min", ACTIVE, |s| min(&ours_active(s)[0]), |s| min(&theirs_active(s)[0])),
    differs("Idle Mean", "idle_mean", ACTIVE, |s| mean(&ours_active(s)[1]), |s| mean(&theirs_active(s)[1])),
    differs("Idle Std", "idle_std", ACTIVE, |s| std(&ours_active(s)[1]), |s| std_n(&theirs_active(s)[1])),
    differs("Idle Max", "idle_max", ACTIVE, |s| max(&ours_active(s)[1]), |s| max(&theirs_active(s)[1])),
    differs("Idle Min", "idle_min", ACTIVE, |s| min(&ours_active(s)[1]), |s| min(&theirs_active(s)[1])),
];
