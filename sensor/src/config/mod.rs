//! Placeholder.

pub mod duration;
