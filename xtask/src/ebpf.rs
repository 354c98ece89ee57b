//! `cargo xtask ebpf`: the XDP programs from source to the committed objects, and how to see that they agree.
//!
//! The objects hold no debug information and no BTF: both carry paths and compiler details that differ between
//! machines, nothing loads them (the maps are described in their own section), and without them the same
//! sources and tools give the same bytes. The verifier's log names instructions and helpers without them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::step::announced;
use crate::{misused, program, setup};

/// Programs and where their objects are committed: the sensor's, embedded in `vesper`, the tests' generator, and what
/// `bench kernel` compares.
const OBJECTS: [(&str, &str); 3] = [
    ("sensor-xdp", "sensor-ebpf/sensor-xdp.o"),
    ("packet-generator", "sensor-ebpf/packet-generator.o"),
    ("bench-programs", "sensor-ebpf/bench-programs.o"),
];
/// Committed beside them: what they were built from and by.
const RECORD: &str = "sensor-ebpf/objects.sha256";
const TARGET: &str = "bpfel-unknown-none";
/// Tests load the object at this path instead of the embedded one.
pub const OBJECT_VARIABLE: &str = "VESPER_XDP_OBJECT";

/// What `RECORD` says.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    /// In the order of [`OBJECTS`].
    objects: Vec<String>,
    sources: String,
    tools: String,
}

/// `cargo xtask ebpf [--check]`.
pub fn command(args: &[&str]) -> Result<()> {
    let check_only = match args {
        [] => false,
        ["--check"] => true,
        _ => return Err(misused("ebpf", args)),
    };
    setup::for_ebpf()?;
    let built = build()?;
    if check_only { compare(&built) } else { install(&built) }
}

/// Builds the objects from source; says in which folder they are. The toolchain must be there.
pub fn build() -> Result<PathBuf> {
    for (name, _) in OBJECTS {
        build_one(name)?;
    }
    Ok(program::root().join("target/ebpf").join(TARGET).join("release"))
}

fn build_one(name: &str) -> Result<()> {
    let tools = setup::toolchain().context("no toolchain for eBPF here: cargo xtask setup installs it")?;
    let target_dir = program::root().join("target/ebpf");
    let mut cargo = Command::new("rustup");
    cargo
        .current_dir(program::root())
        .args(["run", tools.name, "cargo", "rustc", "--quiet", "-Zbuild-std=core", "--target", TARGET])
        .args(["--release", "--package", "sensor-ebpf", "--bin", name])
        .args(["--", "-Clinker=bpf-linker", "-Cpanic=abort"])
        .env("CARGO_TARGET_DIR", &target_dir)
        // All comparisons (Linux 4.14), but no 32-bit registers: in those the verifier loses sight of packet pointers.
        .env("RUSTFLAGS", "-Ctarget-cpu=v2")
        // The profile is stated here, so that a change for user space does not change these bytes.
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
        // Debian's compiler is a stable one; nightly does not mind.
        .env("RUSTC_BOOTSTRAP", "1");
    for variable in ["CARGO", "RUSTC", "CARGO_ENCODED_RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
        cargo.env_remove(variable);
    }
    announced(&format!("building {name} with {}", tools.versions), || program::run(&mut cargo))
}

fn install(built: &Path) -> Result<()> {
    let tools = setup::toolchain().context("the toolchain for eBPF went away")?.versions;
    for (name, path) in OBJECTS {
        let bytes = fs::read(built.join(name)).with_context(|| format!("read {name}"))?;
        let same = fs::read(program::root().join(path)).is_ok_and(|old| old == bytes);
        write(path, &bytes)?;
        println!("{path}: {} bytes, {}", bytes.len(), if same { "same as before" } else { "new" });
    }
    let record =
        Record { objects: hashes(|_, path| program::root().join(path))?, sources: sources_hash()?, tools };
    write(RECORD, record.to_text().as_bytes())
}

/// The hash of each object, wherever `place` says it lies.
fn hashes(place: impl Fn(&str, &str) -> PathBuf) -> Result<Vec<String>> {
    let hash = |(name, path)| {
        let file = place(name, path);
        Ok(hex(&Sha256::digest(fs::read(&file).with_context(|| format!("read {}", file.display()))?)))
    };
    OBJECTS.into_iter().map(hash).collect()
}

