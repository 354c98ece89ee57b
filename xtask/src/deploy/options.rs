//! What the command line of `cargo xtask deploy` says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::misused;

use super::settings::Settings;

/// Longest wait for `/-/ready` unless told otherwise: a minute for systemd to start it, and some.
const READY: Duration = Duration::from_secs(90);

/// What shall be done, where.
pub struct Options {
    /// `host`, `user@host` or a name of ssh's configuration.
    pub hosts: Vec<String>,
    /// Port of ssh; none is ssh's own choice.
    pub port: Option<u16>,
    /// Private key; none is ssh's own choice.
    pub identity: Option<PathBuf>,
    /// Another configuration of ssh than the user's.
    pub ssh_config: Option<PathBuf>,
    /// The package; none is that of the commit that is checked out.
    pub package: Option<PathBuf>,
    /// What is written into the settings.
    pub settings: Settings,
    /// Secrets: name of the credential, file here.
    pub credentials: Vec<(String, PathBuf)>,
    /// How long a sensor may take to be ready.
    pub wait: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Only say how all are.
    pub status: bool,
}

impl Options {
    /// Reads the command line.
    pub fn parse(args: &[&str]) -> Result<Options> {
        let mut options = Options {
            hosts: Vec::new(),
            port: None,
            identity: None,
            ssh_config: None,
            package: None,
            settings: Settings::default(),
            credentials: Vec::new(),
            wait: READY,
            dry_run: false,
            status: false,
        };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or_else(|| misused("deploy", args));
            match *word {
                "--host" => options.hosts.push(host(value()?)?),
                "--port" => options.port = Some(value()?.parse().context("--port is a number up to 65535")?),
                "--identity" => options.identity = Some(existing(value()?)?),
                "--ssh-config" => options.ssh_config = Some(existing(value()?)?),
                "--package" => options.package = Some(existing(value()?)?),
                "--interface" => options.settings.set("capture.interface", value()?)?,
                "--mode" => options.settings.set("capture.mode", mode(value()?)?)?,
                "--set" => {
                    let (name, set) = value()?.split_once('=').context("--set is SECTION.NAME=VALUE")?;
                    options.settings.set(name, set)?;
                }
                "--sink" => options.settings.sink(value()?)?,
                "--credential" => {
                    let (name, file) = value()?.split_once('=').context("--credential is NAME=FILE")?;
                    options.credentials.push((credential(name)?, existing(file)?));
                }
                "--wait" => {
                    options.wait = Duration::from_secs(value()?.parse().context("--wait is in seconds")?)
                }
                "--dry-run" => options.dry_run = true,
                "--status" => options.status = true,
                _ => return Err(misused("deploy", args)),
            }
        }
        if options.hosts.is_empty() {
            return Err(misused("deploy", args));
        }
        Ok(options)
    }
}

/// A host that ssh cannot take for an option.
fn host(text: &str) -> Result<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "@.-_:[]%".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(legal) {
        bail!("{text:?} is no host: write --host HOST or --host USER@HOST");
    }
    Ok(text.to_owned())
}

fn mode(text: &str) -> Result<&str> {
    if !["mirror", "host"].contains(&text) {
        bail!(
            "--mode is mirror (the interface only receives copies) or host (it is the machine's own), not {text:?}"
        );
    }
    Ok(text)
}

/// A name that is a file name and nothing else.
fn credential(name: &str) -> Result<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(legal) {
        bail!("{name:?} is no name of a credential: letters, digits, `-`, `_` and `.`");
    }
    Ok(name.to_owned())
}

fn existing(text: &str) -> Result<PathBuf> {
    Path::new(text).canonicalize().with_context(|| format!("find {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_modes_and_names_are_looked_at() {
        let parse = |line: &str| Options::parse(&line.split(' ').collect::<Vec<_>>());
        let options =
            parse("--host root@one --host two --port 2222 --interface eth1 --mode mirror --dry-run").unwrap();
        assert_eq!((options.hosts.len(), options.port, options.dry_run), (2, Some(2222), true));
        for wrong in [
            "--dry-run",
            "--host",
            "--host -oProxyCommand=x",
            "--host a;b",
            "--host a --port 70000",
            "--host a --mode both",
            "--host a --identity /nowhere",
            "--host a --credential ../x=/etc/hostname",
            "--host a --set interface",
            "--host a --force",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
