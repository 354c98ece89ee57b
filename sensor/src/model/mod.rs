//! The learned state on disk: three generations, snapshots, and what people do with them (`vesper model`).
//!
//! Control plane: the analysis hands over copies and takes up what was read; no file is touched on its thread.

pub mod command;
pub mod compare;
pub mod keeper;
pub mod labels;
pub mod request;
pub mod store;
pub mod train;
pub mod types;

#[cfg(test)]
mod command_tests;
#[cfg(test)]
mod corruption_tests;
#[cfg(test)]
mod tests;

use crate::analysis::Analysis;
use crate::config::Config;

pub use keeper::{Keeper, ModelStatus};
pub use request::Mailbox;
pub use store::{ModelError, Snapshot, Store, TakenUp};

/// Runs the model of `score.shadow` beside the live one, or says aloud why not.
pub fn run_shadow(analysis: &mut Analysis, config: &Config) {
    if config.score.shadow.as_os_str().is_empty() {
        return;
    }
    let path = config.state_dir.join(&config.score.shadow);
    let scorer = store::read(&path).and_then(|learned| {
        let active = learned.about().state == "active";
        active.then(|| learned.scorer(config)).transpose().map_err(ModelError::from)
    });
    match scorer {
        Ok(Some(scorer)) => {
            tracing::info!(path = %path.display(), "a model runs in the shadow of the live one");
            analysis.run_shadow(scorer);
        }
        Ok(None) => {
            tracing::error!(path = %path.display(), "no shadow: the model has not finished its warm-up")
        }
        Err(error) => tracing::error!(%error, "no shadow: the model cannot be used"),
    }
}
