//! `--alerts`: one JSON object a line, each alert once, with its final count.

use std::collections::HashMap;
use std::path::Path;

use super::output::{AnalyzeError, OutputFile};
use crate::alert::{Alert, Raised};

/// Alerts that are kept until their count is final; later ones are written as they rise.
const KEPT: usize = 10_000;

/// Keeps the alerts, and writes them at the end.
pub(super) struct Alerts {
    file: Option<OutputFile>,
    kept: Vec<Alert>,
    by_id: HashMap<String, usize>,
}

impl Alerts {
    /// Creates the file, where one was asked for.
    pub(super) fn create(path: Option<&Path>) -> Result<Alerts, AnalyzeError> {
        let file = path.map(OutputFile::create).transpose()?;
        Ok(Alerts { file, kept: Vec::new(), by_id: HashMap::new() })
    }

    /// Takes new alerts, and newer states of standing ones.
    pub(super) fn take(&mut self, new: &[Raised], updates: &[Alert]) -> Result<(), AnalyzeError> {
        for Raised { alert, .. } in new {
            if self.kept.len() < KEPT {
                self.by_id.insert(alert.threat_id.clone(), self.kept.len());
                self.kept.push(alert.clone());
            } else if let Some(file) = &mut self.file {
                file.json_line(alert)?;
            }
        }
        for alert in updates {
            if let Some(&at) = self.by_id.get(&alert.threat_id) {
                self.kept[at] = alert.clone();
            }
        }
        Ok(())
    }

    /// Writes what was kept, in the order in which it rose, and gives it.
    pub(super) fn finish(&mut self) -> Result<Vec<Alert>, AnalyzeError> {
        if let Some(mut file) = self.file.take() {
            self.kept.iter().try_for_each(|alert| file.json_line(alert))?;
            file.finish()?;
        }
        Ok(std::mem::take(&mut self.kept))
    }
}
