//! Vesper, a network sensor. The modules stand in the order in which a packet meets them; below the blank
//! line is the control plane, which stands beside the path and never in it.

pub mod capture;

pub mod intel;

pub mod flow;

pub mod features;

pub mod score;

pub mod alert;

pub mod sinks;

pub mod analysis;

pub mod pipeline;

pub mod analyze;

pub mod store;

pub mod incidents;

pub mod journal;

pub mod model;

pub mod model_file;

pub mod ledger;

pub mod status;

pub mod config;

pub mod reload;

pub mod notify;

pub mod api;

pub mod console;

pub mod telemetry;

pub mod check;

pub mod cli;

pub mod manual;
