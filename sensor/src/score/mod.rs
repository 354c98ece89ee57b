//! Placeholder.

mod config;

pub use config::ScoreConfig;
