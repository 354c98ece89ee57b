//! Placeholder.

mod config;

pub use config::FlowConfig;
