//! `vesper analyze`: captures through the same stages as live traffic, and what comes out of them in files.
//!
//! In: capture files and where the results go. Out: alerts, EVE records, flows, scores and a summary. Results are
//! written as they come, so that memory does not grow with the capture.

mod clock;

mod eve;

mod flows;

mod output;

mod progress;

mod scores;

mod summary;

pub use clock::{rfc3339, seconds};
pub use eve::EveWriter;
pub use flows::{FlowRow, FlowsWriter};
pub use output::{AnalyzeError, OutputFile};
pub use progress::Progress;
pub use scores::{ScoreRow, ScoresWriter};
pub use summary::{AlertLine, Summary};
