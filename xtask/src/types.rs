//! `cargo xtask types`: the weights that say what an alert without a rule looks like, from code to the committed file.
//!
//! They are learned from traffic that code makes from seeds, and from nothing else. The same code gives the same bytes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::eval::lab::taught;
use crate::step::announced;
use crate::{bench, misused, program};

/// Captures; every fourth is held out for the calibration.
const SEEDS: u64 = 8;
/// Labels of a capture are those of all: each has a day of its own.
const COMMITTED: &str = "sensor/src/alert/likeness/shipped.json";

/// `cargo xtask types [--sensor FILE]`.
pub fn command(args: &[&str]) -> Result<()> {
    let sensor = match args {
        [] => bench::sensor()?,
        ["--sensor", file] => PathBuf::from(file).canonicalize().with_context(|| format!("find {file}"))?,
        _ => return Err(misused("types", args)),
    };
    let folder = program::root().join("target/types");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let (mut lines, mut captures) = (vec!["start,end,source,destination,port,type".to_owned()], Vec::new());
    for seed in 1..=SEEDS {
        let (path, labels) = announced(&format!("capture {seed}"), || taught::capture(&folder, seed))?;
        captures.push(path);
        lines.extend(labels);
    }
    let (labels, config) = (folder.join("labels.csv"), folder.join("vesper.toml"));
    let [learn, calibrate] = taught::WARMUP;
    let settings = format!(
        "state_dir = {:?}\n[score]\nwarmup_rows = 50\nwarmup_time = \"{learn}s\"\ncalibration_rows = 50\n\
         calibration_time = \"{calibrate}s\"\n",
        folder
    );
    fs::write(&labels, lines.join("\n") + "\n").with_context(|| format!("write {}", labels.display()))?;
    fs::write(&config, settings).with_context(|| format!("write {}", config.display()))?;
    let mut command = Command::new(sensor);
    command
        .args(["model", "train", "--name", "shipped", "--labels"])
        .arg(&labels)
        .arg("--config")
        .arg(&config);
    command.args(&captures);
    println!("{}", announced("training", || program::output(&mut command))?);
    let committed = program::root().join(COMMITTED);
    let made = folder.join("types.json");
    let same = fs::read(&made).ok() == fs::read(&committed).ok();
    fs::copy(&made, &committed)
        .with_context(|| format!("copy {} to {}", made.display(), committed.display()))?;
    println!("{COMMITTED}: {}", if same { "same as before" } else { "new; build the sensor again" });
    captures.iter().try_for_each(fs::remove_file).context("remove the captures")
}
