//! `--rows`: what each scored window of a flow was scored by, for models of one's own. Same rows in the same order as
//! `--scores`. No cell holds text from packets.

use std::path::Path;

use super::output::{AnalyzeError, KEY_COLUMNS, OutputFile, key_cells};
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
        file.text(&format!("{KEY_COLUMNS}{names}\n"))?;
        Ok(RowsWriter(file))
    }

    /// Writes a row.
    pub(super) fn row(&mut self, row: &ScoredWindow) -> Result<(), AnalyzeError> {
        let features: String = row.features.iter().map(|value| format!(",{value:.6}")).collect();
        self.0.text(&format!("{}{features}\n", key_cells(row)))
    }

    /// Everything is in the file.
    pub(super) fn finish(self) -> Result<(), AnalyzeError> {
        self.0.finish()
    }
}
