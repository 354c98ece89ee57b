//! What can go wrong in scoring.

/// Scoring failed, or a saved state does not fit.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// A saved state that is no saved state, or one that was damaged.
    #[error("the saved model state is damaged ({what}): delete it to learn anew")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// A saved state of another version.
    #[error(
        "the saved model state has format {found}, this program reads {expected}: delete it to learn anew"
    )]
    Version {
        /// In the state.
        found: u32,
        /// Wanted.
        expected: u32,
    },
    /// A saved state of another shape: features or layers changed.
    #[error(
        "the saved model state does not fit this configuration ({what}): delete it to learn anew, or restore the configuration it was made with"
    )]
    Shape {
        /// Which part differs, and how.
        what: String,
    },
    /// Configuration values that cannot work.
    #[error("configuration: {0}")]
    Config(String),
}
