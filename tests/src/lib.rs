//! What the tests are made of: frames, captures and traffic, built from nothing, so that no capture is kept in
//! the repository and every packet that must be counted is known; network namespaces of the tests' own, and a
//! packet generator.

pub mod frames;

pub mod tunnels;

pub mod corpus;

pub mod kernel;

pub mod capture;

pub mod traffic;

pub mod outcome;

pub mod namespace;

pub mod generator;

pub mod running;

pub mod machine;

pub mod package;

pub mod mirror;
