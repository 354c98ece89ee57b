//! The package that is to go out: which it is, by its own words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{dist, program};

/// A Debian package here.
#[derive(Clone, Debug)]
pub struct Package {
    /// It.
    pub file: PathBuf,
    /// vesper or vesper-cuda.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it was built for.
    pub architecture: String,
    /// Its size.
    pub bytes: u64,
}

impl Package {
    /// The one that was named, or that of the commit that is checked out.
    pub fn chosen(named: Option<&Path>) -> Result<Package> {
        if let Some(file) = named {
            return Package::read(file);
        }
        let version = dist::Version::of_commit()?.text;
        let file = dist::folder().join(format!("vesper_{version}_{}.deb", dist::architecture()));
        if !file.exists() {
            bail!(
                "there is no package of what is checked out ({version}): make one with `cargo xtask dist`, or name one with \
                 --package"
            );
        }
        Package::read(&file)
    }

    /// Asks the package.
    pub fn read(file: &Path) -> Result<Package> {
        let mut dpkg =
            Command::new(program::find("dpkg-deb").context("find dpkg-deb (Debian package dpkg)")?);
        dpkg.args(["--show", "--showformat", "${Package}|${Version}|${Architecture}"]).arg(file);
        let said =
            program::output(&mut dpkg).with_context(|| format!("{} is no Debian package", file.display()))?;
        let fields: Vec<&str> = said.split('|').collect();
        let [name, version, architecture] = fields[..] else {
            bail!("{} tells {said:?} of itself", file.display())
        };
        if !["vesper", "vesper-cuda"].contains(&name) {
            bail!("{} is a package of {name}, not of vesper", file.display());
        }
        let bytes = fs::metadata(file).with_context(|| format!("look at {}", file.display()))?.len();
        let (name, version, architecture) = (name.to_owned(), version.to_owned(), architecture.to_owned());
        Ok(Package { file: file.to_owned(), name, version, architecture, bytes })
    }

    /// Its file name; on a machine it is kept under the same.
    pub fn file_name(&self) -> String {
        file_name(&self.name, &self.version, &self.architecture)
    }
}

/// How Debian calls the file of a package.
pub fn file_name(name: &str, version: &str, architecture: &str) -> String {
    format!("{name}_{version}_{architecture}.deb")
}
