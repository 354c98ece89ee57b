//! `--scores`: one row for each scored window of a flow, in time order. No cell holds text from packets.

use std::path::Path;

use super::output::{AnalyzeError, OutputFile, seconds};
use crate::alert::report::protocol;
use crate::analysis::ScoredWindow;

/// Writes the rows.
pub(super) struct ScoresWriter(OutputFile);

impl ScoresWriter {
    /// Creates the file with its header.
    pub(super) fn create(path: &Path) -> Result<ScoresWriter, AnalyzeError> {
        let mut file = OutputFile::create(path)?;
        file.text(
            "window_start,window_end,src_ip,src_port,dst_ip,dst_port,proto,packets_fwd,packets_rev,bytes_fwd,\
             bytes_rev,score,threshold,state,threat_type,confidence,alerted\n",
        )?;
        Ok(ScoresWriter(file))
    }

    /// Writes a row.
    pub(super) fn row(&mut self, row: &ScoredWindow) -> Result<(), AnalyzeError> {
        let threat_type = row.threat_type.map(|threat| format!("{threat:?}")).unwrap_or_default();
        self.0.text(&format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{threat_type},{},{}\n",
            seconds(row.window_start),
            seconds(row.window_end),
            row.src,
            row.src_port,
            row.dst,
            row.dst_port,
            protocol(row.proto),
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
    pub(super) fn finish(self) -> Result<(), AnalyzeError> {
        self.0.finish()
    }
}
