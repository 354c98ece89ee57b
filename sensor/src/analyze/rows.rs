//! `--rows`: what each scored window of a flow was scored by, for models of one's own. Same rows in the same order as
//! `--scores`. No cell holds text from packets.

use std::path::Path;

use super::output::{AnalyzeError, OutputFile, seconds};
use crate::alert::report::protocol;
use crate::analysis::ScoredWindow;
use crate::score::scorer::Kind;

/// Writes the rows.
pub(super) struct RowsWriter(OutputFile);

impl RowsWriter {
    /// Creates the file with its header.
    pub(super) fn create(path: &Path) -> Result<RowsWriter, AnalyzeError> {
        let mut file = OutputFile::create(path)?;
        let names: String =
            Kind::Flow.features().iter().map(|feature| format!(",{}", feature.name)).collect();
        file.text(&format!(
            "window_start,window_end,src_ip,src_port,dst_ip,dst_port,proto,packets_fwd,packets_rev,bytes_fwd,\
             bytes_rev{names}\n"
        ))?;
        Ok(RowsWriter(file))
    }

    /// Writes a row.
    pub(super) fn row(&mut self, row: &ScoredWindow) -> Result<(), AnalyzeError> {
        let features: String = row.features.iter().map(|value| format!(",{value:.6}")).collect();
        self.0.text(&format!(
            "{},{},{},{},{},{},{},{},{},{},{}{features}\n",
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
        ))
    }

    /// Everything is in the file.
    pub(super) fn finish(self) -> Result<(), AnalyzeError> {
        self.0.finish()
    }
}
