//! `vesper check`: whether everything is in place, line by line, each with a remedy. Changes nothing on the way
//! but one file that is made and removed again to see whether the state folder can be written.

mod fitness;
mod intel;
mod interface;
mod machine;
mod places;
mod privileges;

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::{CheckArgs, EXIT_CONFIG, EXIT_DONE, EXIT_FAILED};
use crate::config::{self, Loaded};
use crate::telemetry::printable;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// `vesper run` would not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at, one word or two.
    pub name: &'static str,
    /// What was found.
    pub found: String,
    /// What to do; empty when it is ok.
    pub remedy: String,
}

impl Line {
    fn ok(name: &'static str, found: impl Into<String>) -> Line {
        Line { verdict: Verdict::Ok, name, found: found.into(), remedy: String::new() }
    }

    fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Line {
        Line { verdict: Verdict::Warn, name, found: found.into(), remedy: remedy.into() }
    }

    fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Line {
        Line { verdict: Verdict::Fail, name, found: found.into(), remedy: remedy.into() }
    }
}

/// Looks at everything, writes what it found to `out`, and returns the exit code.
pub fn run(args: &CheckArgs, out: &mut impl Write) -> io::Result<u8> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let loaded = config::load(args.config.config.as_deref(), environment, &args.config.overrides());
    let (lines, code) = match &loaded {
        Ok(loaded) => {
            let lines = everything(loaded);
            let failed = lines.iter().any(|line| line.verdict == Verdict::Fail);
            (lines, if failed { EXIT_FAILED } else { EXIT_DONE })
        }
        Err(error) => {
            let problems = error.problems.iter().map(|problem| {
                Line::fail("config", problem.to_string(), "correct it, then check again for the rest")
            });
            (problems.chain(machine::lines()).collect(), EXIT_CONFIG)
        }
    };
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &serde_json::json!({ "exit_code": code, "lines": lines }))?;
        writeln!(out)?;
    } else {
        write_lines(&lines, out)?;
    }
    Ok(code)
}

fn everything(loaded: &Loaded) -> Vec<Line> {
    let config = &loaded.config;
    let mut lines = vec![match &loaded.file {
        Some(file) => Line::ok("config", format!("{} is fine", file.display())),
        None => Line::ok("config", format!("defaults: there is no {}", config::DEFAULT_PATH)),
    }];
    let ignored = loaded.warnings.iter();
    lines.extend(
        ignored.map(|warning| Line::warn("config", warning, "remove it, unless something else needs it")),
    );
    lines.extend(machine::lines());
    lines.extend(privileges::lines(config.capture.mode));
    let (nic, facts) = interface::lines(&config.capture);
    lines.extend(facts);
    if let Some(nic) = &nic {
        lines.extend(fitness::lines(nic, &config.capture, &config.state_dir));
    }
    let nic = nic.unwrap_or_default();
    lines.push(privileges::locked_memory(&config.capture, &nic));
    lines.push(machine::memory(&config.capture, &nic));
    lines.extend(places::lines(config));
    lines.extend(intel::lines(config));
    lines
}

fn write_lines(lines: &[Line], out: &mut impl Write) -> io::Result<()> {
    let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    for line in lines {
        let verdict = match line.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        writeln!(out, "{verdict:<5} {:<13} {}", line.name, printable(&line.found, 400))?;
        if !line.remedy.is_empty() {
            writeln!(out, "{:<19} -> {}", "", printable(&line.remedy, 400))?;
        }
    }
    writeln!(
        out,
        "{} ok, {} to look at, {} that stop the sensor",
        count(Verdict::Ok),
        count(Verdict::Warn),
        count(Verdict::Fail)
    )
}

#[cfg(test)]
mod tests;
