//! What happened before, and what worked: alerts and the anomalies that other systems post are compared with it.
//!
//! In come resolved alerts, incidents that people write or import, and questions. Out come recommendations, each with the
//! incident it rests on, how alike that is and how often its action worked. Never here: a decision whether something is
//! an alert, or anything that the path of a packet waits for.

mod advice;
mod args;
pub mod command;
mod config;
pub mod decisions;
mod fingerprint;
pub mod import;
mod index;
pub mod language;
mod recommend;
mod record;
mod resolution;
mod search;
mod starter;
mod status;
mod store;

pub use advice::Advice;
pub use args::{IncidentsArgs, IncidentsCommand};
pub use config::IncidentsConfig;
pub use index::{Index, Likeness, Similar};
pub use record::{Draft, Incident, Origin, Unfit, Written};
pub use resolution::{FALSE_POSITIVE, Resolution, from_resolution};
pub use search::{Found, find, search, similar};
pub use status::IncidentsStatus;
pub use store::{Filter, add, count, get, list, mark, remove};

#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod tests;
