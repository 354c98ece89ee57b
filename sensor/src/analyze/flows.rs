//! `--flows`: one row for each flow that ended.

use std::net::IpAddr;
use std::path::Path;

use super::clock::seconds;
use super::output::{AnalyzeError, OutputFile};

/// A flow that ended. Index 0 is from the initiator, 1 towards it.
#[derive(Clone, Debug)]
pub struct FlowRow<'a> {
    /// First packet, nanoseconds since the Unix epoch.
    pub start: u64,
    /// Latest packet.
    pub end: u64,
    /// The initiator.
    pub src: IpAddr,
    /// Its port.
    pub src_port: u16,
    /// The other side.
    pub dst: IpAddr,
    /// Its port.
    pub dst_port: u16,
    /// `TCP`, `UDP` and so on, or the number.
    pub proto: &'a str,
    /// Outer VLAN id, 0 when untagged.
    pub vlan: u16,
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes.
    pub bytes: [u64; 2],
    /// Packets that carried FIN, SYN, RST, PSH, ACK, URG, ECE, CWR.
    pub flags: [[u32; 8]; 2],
    /// Why it ended.
    pub reason: &'a str,
    /// Community ID v1.
    pub community_id: &'a str,
}

/// Writes the rows.
pub struct FlowsWriter(OutputFile);

impl FlowsWriter {
    /// Creates the file with its header.
    pub fn create(path: &Path) -> Result<FlowsWriter, AnalyzeError> {
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
        header.push_str(",end_reason,community_id\n");
        file.text(&header)?;
        Ok(FlowsWriter(file))
    }

    /// Writes a row.
    pub fn row(&mut self, row: &FlowRow<'_>) -> Result<(), AnalyzeError> {
        let flags: String = row
            .flags
            .iter()
            .flatten()
            .map(|count| format!("{count},"))
            .collect();
        self.0.text(&format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{flags}{},{}\n",
            seconds(row.start),
            seconds(row.end),
            row.src,
            row.src_port,
            row.dst,
            row.dst_port,
            row.proto,
            row.vlan,
            row.packets[0],
            row.packets[1],
            row.bytes[0],
            row.bytes[1],
            row.reason,
            row.community_id,
        ))
    }

    /// Everything is in the file.
    pub fn finish(self) -> Result<(), AnalyzeError> {
        self.0.finish()
    }
}
