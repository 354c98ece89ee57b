//! The harness: network namespaces of the tests' own, and a packet generator.

pub mod generator;

pub mod namespace;
