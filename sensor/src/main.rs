//! The program `vesper`: read the command line, do what it says, say how it went.

mod run;

use std::process::ExitCode;

use clap::Parser;
use sensor::cli::{AnalyzeArgs, Cli, Command, EXIT_CONFIG, EXIT_DONE, EXIT_FAILED};
use sensor::config::{self, ConfigError, Overrides};
use sensor::telemetry;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Analyze(arguments) => analyze(&arguments),
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
            ExitCode::from(if error.is::<ConfigError>() { EXIT_CONFIG } else { EXIT_FAILED })
        }
    }
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
