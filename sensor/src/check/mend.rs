//! `--fix`: the few changes that are safe. Safe is what touches nothing but what the sensor uses, cannot cut anybody off,
//! and is undone by one command or the next boot. Memory, clocks, drivers' queues and keys, other programs and the
//! configuration are never touched.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{Gid, Uid};
use serde::Serialize;

use super::Line;
use super::kernel::JIT;
use super::pins::BPFFS;
use crate::capture::nic::{self, Nic, lasting};

/// Rights of folders: for the user alone, and with its group reading, as the package's folders have them.
const PRIVATE: u32 = 0o700;
const SHARED: u32 = 0o750;

/// A safe change.
#[derive(Clone, Debug)]
pub(super) enum Fix {
    /// Sets a mirror port up.
    Up(Nic),
    /// Has a mirror port take every frame.
    Promiscuous(Nic),
    /// Switches offloads of a mirror port off.
    OffloadsOff(Nic, Vec<&'static str>),
    /// Mounts the BPF filesystem if need be, and makes the sensor's folder in it.
    Pins {
        /// It.
        folder: PathBuf,
        /// Whether there is none yet.
        mount: bool,
    },
    /// Switches the compiler for BPF programs on.
    Jit,
    /// Makes a folder, for the user that the service runs as where there is one.
    Folder(PathBuf),
}

/// A change that was tried.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Change {
    /// The line it was for.
    pub(super) name: &'static str,
    /// What does the same by hand.
    pub(super) command: String,
    /// Why it could not be done.
    pub(super) error: Option<String>,
}

/// Does what the lines that are not ok ask for.
pub(super) fn mend(lines: &[Line]) -> Vec<Change> {
    lines
        .iter()
        .filter_map(|line| {
            let fix = line.fix.as_ref()?;
            let error = fix.apply().err().map(|error| said(&error));
            Some(Change { name: line.name, command: fix.command(), error })
        })
        .collect()
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("{error}: run it as root"),
        _ => error.to_string(),
    }
}

impl Fix {
    /// The command that does the same.
    pub(super) fn command(&self) -> String {
        match self {
            Fix::Up(nic) => format!("ip link set {} up", nic.name),
            Fix::Promiscuous(nic) => format!("ip link set {} promisc on", nic.name),
            Fix::OffloadsOff(nic, names) => format!("ethtool -K {} {} off", nic.name, names.join(" off ")),
            Fix::Pins { folder, mount } => {
                let first = if *mount { format!("mount -t bpf bpf {BPFFS} && ") } else { String::new() };
                format!("{first}{}", install(folder, PRIVATE))
            }
            Fix::Jit => "sysctl -w net.core.bpf_jit_enable=1".to_owned(),
            Fix::Folder(path) => install(path, SHARED),
        }
    }

    fn apply(&self) -> io::Result<()> {
        match self {
            Fix::Up(nic) => lasting::up(nic).map(|()| wait_for_link(&nic.name)),
            Fix::Promiscuous(nic) => lasting::promiscuous(nic),
            Fix::OffloadsOff(nic, names) => names.iter().try_for_each(|name| lasting::offload_off(nic, name)),
            Fix::Pins { folder, mount } => {
                let mounted = if *mount { mount_bpffs() } else { Ok(()) };
                mounted.and_then(|()| make(folder, PRIVATE))
            }
            Fix::Jit => std::fs::write(JIT, "1"),
            Fix::Folder(path) => make(path, SHARED),
        }
    }
}

/// The two ends have to agree first. Whether they did is seen when everything is looked at again.
fn wait_for_link(interface: &str) {
    const STEP: Duration = Duration::from_millis(100);
    const STEPS: u32 = 50;
    for _ in 0..STEPS {
        match nic::find(interface) {
            Ok(nic) if !nic.link_up => std::thread::sleep(STEP),
            _ => return,
        }
    }
}

fn mount_bpffs() -> io::Result<()> {
    let output = Command::new("mount").args(["-t", "bpf", "bpf", BPFFS]).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// What [`make`] does, as a command.
fn install(path: &Path, mode: u32) -> String {
    let owner = if owner().is_some() { format!("-o {USER} -g {USER} ") } else { String::new() };
    format!("install -d -m {mode:04o} {owner}{}", path.display())
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    if let Some((uid, gid)) = owner() {
        rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(())
}

/// The user of the service, which the package makes.
const USER: &str = "vesper";

/// Whom new folders belong to: the service's user, where root asks for them.
fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    ids_of(&std::fs::read_to_string("/etc/passwd").unwrap_or_default())
}

/// `name:password:uid:gid:...`
pub(super) fn ids_of(users: &str) -> Option<(u32, u32)> {
    let mut fields = users.lines().find(|line| line.split(':').next() == Some(USER))?.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
