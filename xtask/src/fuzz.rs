//! `cargo xtask fuzz parse`: the header parser on what libFuzzer thinks of, for as long as is asked.
//!
//! Driven without cargo-fuzz: coverage is two flags of the compiler that builds everything else, and there is no
//! address sanitizer, for the parser has no unsafe code that it could find at fault. Corpus and findings stay below
//! `target/fuzz`; seeds are made anew each time.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{misused, program, setup};

/// What the compiler adds so that libFuzzer sees which branches were taken and what was compared.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg=fuzzing";
/// Longest frame tried, bytes: more than any chain of headers that is worth a try.
const LONGEST: u32 = 2048;

/// `cargo xtask fuzz parse [--minutes N]`.
pub fn command(args: &[&str]) -> Result<()> {
    let minutes: u32 = match args {
        ["parse"] => 5,
        ["parse", "--minutes", number] => number.parse().map_err(|_not_a_number| misused("fuzz", args))?,
        _ => return Err(misused("fuzz", args)),
    };
    setup::for_fuzzing()?;
    let target = build()?;
    let folder = program::root().join("target/fuzz");
    let (corpus, findings) = (folder.join("corpus"), folder.join("findings"));
    for made in [&corpus, &findings] {
        fs::create_dir_all(made).with_context(|| format!("make {}", made.display()))?;
    }
    let mut prefix = OsString::from("-artifact_prefix=");
    // With the slash that makes it a folder.
    prefix.push(findings.join(""));
    let mut fuzzer = Command::new(target);
    fuzzer
        .arg(&corpus)
        .args([format!("-max_total_time={}", u64::from(minutes) * 60), format!("-max_len={LONGEST}")])
        .args(["-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=1"])
        .arg(prefix)
        .env("VESPER_FUZZ_SEEDS", &corpus);
    println!("fuzzing the parser for {minutes} min; findings go to {}", findings.display());
    if program::run(&mut fuzzer).is_err() {
        bail!(
            "the parser breaks a rule; the frame is the newest file in {}; above stands which rule. To repeat it: \
             target/fuzz/HOST/release/parse FILE",
            findings.display()
        );
    }
    println!("fuzz: {minutes} min without a finding");
    Ok(())
}

fn build() -> Result<PathBuf> {
    let host = program::output(Command::new("rustc").current_dir(program::root()).arg("-vV"))?
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not say what machine this is")?
        .to_owned();
    let folder = program::root().join("target/fuzz");
    let mut cargo = program::cargo();
    cargo
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path", "tests/fuzz/Cargo.toml"])
        // Named, so that the flags are not for build scripts too, which have no libFuzzer.
        .args(["--target", &host])
        .env("RUSTFLAGS", COVERAGE)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", &folder);
    program::run(&mut cargo)?;
    Ok(folder.join(Path::new(&host)).join("release/parse"))
}
