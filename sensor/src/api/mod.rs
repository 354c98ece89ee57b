//! The control plane over HTTP: what the sensor sees and found, what people did about it, and what they may change.
//!
//! In come requests from anyone who can reach the address, so every connection has limits: how many there are, how long a
//! request's head may take and how large it may be, how long an answer may take. Every route names the scope it needs
//! (`access`). Reads are of the latest snapshot or of the store; changes go through the store, which also says who made
//! them. Never here: anything that the path of a packet waits for.

mod access;
mod alerts;
mod app;
mod audit;
mod captures;
mod config;
mod connection;
mod counts;
mod decisions;
mod flows;
pub(crate) mod health;
mod history;
mod incidents;
mod input;
mod legacy;
mod live;
mod login;
mod model;
mod openapi;
mod overview;
mod probes;
mod problem;
mod reference;
mod routes;
mod server;
mod settings;
mod sinks;
mod standing;

pub use access::token;
pub use app::{App, Parts, Reload};
pub use config::ApiConfig;
pub use health::Health;
pub use server::{ApiError, Door, bind, open, serve};

#[cfg(test)]
mod tests;
