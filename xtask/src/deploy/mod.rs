//! `cargo xtask deploy`: from a package here to sensors that watch, on machines that ssh reaches. One after the other, and no
//! further once one failed: a bad version blinds one sensor for a minute, never all.

mod install;
mod options;
mod package;
mod probe;
mod remote;
mod sensor;
mod settings;
mod status;

use anyhow::Result;

use crate::{Reported, interrupt, setup};
use options::Options;
use package::Package;
use remote::Remote;

/// `cargo xtask deploy --host HOST ...`.
pub fn command(args: &[&str]) -> Result<()> {
    let options = Options::parse(args)?;
    setup::for_deploy()?;
    interrupt::catch()?;
    if options.status {
        return status::show(&options);
    }
    let package = Package::chosen(options.package.as_deref())?;
    println!("{} {} for {}, {}", package.name, package.version, package.architecture, package.file.display());
    for (number, name) in options.hosts.iter().enumerate() {
        println!("\n== {name}");
        let done = Remote::new(name, &options, number)
            .and_then(|mut remote| install::install(&mut remote, &package, &options));
        if let Err(error) = done {
            eprintln!("{name}: {error:#}");
            let left = &options.hosts[number + 1..];
            if !left.is_empty() {
                eprintln!("not touched: {}", left.join(", "));
            }
            return Err(Reported.into());
        }
    }
    if !options.dry_run {
        println!("\n{} of {} done", options.hosts.len(), options.hosts.len());
    }
    Ok(())
}
