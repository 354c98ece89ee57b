//! What test and demo need from the machine: how to see that it is there, how to install it, and what to tell
//! a person where that is not possible. Nothing is installed that is there already.

mod api;
mod bench;
mod browser;
mod cuda;
mod dist;
mod ebpf;
mod eval;
mod grafana;
mod prometheus;
mod python;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::program;
use crate::step::announced;

pub use bench::{for_live_bench, for_nfstream, for_offline_bench, nfstream_python};
pub use bench::{for_onnx, onnx_python};
pub use cuda::{CudaBuild, cuda};
pub use ebpf::toolchain;
pub use eval::{eval_python, for_eval};

/// One thing that must be there.
pub struct Requirement {
    /// What it is, as said to a person.
    what: &'static str,
    /// Whether it is there.
    present: fn() -> bool,
    /// How it comes here.
    install: Install,
}

/// How a requirement is installed.
enum Install {
    /// From these Debian packages; needs root.
    Debian(&'static [&'static str]),
    /// By this function, as any user; the text is the command for a person.
    Own(fn() -> Result<()>, &'static str),
}

const NAMESPACES: Requirement = Requirement {
    what: "ip and tc",
    present: || program::find("ip").is_some() && program::find("tc").is_some(),
    install: Install::Debian(&["iproute2"]),
};

const NSENTER: Requirement = Requirement {
    what: "nsenter",
    present: || program::find("nsenter").is_some(),
    install: Install::Debian(&["util-linux"]),
};

/// The privileged tests make a veth poll, and ask the API from inside a namespace.
const ETHTOOL: Requirement = Requirement {
    what: "ethtool",
    present: || program::find("ethtool").is_some(),
    install: Install::Debian(&["ethtool"]),
};

const CURL: Requirement = Requirement {
    what: "curl",
    present: || program::find("curl").is_some(),
    install: Install::Debian(&["curl"]),
};

const NEXTEST: Requirement = Requirement {
    what: "cargo-nextest",
    present: || program::find("cargo-nextest").is_some(),
    install: Install::Own(
        || {
            let mut cargo = program::cargo();
            cargo.args(["install", "--locked", "cargo-nextest", "--version", "0.9.143"]);
            program::run_bounded(&mut cargo, Duration::from_secs(600))
        },
        "cargo install --locked cargo-nextest --version 0.9.143; minutes, once",
    ),
};

/// libFuzzer comes as sources.
const CXX: Requirement = Requirement {
    what: "C++ compiler for libFuzzer",
    present: || program::find("c++").is_some(),
    install: Install::Debian(&["g++"]),
};

/// What the lab and the demo cannot do without.
pub fn for_lab() -> Result<()> {
    if !program::is_root() {
        bail!("network namespaces need root: run the same command as root");
    }
    ensure(&[NAMESPACES, NSENTER])
}

/// What the tests cannot do without; as root, also what the ignored ones need.
pub fn for_tests() -> Result<()> {
    ensure(&[NAMESPACES, NSENTER, prometheus::PROMETHEUS, prometheus::ALERTMANAGER])?;
    if program::is_root() {
        ensure(&[ETHTOOL, CURL, python::VENV, python::CICFLOWMETER, python::AIOSMTPD])?;
        ensure(&[grafana::NPM, grafana::SCHEMA])?;
        ensure(&api::REQUIREMENTS)?;
        ensure(&browser::REQUIREMENTS)?;
        ensure(&[dist::CARGO_DEB, dist::DPKG_DEV, dist::LINTIAN, dist::SSH, dist::SYSTEMD, dist::SSHD])?;
    }
    // Without nextest the tests run through `cargo test`, so this one is no reason to stop.
    if let Err(error) = ensure(&[NEXTEST]) {
        println!("going on with `cargo test`: {error:#}");
    }
    Ok(())
}

/// The compiler and the linker of the XDP program.
pub fn for_ebpf() -> Result<()> {
    ensure(&ebpf::REQUIREMENTS)
}

/// What packages cannot be made without.
pub fn for_dist() -> Result<()> {
    ensure(&[dist::CARGO_DEB, dist::DPKG_DEV, dist::LINTIAN])
}

/// What packages cannot be taken to other machines without.
pub fn for_deploy() -> Result<()> {
    ensure(&[dist::SSH])
}

/// What fuzzing cannot do without.
pub fn for_fuzzing() -> Result<()> {
    ensure(&[CXX])
}

/// `cargo xtask setup`.
pub fn everything() -> Result<()> {
    for_tests()?;
    for_ebpf()?;
    println!("setup: everything is there");
    Ok(())
}

/// Installs what is missing of these, saying each step and how long it took.
fn ensure(requirements: &[Requirement]) -> Result<()> {
    let missing: Vec<&Requirement> = requirements.iter().filter(|r| !(r.present)()).collect();
    let may_apt = program::is_root() && program::find("apt-get").is_some();
    let by_hand = |r: &&&Requirement| matches!(r.install, Install::Debian(_)) && !may_apt;
    if missing.iter().any(|r| by_hand(&r)) {
        let lines: Vec<String> =
            missing.iter().map(|r| format!("  {:30} {}", r.what, command_for(r))).collect();
        bail!("missing here, and installing it needs root and apt. As root:\n{}", lines.join("\n"));
    }
    for requirement in missing {
        // An earlier one may have brought it along.
        if (requirement.present)() {
            continue;
        }
        let what = requirement.what;
        match &requirement.install {
            Install::Debian(packages) => {
                let plural = if packages.len() == 1 { "" } else { "s" };
                let list = packages.join(", ");
                announced(&format!("installing {what} (Debian package{plural} {list})"), || apt(packages))?;
            }
            Install::Own(install, shown) => announced(&format!("installing {what} ({shown})"), install)
                .with_context(|| format!("{what} could not be installed; by hand: {shown}"))?,
        }
        if !(requirement.present)() {
            bail!("{what} was installed but is still not found; by hand: {}", command_for(requirement));
        }
    }
    Ok(())
}

fn command_for(requirement: &Requirement) -> String {
    match &requirement.install {
        Install::Debian(packages) => {
            format!("apt-get install -y --no-install-recommends {}", packages.join(" "))
        }
        Install::Own(_, shown) => (*shown).to_owned(),
    }
}

/// Installs Debian packages; fetches the package lists only when they are absent or too old to serve.
fn apt(packages: &[&str]) -> Result<()> {
    let _quiet = NoServices::begin()?;
    let install =
        || program::run_quietly(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages));
    let have_lists = Path::new("/var/lib/apt/lists").read_dir().is_ok_and(|mut files| {
        files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().contains("_Packages")))
    });
    if have_lists && install().is_ok() {
        return Ok(());
    }
    program::run_quietly(apt_get().arg("update"))?;
    install()
}

/// While it lives, packages that are installed start no service: we want their programs only. Some packages
/// arrange for a start at the next boot all the same.
struct NoServices(bool);

/// Asked by Debian's packages before they start a service; exit code 101 forbids it (invoke-rc.d(8)).
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> Result<NoServices> {
        // Somebody else's policy stands.
        if Path::new(SERVICE_POLICY).exists() {
            return Ok(NoServices(false));
        }
        fs::write(SERVICE_POLICY, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(SERVICE_POLICY, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("write {SERVICE_POLICY}"))?;
        Ok(NoServices(true))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.0
            && let Err(error) = fs::remove_file(SERVICE_POLICY)
        {
            eprintln!("{SERVICE_POLICY} keeps services from starting and could not be removed: {error}");
        }
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("-q").stdin(Stdio::null());
    command
}
