//! What kernel and user space share: one header parser, the layouts of the maps and the sampling rule.
//!
//! Nothing here allocates, reads a clock or does I/O, so the code the verifier sees is the code that tests,
//! fuzzing and the offline `analyze` run.
#![cfg_attr(target_arch = "bpf", no_std)]

pub mod frame;

pub mod flow;

pub mod listed;

pub mod parse;

pub mod tunnel;

mod icmp;

pub mod control;

pub mod counter;

pub mod sample;

pub mod shared;

pub mod sketch;

pub mod table;

#[cfg(feature = "user")]
mod user;
#[cfg(feature = "user")]
pub use user::SharedLayout;
