//! `cargo xtask dist`: what a user installs. In goes the source of one commit, out come a Debian package, the same as an
//! archive, the list of what is linked in (CycloneDX), and checksums; the same commit gives the same bytes.

mod archive;
mod build;
mod sbom;
mod tree;
mod version;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::step::{Steps, announced};
use crate::{misused, program, setup};
pub use version::Version;

/// What the command line says.
struct Options {
    profile: String,
    features: Option<String>,
    sensor: Option<PathBuf>,
    version: Option<String>,
    out: PathBuf,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Options> {
        let out = folder();
        let mut options =
            Options { profile: "release".to_owned(), features: None, sensor: None, version: None, out };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value =
                || words.next().map(|word| (*word).to_owned()).ok_or_else(|| misused("dist", args));
            match *word {
                "--profile" => options.profile = value()?,
                "--features" => options.features = Some(value()?),
                "--sensor" => options.sensor = Some(PathBuf::from(value()?)),
                "--version" => options.version = Some(value()?),
                "--out" => options.out = std::path::absolute(value()?)?,
                _ => return Err(misused("dist", args)),
            }
        }
        // The name of the package says what is in it.
        if options.features.as_deref().is_some_and(|features| features != "cuda") {
            return Err(misused("dist", args));
        }
        Ok(options)
    }

    /// Name of the package.
    fn name(&self) -> &'static str {
        if self.features.is_some() { "vesper-cuda" } else { "vesper" }
    }
}

/// Where packages go.
pub fn folder() -> PathBuf {
    program::root().join("target/dist")
}

/// `cargo xtask dist [OPTIONS]`.
pub fn command(args: &[&str]) -> Result<()> {
    let options = Options::parse(args)?;
    let mut steps = Steps::default();
    steps.run("setup", setup::for_dist)?;
    let version = match &options.version {
        Some(text) => Version::named(text)?,
        None => Version::of_commit()?,
    };
    let made = make(&options, &version, &mut steps)?;
    println!("\n{}", steps.table());
    for file in made {
        let size = fs::metadata(&file).with_context(|| format!("look at {}", file.display()))?.len();
        println!("  {:>10}  {}", mebibytes(size), file.display());
    }
    println!(
        "\ninstall it here: apt-get install {}; on other machines: cargo xtask deploy --host USER@HOST",
        {
            let name = format!("{}_{}_{}.deb", options.name(), version.text, architecture());
            options.out.join(name).display().to_string()
        }
    );
    Ok(())
}

/// Builds and packs; gives the files, checksums last.
fn make(options: &Options, version: &Version, steps: &mut Steps) -> Result<Vec<PathBuf>> {
    for folder in [&folder(), &options.out] {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let sensor = match &options.sensor {
        Some(file) => file.canonicalize().with_context(|| format!("find {}", file.display()))?,
        None => {
            let build = || build::sensor(&options.profile, options.features.as_deref(), version);
            steps.run(&format!("build ({})", options.profile), build)?
        }
    };
    // Two at once would lay out one folder.
    let lock = fs::File::create(folder().join("lock")).context("make the lock of target/dist")?;
    lock.lock().context("wait for another `cargo xtask dist`")?;
    let (name, out) = (options.name(), &options.out);
    let stem = format!("{name}_{}_{}", version.text, architecture());
    let bill = out.join(format!("{stem}.cdx.json"));
    announced("bill of materials", || sbom::write(&bill, name, version, options.features.as_deref()))?;
    let tree = folder().join("tree");
    announced("laying out what is installed", || tree::lay_out(&tree, &sensor, &bill, name, version))?;
    let package = out.join(format!("{stem}.deb"));
    let fast = options.sensor.is_some() || options.profile != "release";
    announced("Debian package", || build::package(&package, name, version, fast))?;
    let archive = out.join(format!("{stem}.tar.gz"));
    announced("archive", || archive::pack(&archive, &tree, &stem, version))?;
    let sums = out.join("SHA256SUMS");
    let mut files = vec![package, archive, bill];
    archive::checksums(&sums, &files)?;
    if !fast {
        announced("lintian", || lintian(&files[0]))?;
    }
    files.push(sums);
    Ok(files)
}

/// Debian's own rules about packages; only errors stop.
fn lintian(package: &Path) -> Result<()> {
    let lintian = program::find("lintian").context("find lintian")?;
    let mut command = std::process::Command::new(lintian);
    command.args(["--allow-root", "--fail-on", "error", "--display-level", ">=warning"]).arg(package);
    let output = command.output().context("start lintian")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("lintian refuses {}:\n{said}", package.display());
    }
    print!("{said}");
    Ok(())
}

/// Debian's name of this machine's architecture.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
