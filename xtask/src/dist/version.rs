//! The version of a package, and the time that stands for "now" in it: both are the commit's, so that they are the same
//! wherever it is built.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::program;

/// A version as Debian writes it, and when it was made.
pub struct Version {
    /// `0.1.0` on the commit that is tagged so, else `0.1.0+git20261121172149.ad7f579`.
    pub text: String,
    /// The commit's time, seconds since the Unix epoch (SOURCE_DATE_EPOCH).
    pub epoch: u64,
}

impl Version {
    /// That of the commit that is checked out.
    pub fn of_commit() -> Result<Version> {
        let shown = git(&[
            "show",
            "--no-patch",
            "--format=%ct %cd %h",
            "--abbrev=7",
            "--date=format-local:%Y%m%d%H%M%S",
            "HEAD",
        ])?;
        let mut words = shown.split_whitespace();
        let mut word = || words.next().with_context(|| format!("git said {shown:?} of the commit"));
        let (epoch, date, hash) = (word()?.parse().context("the commit's time")?, word()?, word()?);
        let released = git(&["tag", "--points-at", "HEAD"])?.lines().any(|tag| tag == format!("v{VERSION}"));
        // What is not committed is told, for nobody can build it again.
        let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        Ok(Version { text: compose(released, changed, date, hash), epoch })
    }

    /// This one, at the commit's time.
    pub fn named(text: &str) -> Result<Version> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "+.~".contains(c);
        if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(legal) {
            bail!("{text:?} is no version: begin with a digit; then digits, letters, `+`, `.` and `~`");
        }
        let epoch = git(&["show", "--no-patch", "--format=%ct", "HEAD"])?;
        Ok(Version { text: text.to_owned(), epoch: epoch.trim().parse().context("the commit's time")? })
    }

    /// Its time as changelogs write it (RFC 2822, UTC).
    pub fn date(&self) -> Result<String> {
        let at = format!("@{}", self.epoch);
        Ok(program::output(Command::new("date").args(["--utc", "--rfc-email", "--date", &at]))?
            .trim()
            .to_owned())
    }
}

/// All crates of the workspace have one version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn compose(released: bool, changed: bool, date: &str, hash: &str) -> String {
    match (released, changed) {
        (true, false) => VERSION.to_owned(),
        (_, false) => format!("{VERSION}+git{date}.{hash}"),
        (_, true) => format!("{VERSION}+git{date}.{hash}.changed"),
    }
}

fn git(arguments: &[&str]) -> Result<String> {
    // Dates in UTC, wherever it is built.
    program::output(Command::new("git").current_dir(program::root()).env("TZ", "UTC").args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_grow_with_time_and_tell_what_cannot_be_built_again() {
        let (tagged, later) =
            (compose(true, false, "1", "a"), compose(false, false, "20261121172149", "ad7f579"));
        assert_eq!(tagged, VERSION);
        assert_eq!(later, format!("{VERSION}+git20261121172149.ad7f579"));
        assert!(compose(true, true, "20261121172149", "ad7f579").ends_with(".changed"));
        for wrong in ["", "x1", "1.0 beta", "1.0_1", "1/2"] {
            assert!(Version::named(wrong).is_err(), "{wrong}");
        }
    }
}
