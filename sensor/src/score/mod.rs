//! Rows to scores: an ensemble that learns online what rows usually look like, and how rarely they look otherwise.
//!
//! In: the rows of a window. Out: a score for each, the threshold, and the features that made the score. Never
//! here: what kind of threat it is, or a device other than the one `device.rs` gives.

pub mod checkpoint;
pub mod config;
pub mod dense;
pub mod device;
pub mod drift;
pub mod error;
pub mod explain;
pub mod fused;
pub mod gpu;
pub mod kind;
mod learning;
pub mod lessons;
#[cfg(test)]
mod long_tests;
pub mod member;
pub mod model;
mod offload;
pub mod random;
pub mod save;
pub mod scorer;
mod self_test;
pub mod shadow;
pub mod study;
pub mod tail;
mod tensors;
mod told;
pub mod training_set;
mod trimming;
pub(crate) mod vectors;
pub mod weights;

pub use error::ScoreError;

pub use config::ScoreConfig;
