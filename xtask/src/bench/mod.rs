//! `cargo xtask bench`: how fast the sensor is, in the same run as what a user would take instead.
//!
//! Contestants take turns, a round each, so that whatever else the machine does falls on all of them. A figure is
//! the median of the rounds with its range. CPU seconds say more than seconds: they count what a shared machine
//! takes away only in part.

mod child;
pub mod frame;
pub mod gpu;
mod input;
mod live;
mod machine;
mod offline;
mod program;
mod score;
mod stages;
mod table;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{interrupt, misused, program as programs};
use input::Input;

/// What the command line says.
#[derive(Debug, Default)]
struct Options {
    rounds: usize,
    pcap: Option<PathBuf>,
    frames: bool,
    only: Vec<String>,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Options> {
        let mut options = Options { rounds: 5, ..Options::default() };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or_else(|| misused("bench", args));
            match *word {
                "--rounds" => {
                    options.rounds = value()?.parse().map_err(|_not_a_number| misused("bench", args))?;
                }
                "--pcap" => options.pcap = Some(PathBuf::from(value()?)),
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--frames" => options.frames = true,
                _ => return Err(misused("bench", args)),
            }
        }
        if options.rounds == 0 {
            return Err(misused("bench", args));
        }
        Ok(options)
    }

    /// Of a bench that sends no frames.
    fn without_frames(args: &[&str]) -> Result<Options> {
        let options = Options::parse(args)?;
        if options.frames { Err(misused("bench", args)) } else { Ok(options) }
    }

    /// Whether this contestant takes part.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(only.as_str()))
    }

    fn input(&self) -> Result<Input> {
        match &self.pcap {
            Some(path) => input::given(path),
            None => crate::step::announced("making the capture", || input::make(&folder()?)),
        }
    }
}

/// `cargo xtask bench ...`.
pub fn command(args: &[&str]) -> Result<()> {
    interrupt::catch()?;
    match args {
        ["offline", rest @ ..] => offline::run(&Options::without_frames(rest)?),
        ["live", rest @ ..] => {
            let options = Options::parse(rest)?;
            if options.frames { live::frames::run(&options) } else { live::run(&options) }
        }
        ["stages", rest @ ..] => stages::run(&Options::without_frames(rest)?),
        ["flood", rest @ ..] => live::flood::run(&Options::without_frames(rest)?),
        ["score", rest @ ..] => score::run(&Options::without_frames(rest)?),
        ["gpu"] => gpu::run(),
        ["kernel", rest @ ..] => program::kernel(&Options::without_frames(rest)?),
        _ => Err(misused("bench", args)),
    }
}

/// Where inputs, logs and results go.
fn folder() -> Result<PathBuf> {
    let folder = programs::root().join("target/bench");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

/// The sensor, as it is shipped; built where it must be.
pub fn sensor() -> Result<PathBuf> {
    let build =
        || programs::run(programs::cargo().args(["build", "--release", "--quiet", "--package", "sensor"]));
    crate::step::announced("building the sensor (release)", build)?;
    Ok(programs::root().join("target/release/vesper"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_nonsense_is_refused() {
        let options =
            Options::parse(&["--rounds", "7", "--only", "vesper,argus", "--pcap", "a.pcap"]).unwrap();
        assert_eq!((options.rounds, options.frames), (7, false));
        assert!(options.wants("vesper") && !options.wants("nfpcapd"));
        assert!(Options::without_frames(&["--frames"]).is_err());
        for wrong in [&["--rounds"][..], &["--rounds", "0"], &["--rounds", "x"], &["fast"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
