//! Threat intelligence: what others know of addresses, names and clients.
//!
//! In: lists, from files and servers. Out: a [`Set`] that flows and names are looked up in, in the kernel for addresses
//! (`capture/listed`) and here for the rest. A list that cannot be read, or that says what cannot be, changes nothing: the
//! last good one stays. Never here: a packet, or a judgement about one.

pub mod config;
pub mod feed;
pub mod fetch;
pub mod formats;
pub mod item;
pub mod keeper;
pub mod prefix;
pub mod ranges;
pub mod set;
pub mod source;

#[cfg(test)]
pub(crate) mod tests;

pub use config::{FeedConfig, FeedKind, IntelConfig};
pub use item::{Item, Refused, Value};
pub use keeper::{FeedStatus, IntelStatus, Keeper, ReplaceError, Replacing, StatusReader, offline};
pub use set::{FeedItems, Hit, Label, Set};
