//! `cargo xtask test`: everything that must hold before a change is merged, in one command. CI runs this.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step::Steps;
use crate::{Reported, cuda, ebpf, misused, program, setup, tidy};

/// `cargo xtask test [FILTER]`; the filter narrows the tests, the checks are the same.
pub fn command(args: &[&str]) -> Result<()> {
    let filter = match args {
        [] => None,
        [filter] if !filter.starts_with('-') => Some(*filter),
        _ => return Err(misused("test", args)),
    };
    let mut steps = Steps::default();
    steps.run("setup", setup::for_tests)?;

    // Every step runs whatever the others say: one run shows all that is wrong.
    let mut failed = Vec::new();
    let mut note = |name: &'static str, done: Result<()>| {
        if let Err(error) = done {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    };
    note("fmt", steps.run("fmt", || program::run(program::cargo().args(["fmt", "--all", "--check"]))));
    note("tidy", steps.run("tidy", tidy::command));
    note("clippy", steps.run("clippy", clippy));
    let object = match setup::for_ebpf() {
        Ok(()) => {
            let mut path = None;
            let built = steps.run("ebpf", || {
                let built = path.insert(ebpf::build()?);
                ebpf::compare(built)
            });
            note("ebpf", built);
            path
        }
        Err(error) => {
            println!("{error:#}");
            steps.skip("ebpf", "no toolchain for it: the tests use the committed object");
            None
        }
    };
    if std::env::var_os("VESPER_LONG").is_some() {
        note("cuda", steps.run("cuda", cuda::test));
    } else {
        steps.skip("cuda", "the build for GPUs takes minutes: VESPER_LONG=1 has it built and tested");
    }
    note("doc tests", steps.run("doc tests", || program::run(cargo_test(&["--doc"]).arg("--quiet"))));
    let mut closing = None;
    let tests = steps.run("tests", || {
        let mut command = if program::find("cargo-nextest").is_some() { nextest() } else { cargo_test(&[]) };
        command.env("PATH", std::env::join_paths(program::search_path()).context("PATH")?);
        if let Some(object) = &object {
            command.env(ebpf::OBJECT_VARIABLE, object.join("sensor-xdp"));
        }
        command.args(filter);
        if program::find("cargo-nextest").is_none() {
            command.args(program::is_root().then_some(["--", "--include-ignored"]).into_iter().flatten());
        }
        run_watched(command, &mut closing)
    });
    note("tests", tests);

    println!("\n{}", steps.table());
    if !program::is_root() {
        println!("the privileged tests were not run (skipped below): they need root");
    }
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    if let Some(closing) = closing {
        println!("{closing}");
    }
    if failed.is_empty() { Ok(()) } else { Err(Reported.into()) }
}

fn clippy() -> Result<()> {
    program::run(program::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny=warnings",
    ]))
}

fn nextest() -> Command {
    let mut command = program::cargo();
    command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    if program::is_root() {
        command.args(["--run-ignored", "all"]);
    }
    command
}

fn cargo_test(which: &[&str]) -> Command {
    let mut command = program::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(which);
    command
}

/// Runs the tests, passing their output on; `closing` becomes the line that sums them up.
fn run_watched(mut command: Command, closing: &mut Option<String>) -> Result<()> {
    let mut child = command.stderr(Stdio::piped()).spawn().context("start the tests")?;
    let stderr = child.stderr.take().context("the tests have no stderr")?;
    for line in BufReader::new(stderr).lines() {
        let line = line.context("read what the tests say")?;
        eprintln!("{line}");
        if line.trim_start().starts_with("Summary [") {
            *closing = Some(line);
        }
    }
    let status = child.wait().context("wait for the tests")?;
    if !status.success() {
        bail!("the tests failed: {status}");
    }
    Ok(())
}
