//! `--flows`: one row for each flow that ended, under CICFlowMeter's names; see `docs/flows.md`.

use std::path::Path;

use super::cicflow::{Meter, Settings, columns};
use super::output::{AnalyzeError, OutputFile};
use crate::capture::PacketFacts;

/// Sees every packet, writes the rows.
pub(super) struct FlowsWriter {
    file: OutputFile,
    meter: Meter,
    /// Reused from row to row.
    line: String,
}

impl FlowsWriter {
    /// Creates the file with its header.
    pub(super) fn create(path: &Path, max_flows: usize) -> Result<FlowsWriter, AnalyzeError> {
        let mut file = OutputFile::create(path)?;
        file.text(&columns::header())?;
        Ok(FlowsWriter { file, meter: Meter::new(Settings::new(max_flows)), line: String::new() })
    }

    /// Adds packets, and writes the flows that ended before them.
    pub(super) fn packets(&mut self, packets: &[PacketFacts]) -> Result<(), AnalyzeError> {
        let FlowsWriter { file, meter, line } = self;
        packets.iter().try_for_each(|packet| {
            meter.packet(packet, &mut |ended| {
                line.clear();
                columns::row(ended, line);
                file.text(line)
            })
        })
    }

    /// Ends every flow; gives a warning where rows are not what they should be.
    pub(super) fn finish(self) -> Result<Option<String>, AnalyzeError> {
        let FlowsWriter { mut file, mut meter, mut line } = self;
        meter.finish(&mut |ended| {
            line.clear();
            columns::row(ended, &mut line);
            file.text(&line)
        })?;
        file.finish()?;
        let evicted = meter.evicted;
        Ok((evicted > 0).then(|| {
            format!(
                "{evicted} flows of --flows ended early (\"evicted\") because too many were open at once: raise \
                 flow.max_flows"
            )
        }))
    }
}
