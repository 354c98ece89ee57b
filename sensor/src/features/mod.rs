//! Placeholder.

mod config;

pub use config::FeaturesConfig;
