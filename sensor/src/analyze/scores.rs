//! `--scores`: one row for each scored window of a flow, in time order.

use std::net::IpAddr;
use std::path::Path;

use super::clock::seconds;
use super::output::{AnalyzeError, OutputFile};
use crate::alert::ThreatType;

/// A scored window. Every field is made by this program, so no cell needs quoting.
#[derive(Clone, Debug)]
pub struct ScoreRow {
    /// When the window began, nanoseconds since the Unix epoch.
    pub window_start: u64,
    /// When it ended.
    pub window_end: u64,
    /// The initiator.
    pub src: IpAddr,
    /// Its port.
    pub src_port: u16,
    /// The other side.
    pub dst: IpAddr,
    /// Its port.
    pub dst_port: u16,
    /// `TCP`, `UDP` and so on, or the number.
    pub proto: String,
    /// Packets from the initiator, and towards it.
    pub packets: [u64; 2],
    /// Bytes, same.
    pub bytes: [u64; 2],
    /// The score.
    pub score: f64,
    /// The score above which the sensor alerts.
    pub threshold: f64,
    /// `warming`, `calibrating` or `active`.
    pub state: &'static str,
    /// What it shows, where it shows anything.
    pub threat_type: Option<ThreatType>,
    /// 0 to 1.
    pub confidence: f64,
    /// Whether an alert came of it.
    pub alerted: bool,
}

/// Writes the rows.
pub struct ScoresWriter(OutputFile);

impl ScoresWriter {
    /// Creates the file with its header.
    pub fn create(path: &Path) -> Result<ScoresWriter, AnalyzeError> {
        let mut file = OutputFile::create(path)?;
        file.text(
            "window_start,window_end,src_ip,src_port,dst_ip,dst_port,proto,packets_fwd,packets_rev,bytes_fwd,\
             bytes_rev,score,threshold,state,threat_type,confidence,alerted\n",
        )?;
        Ok(ScoresWriter(file))
    }

    /// Writes a row.
    pub fn row(&mut self, row: &ScoreRow) -> Result<(), AnalyzeError> {
        let threat_type = row
            .threat_type
            .map(|threat| format!("{threat:?}"))
            .unwrap_or_default();
        self.0.text(&format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{threat_type},{},{}\n",
            seconds(row.window_start),
            seconds(row.window_end),
            row.src,
            row.src_port,
            row.dst,
            row.dst_port,
            row.proto,
            row.packets[0],
            row.packets[1],
            row.bytes[0],
            row.bytes[1],
            row.score,
            row.threshold,
            row.state,
            row.confidence,
            row.alerted,
        ))
    }

    /// Everything is in the file.
    pub fn finish(self) -> Result<(), AnalyzeError> {
        self.0.finish()
    }
}
