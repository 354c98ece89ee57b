//! Flows to rows: what a flow and a host did in one window, as numbers between 0 and 1.
//!
//! In: the flows active in a window. Out: one row per flow and per host, with the plain facts beside. Memory
//! of pairs, services and hosts is kept here, bounded. Never here: a range learned from traffic, an address as a
//! feature, or a decision.

pub mod ahead;
pub mod app;
pub mod config;
pub mod damped;
pub mod facts;
mod fading;
pub mod host;
pub mod keys;
pub mod link;
pub mod logins;
mod majority;
pub mod matrix;
pub mod memory;
pub mod moves;
mod outcome;
mod pair;
mod peaks;
mod plain;
mod pool;
mod pressure;
pub mod rarity;
pub mod rows;
pub mod sketch;
pub mod spec;
mod sums;
mod waiting;
pub mod walk;

pub use config::FeaturesConfig;
