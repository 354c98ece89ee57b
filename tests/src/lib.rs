//! The harness: frames, captures and traffic built from nothing, so that every packet that must be counted is
//! known and no capture is kept in the repository; network namespaces of the tests' own, and a packet generator.

pub mod frames;

pub mod capture;

pub mod traffic;

pub mod generator;

pub mod namespace;
