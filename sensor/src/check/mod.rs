//! `vesper check`: whether everything is in place, line by line, each with why it matters and what mends it.
//!
//! In goes the configuration, out come [`Line`]s and an exit code. Without `--fix` nothing is changed, but for one file
//! that is made and removed again to see whether a folder can be written, and the XDP program, which is loaded and
//! not attached. No alert is sent, no process is stopped, no other program's XDP is touched, with `--fix` neither.

mod bpf;
mod disk;
mod drivers;
mod fitness;
mod gpu;
mod intel;
mod interface;
mod interrupts;
mod kernel;
mod machine;
mod mend;
mod owners;
mod pins;
mod places;
mod privileges;
mod report;
mod service;
mod subjects;
mod time;

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::{CheckArgs, EXIT_CONFIG, EXIT_DONE, EXIT_FAILED};
use crate::config::{self, ConfigError, Loaded};
use mend::{Change, Fix};

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// `vesper run` would not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Line {
    /// How it is.
    pub status: Status,
    /// What was looked at, one word or two; `subjects` says why it matters.
    pub name: &'static str,
    /// What was found.
    pub says: String,
    /// The command that mends it, where there is one.
    pub command: String,
    /// What else can be done, in words.
    pub remedy: String,
    /// What `--fix` would do about it.
    fix: Option<Fix>,
    /// Whether `--fix` has mended it.
    pub fixed: bool,
}

impl Line {
    fn new(status: Status, name: &'static str, says: impl Into<String>) -> Line {
        let (command, remedy) = (String::new(), String::new());
        Line { status, name, says: says.into(), command, remedy, fix: None, fixed: false }
    }

    fn ok(name: &'static str, says: impl Into<String>) -> Line {
        Line::new(Status::Ok, name, says)
    }

    fn warn(name: &'static str, says: impl Into<String>) -> Line {
        Line::new(Status::Warn, name, says)
    }

    fn fail(name: &'static str, says: impl Into<String>) -> Line {
        Line::new(Status::Fail, name, says)
    }

    /// A command for the reader: it is too much for `--fix`, or cannot be tried without the hardware.
    fn run(mut self, command: impl Into<String>) -> Line {
        self.command = command.into();
        self
    }

    fn advise(mut self, remedy: impl Into<String>) -> Line {
        self.remedy = remedy.into();
        self
    }

    fn mended_by(mut self, fix: Fix) -> Line {
        self.command = fix.command();
        self.fix = Some(fix);
        self
    }
}

/// Looks at everything, with `--fix` mends what is safe and looks again, writes what it found to `out`, and returns
/// the exit code.
pub fn run(args: &CheckArgs, out: &mut impl Write) -> io::Result<u8> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let loaded = config::load(args.config.config.as_deref(), environment, &args.config.overrides());
    let mut lines = look(&loaded);
    let changes = if args.fix { mend::mend(&lines) } else { Vec::new() };
    if !changes.is_empty() {
        lines = look_again(&loaded, &changes);
    }
    let failed = lines.iter().any(|line| line.status == Status::Fail);
    let code = match loaded {
        Err(_) => EXIT_CONFIG,
        Ok(_) if failed => EXIT_FAILED,
        Ok(_) => EXIT_DONE,
    };
    if args.json {
        report::json(&lines, &changes, code, out)?;
    } else {
        report::Page::for_this_terminal(args.quiet).write(&lines, &changes, out)?;
    }
    Ok(code)
}

fn look_again(loaded: &Result<Loaded, ConfigError>, changes: &[Change]) -> Vec<Line> {
    let mut lines = look(loaded);
    for line in &mut lines {
        let touched = changes.iter().any(|change| change.name == line.name && change.error.is_none());
        line.fixed = touched && line.status == Status::Ok;
    }
    lines
}

fn look(loaded: &Result<Loaded, ConfigError>) -> Vec<Line> {
    match loaded {
        Ok(loaded) => everything(loaded),
        Err(error) => {
            let problems = error.problems.iter().map(|problem| {
                Line::fail("config", problem.to_string()).advise("correct it, then check again for the rest")
            });
            problems.chain(kernel::lines()).chain(machine::lines()).collect()
        }
    }
}

/// In the order of the groups in `subjects`.
fn everything(loaded: &Loaded) -> Vec<Line> {
    let config = &loaded.config;
    let capture = &config.capture;
    let mut lines = vec![match &loaded.file {
        Some(file) => Line::ok("config", format!("{} is fine", file.display())),
        None => Line::ok("config", format!("defaults: there is no {}", config::DEFAULT_PATH)),
    }];
    lines.extend(
        loaded
            .warnings
            .iter()
            .map(|warning| Line::warn("config", warning).advise("remove it, unless something else needs it")),
    );
    let (nic, interface) = interface::lines(capture);
    let known = nic.clone().unwrap_or_default();
    lines.extend(kernel::lines());
    lines.push(pins::line(&capture.pin_dir));
    lines.extend(bpf::lines(capture.mode));
    lines.push(privileges::capabilities(privileges::effective(), capture.mode));
    lines.push(privileges::locked_memory(capture, &known));
    lines.push(machine::memory(capture, &known));
    lines.extend(machine::lines());
    lines.extend(interface);
    if let Some(nic) = &nic {
        lines.extend(owners::lines(nic, capture));
        lines.extend(fitness::lines(nic, capture, &config.state_dir));
    }
    lines.extend(places::folders(config));
    lines.extend(disk::lines(config));
    lines.extend(places::peers(config));
    lines.extend(intel::lines(config));
    lines.extend(service::lines());
    lines
}

#[cfg(test)]
mod tests;
