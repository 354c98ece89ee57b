//! `--eve`: alerts and flows under the field names of Suricata's EVE JSON, for what already reads that.

use std::path::Path;

use serde_json::{Value, json};

use super::output::{AnalyzeError, OutputFile};
use crate::alert::Alert;
use crate::alert::eve::{alert_record, flow_id, tunnel};
use crate::alert::report::protocol;
use crate::flow::flags::FlagCounts;
use crate::flow::record::{EndReason, FlowRecord};
use crate::status::rfc3339;

/// Writes the records.
pub(super) struct EveWriter(OutputFile);

impl EveWriter {
    /// Creates the file.
    pub(super) fn create(path: &Path) -> Result<EveWriter, AnalyzeError> {
        Ok(EveWriter(OutputFile::create(path)?))
    }

    /// Writes an alert.
    pub(super) fn alert(&mut self, alert: &Alert) -> Result<(), AnalyzeError> {
        self.0.json_line(&alert_record(alert))
    }

    /// Writes a flow that ended.
    pub(super) fn flow(&mut self, flow: &FlowRecord) -> Result<(), AnalyzeError> {
        self.0.json_line(&flow_record(flow))
    }

    /// Everything is in the file.
    pub(super) fn finish(self) -> Result<(), AnalyzeError> {
        self.0.finish()
    }
}

fn flow_record(flow: &FlowRecord) -> Value {
    let community_id = flow.community_id();
    let mut record = json!({
        "timestamp": rfc3339(flow.end),
        "flow_id": flow_id(&community_id),
        "event_type": "flow",
        "src_ip": flow.src,
        "src_port": flow.src_port,
        "dest_ip": flow.dst,
        "dest_port": flow.dst_port,
        "proto": protocol(flow.key.proto),
        "community_id": community_id,
        "flow": {
            "pkts_toserver": flow.packets[0],
            "pkts_toclient": flow.packets[1],
            "bytes_toserver": flow.bytes[0],
            "bytes_toclient": flow.bytes[1],
            "start": rfc3339(flow.start),
            "end": rfc3339(flow.end),
            "age": flow.end.saturating_sub(flow.start) / 1_000_000_000,
            "state": if flow.packets[1] == 0 { "new" } else { "established" },
            "reason": reason(flow.reason),
        },
    });
    if let Some(fields) = record.as_object_mut() {
        if let Some(of) = &flow.tunnel {
            fields.insert("tunnel".to_owned(), tunnel(of));
        }
        if flow.key.vlan_outer() != 0 {
            fields.insert("vlan".to_owned(), json!([flow.key.vlan_outer()]));
        }
        if flow.key.proto == sensor_ebpf::flow::proto::TCP {
            fields.insert("tcp".to_owned(), tcp(&flow.flags));
        }
    }
    record
}

/// Flags as Suricata gives them: the bits in hexadecimal, and each that was seen.
fn tcp(flags: &[FlagCounts; 2]) -> Value {
    let bits = |flags: &FlagCounts| {
        counts(flags).iter().enumerate().fold(0u8, |bits, (bit, count)| bits | (u8::from(*count > 0) << bit))
    };
    let (to_server, to_client) = (bits(&flags[0]), bits(&flags[1]));
    let all = to_server | to_client;
    let mut record = json!({
        "tcp_flags": format!("{all:02x}"),
        "tcp_flags_ts": format!("{to_server:02x}"),
        "tcp_flags_tc": format!("{to_client:02x}"),
    });
    if let Some(fields) = record.as_object_mut() {
        for (bit, name) in ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"].into_iter().enumerate() {
            if all & (1 << bit) != 0 {
                fields.insert(name.to_owned(), json!(true));
            }
        }
    }
    record
}

/// In the order of their bits in the header.
fn counts(flags: &FlagCounts) -> [u32; 8] {
    [flags.fin, flags.syn, flags.rst, flags.psh, flags.ack, flags.urg, flags.ece, flags.cwr]
}

/// The name of a reason in files.
fn reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Idle => "idle",
        EndReason::Unanswered => "unanswered",
        EndReason::Closed => "closed",
        EndReason::Reused => "reused",
        EndReason::Active => "active",
        EndReason::EndOfInput => "end_of_input",
    }
}
