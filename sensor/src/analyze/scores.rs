//! `--scores`: one row for each scored window of a flow, in time order. No cell holds text from packets.

use std::path::Path;

use super::output::{AnalyzeError, KEY_COLUMNS, OutputFile, key_cells};
use crate::analysis::ScoredWindow;

/// Writes the rows.
pub(super) struct ScoresWriter(OutputFile);

impl ScoresWriter {
    /// Creates the file with its header.
    pub(super) fn create(path: &Path) -> Result<ScoresWriter, AnalyzeError> {
        let mut file = OutputFile::create(path)?;
        file.text(&format!("{KEY_COLUMNS},score,threshold,state,threat_type,confidence,alerted\n"))?;
        Ok(ScoresWriter(file))
    }

    /// Writes a row.
    pub(super) fn row(&mut self, row: &ScoredWindow) -> Result<(), AnalyzeError> {
        let threat_type = row.threat_type.map(|threat| format!("{threat:?}")).unwrap_or_default();
        self.0.text(&format!(
            "{},{},{},{},{threat_type},{},{}\n",
            key_cells(row),
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