/// Whether the object just built is the committed one, as far as the same tools built both.
pub fn compare(built: &Path) -> Result<()> {
    let committed = Record::read()?;
    let here = setup::toolchain().context("the toolchain for eBPF went away")?.versions;
    if committed.tools != here {
        println!("not compared byte by byte: the committed object was built with {}", committed.tools);
        return Ok(());
    }
    let built = hashes(|name, _| built.join(name))?;
    for (((_, path), built), committed) in OBJECTS.iter().zip(&built).zip(&committed.objects) {
        if built != committed {
            bail!("{path} is {committed}, its sources give {built}: run `cargo xtask ebpf` and commit");
        }
    }
    println!("the committed objects are what their sources give, byte for byte");
    Ok(())
}

/// Whether object, record and sources agree; needs no toolchain.
pub fn verify_committed() -> Result<()> {
    let record = Record::read()?;
    let objects = hashes(|_, path| program::root().join(path))?;
    for (((_, path), object), recorded) in OBJECTS.iter().zip(&objects).zip(&record.objects) {
        if object != recorded {
            bail!("{path} has hash {object}, {RECORD} says {recorded}: run `cargo xtask ebpf`");
        }
    }
    let sources = sources_hash()?;
    if sources != record.sources {
        bail!(
            "the committed objects were built from other sources ({} then, {sources} now): run `cargo xtask ebpf`",
            record.sources
        );
    }
    Ok(())
}

/// One hash over all that decides about the object but the tools: sources, manifest, versions of its crates.
fn sources_hash() -> Result<String> {
    let root = program::root();
    let mut files = vec![PathBuf::from("sensor-ebpf/Cargo.toml")];
    collect(&root, Path::new("sensor-ebpf/src"), &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let text = fs::read(root.join(&file)).with_context(|| format!("read {}", file.display()))?;
        hash.update(format!("{} {}\n", file.display(), text.len()));
        hash.update(text);
    }
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("read Cargo.lock")?;
    hash.update(kernel_crates(&lock));
    Ok(hex(&hash.finalize()))
}

/// The entries of Cargo.lock that go into the kernel half.
fn kernel_crates(lock: &str) -> String {
    let ours = |entry: &&str| {
        ["aya-ebpf", "aya-log-ebpf", "aya-log-common"]
            .iter()
            .any(|name| entry.trim_start().starts_with(&format!("name = \"{name}")))
    };
    lock.split("[[package]]").filter(ours).collect()
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in root.join(folder).read_dir().with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn write(path: &str, bytes: &[u8]) -> Result<()> {
    fs::write(program::root().join(path), bytes).with_context(|| format!("write {path}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Record {
    fn read() -> Result<Record> {
        let text = fs::read_to_string(program::root().join(RECORD))
            .with_context(|| format!("read {RECORD}: run `cargo xtask ebpf`"))?;
        Record::parse(&text).with_context(|| format!("{RECORD} is damaged: run `cargo xtask ebpf`"))
    }

    fn parse(text: &str) -> Option<Record> {
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_suffix(name))
                .map(|value| value.trim_matches(['#', ' ']).to_owned())
        };
        let tools = text.lines().find_map(|line| line.strip_prefix("# built with "))?.to_owned();
        let objects: Option<Vec<String>> =
            OBJECTS.iter().map(|(name, _)| value(&format!("{name}.o"))).collect();
        Some(Record { objects: objects?, sources: value("sources")?, tools })
    }

    /// The first lines are such that `sha256sum --check` understands them.
    fn to_text(&self) -> String {
        let Record { objects, sources, tools } = self;
        let lines = OBJECTS.iter().zip(objects).map(|((name, _), hash)| format!("{hash}  {name}.o\n"));
        lines.collect::<String>() + &format!("# built with {tools}\n# {sources}  sources\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_writing_and_reading() {
        let record = Record {
            objects: vec!["ab".repeat(32), "ef".repeat(32), "09".repeat(32)],
            sources: "cd".repeat(32),
            tools: "rustc 1.2.3, LLVM 4".to_owned(),
        };
        assert_eq!(Record::parse(&record.to_text()), Some(record));
        assert_eq!(Record::parse("nonsense"), None);
    }

    #[test]
    fn only_crates_of_the_kernel_half_count() {
        let lock = "[[package]]\nname = \"aya\"\nv1\n[[package]]\nname = \"aya-ebpf-macros\"\nv2\n";
        assert_eq!(kernel_crates(lock), "\nname = \"aya-ebpf-macros\"\nv2\n");
    }
}
