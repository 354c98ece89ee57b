//! Settings.

pub mod duration;

pub mod size;
