//! `cargo xtask cuda`: the sensor for NVIDIA GPUs, built on a machine that has none; and the tests of that build.

use anyhow::Result;

use crate::step::announced;
use crate::{misused, program, setup};

/// What is tested is how it starts: the dependencies need not be fast, and are there much sooner.
const SOON: [&str; 4] = [
    "--config",
    "profile.dev.package.\"*\".opt-level=0",
    "--config",
    "profile.dev.package.\"*\".debug=false",
];

/// `cargo xtask cuda [--dev]` builds it, `cargo xtask cuda test` tests it.
pub fn command(args: &[&str]) -> Result<()> {
    match args {
        [] => build("release"),
        ["--dev"] => build("dev"),
        ["test"] => test(),
        _ => Err(misused("cuda", args)),
    }
}

fn build(profile: &str) -> Result<()> {
    let cuda = setup::cuda()?;
    let mut cargo = cuda.cargo();
    cargo.args(["build", "--quiet", "--package", "sensor", "--bin", "vesper", "--features", "cuda"]);
    cargo.args(["--profile", profile]);
    if profile == "dev" {
        cargo.args(SOON);
    }
    announced(&format!("building vesper for GPUs ({profile}; minutes, the first time)"), || {
        program::run(&mut cargo)
    })?;
    let folder = if profile == "dev" { "debug" } else { profile };
    println!("{}", cuda.target().join(folder).join("vesper").display());
    Ok(())
}

/// That it starts without a GPU, and what it does with drivers that do not work.
pub fn test() -> Result<()> {
    let cuda = setup::cuda()?;
    program::run(cuda.cargo().args(SOON).args([
        "test",
        "--package",
        "sensor",
        "--features",
        "cuda",
        "--test",
        "gpu",
    ]))
}
