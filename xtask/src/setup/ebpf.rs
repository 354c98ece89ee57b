//! The toolchain of the XDP program: a compiler that can build `core` for BPF, and bpf-linker.
//!
//! Usually that is rustup's nightly, pinned so that everybody gets the same bytes. Where rustup can fetch
//! nothing, Debian's rustc-web serves: it has the sources of `core` and is told to allow unstable features.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Install, Requirement, apt};
use crate::program;

/// Pinned: its LLVM (22) must not be newer than bpf-linker's, and other versions give other bytes.
const NIGHTLY: &str = "nightly-2026-05-20";
/// Debian's compiler, linked under this name.
const DEBIAN: &str = "vesper-bpf";
const LLVM: &str = "/usr/lib/llvm-22";
const LINKER_VERSION: &str = "0.13.0";

pub const REQUIREMENTS: [Requirement; 3] = [
    Requirement {
        what: "compiler for eBPF",
        present: || compiler().is_some(),
        install: Install::Own(
            install_compiler,
            "rustup toolchain install nightly-2026-05-20 --component rust-src --profile minimal",
        ),
    },
    Requirement {
        what: "LLVM 22 for bpf-linker",
        present: || linker_version().is_some() || Path::new(LLVM).join("include/llvm-c").exists(),
        install: Install::Debian(&["g++", "llvm-22-dev", "libpolly-22-dev", "libzstd-dev", "zlib1g-dev"]),
    },
    Requirement {
        what: "bpf-linker",
        present: || linker_version().is_some(),
        install: Install::Own(
            install_linker,
            "LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 --no-default-features --features llvm-22",
        ),
    },
];

/// What builds the XDP program on this machine.
pub struct Toolchain {
    /// Name for `rustup run`.
    pub name: &'static str,
    /// Versions of all that decides about the bytes, one line.
    pub versions: String,
}

/// The toolchain of this machine, if it is whole.
pub fn toolchain() -> Option<Toolchain> {
    let (name, rustc) = compiler()?;
    let linker = linker_version()?;
    let field = |key: &str| rustc.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("?").to_owned();
    let versions = format!(
        "rustc {} {}, LLVM {}, {linker}",
        field("release: "),
        field("commit-hash: ").chars().take(9).collect::<String>(),
        field("LLVM version: ")
    );
    Some(Toolchain { name, versions })
}

/// A compiler that has the sources of `core`, and what `rustc -vV` says of it.
fn compiler() -> Option<(&'static str, String)> {
    let installed = program::output(Command::new("rustup").args(["toolchain", "list"])).ok()?;
    [NIGHTLY, DEBIAN].into_iter().find_map(|name| {
        // Asking rustup for a toolchain that is not there would fetch it.
        installed.lines().find(|line| line.starts_with(name))?;
        let rustc = |arg: &[&str]| {
            program::output(Command::new("rustup").args(["run", name, "rustc"]).args(arg)).ok()
        };
        let sysroot = rustc(&["--print", "sysroot"])?;
        let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
        if !core.exists() {
            return None;
        }
        Some((name, rustc(&["-vV"])?))
    })
}

fn linker_version() -> Option<String> {
    let said = program::output(Command::new(program::find("bpf-linker")?).arg("--version")).ok()?;
    said.lines().next().map(str::to_owned)
}

fn install_compiler() -> Result<()> {
    let fetched = program::run_bounded(
        Command::new("rustup").args(["--quiet", "toolchain", "install", NIGHTLY]).args([
            "--component",
            "rust-src",
            "--profile",
            "minimal",
        ]),
        Duration::from_secs(240),
    );
    let Err(error) = fetched else { return Ok(()) };
    if !program::is_root() || program::find("apt-get").is_none() {
        return Err(error).context(
            "rustup cannot fetch it, and its replacement needs root: apt-get install -y --no-install-recommends \
             rustc-web cargo-web rust-web-src && rustup toolchain link vesper-bpf /usr",
        );
    }
    print!("rustup cannot fetch it; instead Debian packages rustc-web, cargo-web, rust-web-src ... ");
    apt(&["rustc-web", "cargo-web", "rust-web-src"])?;
    program::run_quietly(Command::new("rustup").args(["toolchain", "link", DEBIAN, "/usr"]))
}

fn install_linker() -> Result<()> {
    let mut cargo = program::cargo();
    cargo.args(["install", "bpf-linker", "--version", LINKER_VERSION]);
    program::run_quietly(
        cargo.args(["--no-default-features", "--features", "llvm-22"]).env("LLVM_PREFIX", LLVM),
    )
}
