//! Threat intelligence: what others know of addresses, names and clients.

pub mod config;
mod fetch;
pub mod item;
pub mod prefix;
mod ranges;
pub mod set;

pub use config::{FeedConfig, FeedKind, IntelConfig};
pub use item::{Item, Refused, Value};
pub use set::{FeedItems, Hit, Label, Set};
