//! Whether somebody keeps the clock right. The kernel says so to `adjtimex(2)` only, which a sandboxed service may not
//! call: those who may are asked.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Line;

/// systemd-timesyncd touches it when the clock has been set.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

/// A tool that has no answer by then has none.
const PATIENCE: u32 = 40;
const STEP: Duration = Duration::from_millis(50);

/// How the clock is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is right, says this one.
    Right(&'static str),
    /// It is not, or not yet.
    Wrong(&'static str),
    /// Nobody could be asked.
    Unknown,
}

/// Asks one after the other, the surest first.
pub(super) fn line() -> Line {
    judge(kept())
}

fn kept() -> Kept {
    if let Some(kept) = chrony(&answer("chronyc", &["-n", "-c", "tracking"])) {
        return kept;
    }
    if Path::new(TIMESYNCD).exists() {
        return Kept::Right("systemd-timesyncd");
    }
    timedatectl(&answer("timedatectl", &["show", "--property=NTPSynchronized", "--value"]))
        .unwrap_or(Kept::Unknown)
}

/// The last field is the leap status: `Normal`, `Insert second`, `Delete second`, `Not synchronised`.
pub(super) fn chrony(answer: &str) -> Option<Kept> {
    let fields: Vec<&str> = answer.trim().split(',').collect();
    match fields.as_slice() {
        [_, .., "Not synchronised"] => Some(Kept::Wrong("chrony")),
        [_, .., "Normal" | "Insert second" | "Delete second"] => Some(Kept::Right("chrony")),
        _ => None,
    }
}

/// It has asked the kernel: STA_UNSYNC, whoever sets the clock.
pub(super) fn timedatectl(answer: &str) -> Option<Kept> {
    match answer.trim() {
        "yes" => Some(Kept::Right("timedatectl")),
        "no" => Some(Kept::Wrong("timedatectl")),
        _ => None,
    }
}

pub(super) fn judge(kept: Kept) -> Line {
    match kept {
        Kept::Right(who) => Line::ok("time", format!("synchronised, says {who}")),
        Kept::Wrong(who) => Line::warn("time", format!("not synchronised, says {who}"))
            .run(if who == "chrony" { "chronyc -n sources" } else { "timedatectl set-ntp true" })
            .advise("let UDP port 123 out to a time server"),
        Kept::Unknown => Line::warn("time", "nobody says that the clock is kept right")
            .run("apt install chrony")
            .advise("fine in a container whose host keeps the clock"),
    }
}

/// What a tool says, if it is there, has no complaint and is quick.
fn answer(tool: &str, arguments: &[&str]) -> String {
    let started = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut process) = started else { return String::new() };
    for _ in 0..PATIENCE {
        match process.try_wait() {
            Ok(Some(status)) if status.success() => {
                let output = process.wait_with_output().map(|output| output.stdout).unwrap_or_default();
                return String::from_utf8_lossy(&output).into_owned();
            }
            Ok(None) => std::thread::sleep(STEP),
            _ => return String::new(),
        }
    }
    let _gone = process.kill().and_then(|()| process.wait());
    String::new()
}
