//! What the build for NVIDIA GPUs needs, without a GPU: the compiler of CUDA 13.0 from PyPI, and candle changed in two
//! places, so that the program opens the libraries of CUDA while it runs and starts where there are none.
//!
//! Nothing outside target/cuda is written. Cargo builds in a folder that looks like this workspace but has a lock file
//! and a `[patch]` of its own: the build for the CPU stays as it is.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::python::VENV;
use super::{Install, Requirement, ensure};
use crate::program;

/// Drivers from 580 on take what this version writes; what a later one writes they may refuse.
const WHEELS: [&str; 5] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
];
/// Code for cards from 2020 on; the driver compiles it for the one that is there.
const CAPABILITY: &str = "80";

/// How to build: `cargo` in `workspace`, with `environment`, and `--features cuda`.
pub struct CudaBuild {
    /// Looks like this workspace.
    pub workspace: PathBuf,
    /// What cargo and the compiler read.
    pub environment: Vec<(&'static str, OsString)>,
}

impl CudaBuild {
    /// A cargo that builds for GPUs.
    pub fn cargo(&self) -> Command {
        let mut cargo = program::cargo();
        cargo.current_dir(&self.workspace).envs(self.environment.iter().map(|(name, value)| (name, value)));
        cargo
    }

    /// Where cargo puts what it builds.
    pub fn target(&self) -> PathBuf {
        folder().join("build")
    }
}

const COMPILER: Requirement = Requirement {
    what: "compiler of CUDA 13.0",
    present: || program::run_quietly(Command::new(home().join("bin/nvcc")).arg("--version")).is_ok(),
    install: Install::Own(install, "five packages of PyPI, 105 MB, unpacked in target/cuda"),
};

/// The compiler of the other half of the kernels.
const HOST_COMPILER: Requirement = Requirement {
    what: "C++ compiler for CUDA",
    present: || program::find("g++").is_some(),
    install: Install::Debian(&["g++"]),
};

/// Brings everything here and says how to build.
pub fn cuda() -> Result<CudaBuild> {
    ensure(&[VENV, HOST_COMPILER, COMPILER])?;
    let packages = packages()?;
    let mut patches = Vec::new();
    for name in ["candle-core", "candle-kernels"] {
        let manifest = packages.iter().find(|package| package["name"] == name);
        let manifest = manifest.and_then(|package| package["manifest_path"].as_str());
        let source = manifest.and_then(|path| Path::new(path).parent());
        let source = source.with_context(|| format!("cargo knows no {name}: is it in sensor/Cargo.toml?"))?;
        patches.push((name, patched(name, source)?));
    }
    let workspace = workspace(&patches)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([home().join("bin")].into_iter().chain(std::env::split_paths(&path)))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let environment = vec![
        ("CUDA_HOME", home().into()),
        ("PATH", path),
        ("CUDA_COMPUTE_CAP", CAPABILITY.into()),
        ("CUDAFORGE_THREADS", threads.to_string().into()),
        ("CARGO_TARGET_DIR", folder().join("build").into()),
    ];
    Ok(CudaBuild { workspace, environment })
}

/// Everything of this build.
fn folder() -> PathBuf {
    program::root().join("target/cuda")
}

/// What `CUDA_HOME` is.
fn home() -> PathBuf {
    folder().join("toolkit/nvidia/cu13")
}

fn install() -> Result<()> {
    let (venv, wheels, toolkit) =
        (folder().join("python"), folder().join("wheels"), folder().join("toolkit"));
    fs::create_dir_all(&wheels)?;
    program::run_quietly(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&venv))?;
    let python = venv.join("bin/python");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]);
    program::run_bounded(pip.arg(&wheels).args(WHEELS), Duration::from_secs(600))?;
    for wheel in fs::read_dir(&wheels)? {
        let mut unpack = Command::new(&python);
        program::run_quietly(unpack.args(["-m", "zipfile", "-e"]).arg(wheel?.path()).arg(&toolkit))?;
    }
    fs::remove_dir_all(&wheels)?;
    // Unpacked like that, programs are files like any other.
    for programs in ["bin", "nvvm/bin"] {
        for entry in fs::read_dir(home().join(programs))? {
            let path = entry?.path();
            if path.is_file() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
        }
    }
    if !home().join("lib64").exists() {
        symlink("lib", home().join("lib64"))?;
    }
    Ok(())
}

