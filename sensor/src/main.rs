//! The program `vesper`: read the command line, do what it says, say how it went.

mod manage;
mod run;

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use sensor::api::ApiError;
use sensor::cli::{AnalyzeArgs, Cli, Command, EXIT_CONFIG, EXIT_DONE, EXIT_FAILED};
use sensor::config::{self, ConfigError, Overrides};
use sensor::score::device;
use sensor::score::gpu::Failure;
use sensor::store::StoreError;
use sensor::telemetry;

/// Read by rayon and by candle, once set at the start of a process.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Exit code of the probe where there is no GPU.
const ABSENT: u8 = 3;

fn main() -> ExitCode {
    one_matrix_thread();
    if let Ok(program) = std::env::current_exe() {
        device::probe_by(program);
    }
    let result = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Detach(arguments) => manage::detach(&arguments),
        Command::Analyze(arguments) => analyze(&arguments),
        Command::Alerts(arguments) => manage::alerts(&arguments),
        Command::Model(arguments) => manage::model(&arguments),
        Command::Journal(arguments) => manage::journal(&arguments),
        Command::Incidents(arguments) => manage::incidents(&arguments),
        Command::Config(arguments) => manage::config(&arguments),
        Command::Token(arguments) => manage::token(&arguments),
        Command::GpuProbe { index } => return probe_gpu(index),
        Command::Manual { folder } => sensor::manual::write(&folder).context("write the manual"),
        Command::Check(arguments) => {
            return match sensor::check::run(&arguments, &mut std::io::stdout().lock()) {
                Ok(code) => ExitCode::from(code),
                Err(_) => ExitCode::from(EXIT_FAILED),
            };
        }
    };
    match result {
        Ok(()) => ExitCode::from(EXIT_DONE),
        Err(error) => {
            eprintln!("vesper: {}", message(&error));
            ExitCode::from(if is_settings(&error) { EXIT_CONFIG } else { EXIT_FAILED })
        }
    }
}

/// Starts this program anew with one thread for matrices, unless the environment says how many. Our matrices are too
/// small for more, and without the variable candle asks the kernel for the CPUs at every operation, which costs more
/// than the operation. A variable cannot be set safely in a process that may have threads.
fn one_matrix_thread() {
    if std::env::var_os(THREADS).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        // Returns only if it failed; then we are slower, and nothing else.
        let _failed =
            std::process::Command::new(program).args(std::env::args_os().skip(1)).env(THREADS, "1").exec();
    }
}

/// One line says the GPU's name, or what is wrong with it.
fn probe_gpu(index: usize) -> ExitCode {
    match device::probe_command(index) {
        Ok(name) => {
            println!("{name}");
            ExitCode::from(EXIT_DONE)
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::from(if matches!(failure, Failure::Absent(_)) { ABSENT } else { EXIT_FAILED })
        }
    }
}

/// Whether other settings, or another version, would help: trying again does not.
fn is_settings(error: &anyhow::Error) -> bool {
    let store = error.downcast_ref::<StoreError>();
    error.is::<ConfigError>()
        || matches!(store, Some(StoreError::Newer { .. } | StoreError::Foreign(_)))
        || error.downcast_ref::<ApiError>().is_some_and(ApiError::is_configuration)
}

fn analyze(arguments: &AnalyzeArgs) -> anyhow::Result<()> {
    let loaded = config::load(arguments.config.as_deref(), std::env::vars(), &Overrides::default())?;
    telemetry::init(&loaded.config.telemetry);
    sensor::analyze::analyze(&arguments.options(), &loaded.config)?;
    Ok(())
}

/// The error with its causes, each said once: most of our messages hold their cause already.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
