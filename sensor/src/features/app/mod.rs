//! What flows say, from their sampled payload: DNS names, TLS hellos, HTTP requests.
//!
//! In: samples. Out: [`AppFacts`] of a flow. Every parser is bounded, allocates nothing that outlives it but what is counted
//! here, and takes any bytes; what is not understood says nothing. Never here: a packet that is no sample, and text from
//! packets as anything but text.

pub mod bytes;
pub mod dns;
pub mod domain;
pub mod facts;
mod flows;
pub mod http;
mod listed;
pub mod markers;
pub mod names;
mod pairs;
mod rolling;
#[cfg(test)]
mod tests;
pub mod tls;

pub use facts::{AppFacts, DnsFacts, HttpFacts, Protocol, TlsFacts};
pub use flows::{App, AppCounts};
pub use listed::NameHit;