/// Every package that the build for GPUs needs, fetched.
fn packages() -> Result<Vec<Value>> {
    let mut cargo = program::cargo();
    let said = program::output(cargo.args(["metadata", "--format-version=1", "--features=sensor/cuda"]))?;
    let mut metadata: Value = serde_json::from_str(&said).context("what cargo metadata says")?;
    Ok(metadata["packages"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// A changed copy of a package. What is there already stays: cargo builds anew what was written anew.
fn patched(name: &str, source: &Path) -> Result<PathBuf> {
    let version = source.file_name().context("a package without a folder")?.to_string_lossy();
    let copy = folder().join("patched").join(name);
    let mark = copy.with_extension("version");
    if fs::read_to_string(&mark).is_ok_and(|of| of == version) {
        return Ok(copy);
    }
    // Of another version, or of a copy that was interrupted.
    let _absent = fs::remove_dir_all(&copy);
    copy_folder(source, &copy)?;
    patch(name, &copy)?;
    fs::write(&mark, version.as_bytes()).with_context(|| format!("write {}", mark.display()))?;
    Ok(copy)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("write {}", target.display()))?;
        }
    }
    Ok(())
}

/// The changes, each of which must find what it changes.
fn patch(name: &str, folder: &Path) -> Result<()> {
    if name == "candle-core" {
        return change(&folder.join("Cargo.toml"), |text| {
            text.contains("\"dynamic-linking\"")
                .then(|| text.replace("\"dynamic-linking\"", "\"dynamic-loading\""))
        });
    }
    // Kernels for language models come as a library that is linked, and with it the runtime of CUDA.
    change(&folder.join("build.rs"), |text| {
        let (start, end) = (text.find("    let mut moe_sources")?, text.rfind("    Ok(())")?);
        let exclude = "\"mmq_*.cu\"]";
        let rest = format!("{}{}", text.get(..start)?, text.get(end..)?);
        rest.contains(exclude).then(|| rest.replace(exclude, "\"mmq_*.cu\", \"*/moe*\", \"*/mmq*\"]"))
    })
}

fn change(path: &Path, how: impl Fn(&str) -> Option<String>) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    match how(&text) {
        Some(changed) => fs::write(path, changed).with_context(|| format!("write {}", path.display())),
        None => bail!("{} is not what it was: look at `patch` in xtask/src/setup/cuda.rs", path.display()),
    }
}

/// A folder that looks like this workspace, with these packages in place of those of the registry.
fn workspace(patches: &[(&str, PathBuf)]) -> Result<PathBuf> {
    let (root, copy) = (program::root(), folder().join("workspace"));
    fs::create_dir_all(&copy)?;
    for entry in fs::read_dir(&root)? {
        let name = entry?.file_name();
        let link = copy.join(&name);
        if ["target", ".git", "Cargo.toml", "Cargo.lock"].iter().any(|own| name == *own)
            || fs::symlink_metadata(&link).is_ok()
        {
            continue;
        }
        symlink(root.join(&name), &link).with_context(|| format!("link {}", link.display()))?;
    }
    let mut manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    manifest.push_str("\n[patch.crates-io]\n");
    for (name, folder) in patches {
        manifest.push_str(&format!("{name} = {{ path = {:?} }}\n", folder.display().to_string()));
    }
    // The same text is not written again, or cargo would look at everything anew.
    let (path, lock) = (copy.join("Cargo.toml"), copy.join("Cargo.lock"));
    if fs::read_to_string(&path).ok().as_deref() != Some(&manifest) {
        fs::write(&path, manifest)?;
    }
    fs::copy(root.join("Cargo.lock"), lock)?;
    Ok(copy)
}
