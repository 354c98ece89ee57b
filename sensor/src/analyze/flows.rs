//! `--flows`: one row for each flow that ended.

use std::path::Path;

use super::output::{AnalyzeError, OutputFile, seconds};
use crate::alert::report::protocol;
use crate::flow::flags::FlagCounts;
use crate::flow::record::{EndReason, FlowRecord};
use crate::flow::tunnel::TunnelRecord;

/// Writes the rows.
pub(super) struct FlowsWriter(OutputFile);

impl FlowsWriter {
    /// Creates the file with its header.
    pub(super) fn create(path: &Path) -> Result<FlowsWriter, AnalyzeError> {
        let mut file = OutputFile::create(path)?;
        let mut header =
            "start,end,src_ip,src_port,dst_ip,dst_port,proto,vlan,packets_fwd,packets_rev,bytes_fwd,\
                          bytes_rev"
                .to_owned();
        for direction in ["fwd", "rev"] {
            for flag in ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"] {
                header.push_str(&format!(",{flag}_{direction}"));
            }
        }
        header.push_str(",end_reason,community_id,tunnel,tunnel_id,outer_src,outer_dst\n");
        file.text(&header)?;
        Ok(FlowsWriter(file))
    }

    /// Writes a row.
    pub(super) fn row(&mut self, row: &FlowRecord) -> Result<(), AnalyzeError> {
        let flags: String = row.flags.iter().flat_map(counts).map(|count| format!("{count},")).collect();
        // Four empty columns for a flow in no tunnel.
        let tunnel = row.tunnel.as_ref().map_or_else(|| ",,,".to_owned(), tunnel);
        self.0.text(&format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{flags}{},{},{tunnel}\n",
            seconds(row.start),
            seconds(row.end),
            row.src,
            row.src_port,
            row.dst,
            row.dst_port,
            protocol(row.key.proto),
            row.key.vlan_outer(),
            row.packets[0],
            row.packets[1],
            row.bytes[0],
            row.bytes[1],
            reason(row.reason),
            row.community_id(),
        ))
    }

    /// Everything is in the file.
    pub(super) fn finish(self) -> Result<(), AnalyzeError> {
        self.0.finish()
    }
}

/// Kind, id, and the outer addresses where they are known.
fn tunnel(tunnel: &TunnelRecord) -> String {
    let address = |address: Option<std::net::IpAddr>| address.map(|ip| ip.to_string()).unwrap_or_default();
    format!("{},{},{},{}", tunnel.kind, tunnel.id, address(tunnel.src_ip), address(tunnel.dest_ip))
}

/// In the order of their bits in the header.
pub(super) fn counts(flags: &FlagCounts) -> [u32; 8] {
    [flags.fin, flags.syn, flags.rst, flags.psh, flags.ack, flags.urg, flags.ece, flags.cwr]
}

/// The name of a reason in files.
pub(super) fn reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Idle => "idle",
        EndReason::Unanswered => "unanswered",
        EndReason::Closed => "closed",
        EndReason::Reused => "reused",
        EndReason::Active => "active",
        EndReason::EndOfInput => "end_of_input",
    }
}
