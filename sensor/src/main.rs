//! The program `vesper`: read the command line, do what it says, say how it went.

mod run;

use std::process::ExitCode;

use clap::Parser;
use sensor::cli::{Cli, Command, EXIT_CONFIG, EXIT_DONE, EXIT_FAILED};
use sensor::config::ConfigError;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Analyze(_arguments) => Ok(()),
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
            eprintln!("vesper: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() {
                EXIT_CONFIG
            } else {
                EXIT_FAILED
            })
        }
    }
}
