//! Runs other programs, with errors that name the program and say what it said.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(1).map(Path::to_path_buf).unwrap_or_default()
}

/// The cargo that runs us, in the workspace root. Without what `cargo run` set for this crate.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null()).env_remove("CARGO_MANIFEST_DIR");
    command
}

/// Where setup unpacks programs that are not installed on the machine.
pub fn tools() -> PathBuf {
    root().join("target/tools")
}

/// `PATH`, the system folders that it often lacks, and what setup unpacked.
pub fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .chain([tools().join("usr/bin")])
        .collect()
}

/// A program of this machine by name.
pub fn find(name: &str) -> Option<PathBuf> {
    search_path().into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Runs it with its output shown; an error unless it succeeds.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs it quietly; its output is shown only when it fails.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs it and returns what it printed on stdout.
pub fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("start `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}: {}", shown(command), output.status, last_lines(&said, 20));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs it with `input` on its stdin.
pub fn feed(command: &mut Command, input: &str) -> Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start `{}`", shown(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()) {
            // It ended early; what it says below is the better message.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other.with_context(|| format!("write to `{}`", shown(command)))?,
        }
    }
    let output = child.wait_with_output().with_context(|| format!("wait for `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed: {}: {}\ninput was:\n{input}",
            shown(command),
            output.status,
            last_lines(&said, 20)
        );
    }
    Ok(())
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Whether this process may make namespaces, attach programs and install packages.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs it quietly, and ends it when it takes longer than `limit`.
pub fn run_bounded(command: &mut Command, limit: Duration) -> Result<()> {
    let log = tools().join("log");
    fs::create_dir_all(tools()).and_then(|()| fs::write(&log, "")).context("write below target/tools")?;
    let output = || fs::File::options().append(true).open(&log).context("open the log");
    command.stdin(Stdio::null()).stdout(output()?).stderr(output()?);
    let mut child = command.spawn().with_context(|| format!("start `{}`", shown(command)))?;
    let end = Instant::now() + limit;
    while Instant::now() < end {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!("`{}` failed: {status}: {}", shown(command), last_lines(&said, 3));
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    child.kill().and_then(|()| child.wait()).with_context(|| format!("end `{}`", shown(command)))?;
    bail!("`{}` took longer than {} s", shown(command), limit.as_secs());
}

/// Text of unknown origin as it may be shown on a terminal: control characters become spaces.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}
