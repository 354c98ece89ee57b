//! A program under measurement: its CPU time, its memory peak, what it said.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use wait4::Wait4;

use super::machine;
use crate::interrupt;

/// How much of the CPU the scheduler gives a contestant where others compete: nice levels count only within a
/// session, and sessions compete by this (sched(7), autogroup).
const SESSION_PRIORITY: &str = "-10";
/// How often a child is looked at: the grain of wall times.
const LOOK: Duration = Duration::from_millis(2);

/// A command that will run with the same priority as every other contestant, in a session of its own.
pub fn contestant(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

/// A running child. Killed when dropped.
pub struct Running {
    child: Option<Child>,
    name: String,
    started: Instant,
    /// Where its output goes: NAME.out and NAME.err.
    output: PathBuf,
}

/// What a child came to.
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Seconds it took.
    pub wall: f64,
    /// User and system seconds of it and of the children it waited for.
    pub cpu: f64,
    /// Peak of its resident memory, MiB; of the largest process where it had children.
    pub peak_mib: f64,
    /// All it printed, stdout before stderr.
    pub said: String,
}

impl Running {
    /// Starts it; what it prints goes to files in `folder`.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Running> {
        let output = folder.join(name.replace([' ', '/'], "-"));
        let file = |end: &str| {
            let path = output.with_extension(end);
            File::create(&path).with_context(|| format!("create {}", path.display()))
        };
        command.current_dir(folder).stdin(Stdio::null()).stdout(file("out")?).stderr(file("err")?);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        prefer(child.id());
        Ok(Running { child: Some(child), name: name.to_owned(), started, output })
    }

    /// CPU seconds so far.
    pub fn cpu(&self) -> Result<f64> {
        machine::cpu_of(self.id()?).with_context(|| self.described())
    }

    /// Asks it to end.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.id()?).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.described()))
    }

    /// Waits for its end, for so long at most.
    pub fn finish(mut self, limit: Duration) -> Result<Finished> {
        let end = Instant::now() + limit;
        loop {
            let Some(child) = &mut self.child else { bail!("{} was waited for before", self.name) };
            if let Some(used) = child.try_wait4().with_context(|| format!("wait for {}", self.name))? {
                let wall = self.started.elapsed().as_secs_f64();
                // Reaped: its id may be another process by now.
                self.child = None;
                return Ok(Finished {
                    status: used.status,
                    wall,
                    cpu: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
                    peak_mib: used.rusage.maxrss as f64 / f64::from(1 << 20),
                    said: self.said(),
                });
            }
            if interrupt::asked() {
                bail!("interrupted");
            }
            if Instant::now() > end {
                bail!("{} took longer than {} s\n{}", self.name, limit.as_secs(), self.described());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn id(&self) -> Result<u32> {
        self.child.as_ref().map(Child::id).context("it was waited for before")
    }

    fn said(&self) -> String {
        let read = |end: &str| {
            fs::read(self.output.with_extension(end)).map_or_else(
                |_unreadable| String::new(),
                |bytes| String::from_utf8_lossy(&bytes).into_owned(),
            )
        };
        read("out") + &read("err")
    }

    fn described(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        format!("{}; it said: {}", self.name, lines[lines.len().saturating_sub(10)..].join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Already gone is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Finished {
    /// An error unless it ended well, or by the signal it was sent.
    pub fn ok(self, name: &str, signal: Option<Signal>) -> Result<Finished> {
        let asked = signal.is_some_and(|signal| self.status.signal() == Some(signal.as_raw()));
        if !self.status.success() && !asked {
            let lines: Vec<&str> = self.said.lines().collect();
            let last = lines[lines.len().saturating_sub(10)..].join("\n");
            bail!("{name} failed: {}; it said: {last}", self.status);
        }
        Ok(self)
    }
}

/// Gives a session just made its priority. Without root, or without autogroups, all stay equal as they are.
fn prefer(pid: u32) {
    let path = format!("/proc/{pid}/autogroup");
    let own = fs::read_to_string("/proc/self/autogroup").unwrap_or_default();
    // `setsid` needs a moment to leave our session.
    for _ in 0..50 {
        match fs::read_to_string(&path) {
            Ok(group) if group != own => {
                let _ = fs::write(&path, SESSION_PRIORITY);
                return;
            }
            Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Result<Finished> {
        let folder =
            std::env::temp_dir().join(format!("vesper-bench-{}-{}", std::process::id(), script.len()));
        fs::create_dir_all(&folder)?;
        let mut command = contestant("sh");
        let running = Running::start("it", command.args(["-c", script]), &folder)?;
        let finished = running.finish(Duration::from_secs(20));
        fs::remove_dir_all(&folder)?;
        finished
    }

    #[test]
    fn cpu_time_and_words_of_a_child_are_known() {
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; echo well >&2";
        let finished = run(script).unwrap().ok("it", None).unwrap();
        assert!(finished.cpu > 0.0 && finished.peak_mib > 0.1, "{} {}", finished.cpu, finished.peak_mib);
        assert_eq!(finished.said, "done\nwell\n");
    }

    #[test]
    fn a_failure_says_what_the_child_said() {
        let error = run("echo no such luck; exit 3").unwrap().ok("it", None).err().unwrap();
        assert!(error.to_string().contains("no such luck"), "{error}");
        assert!(run("kill -TERM $$").unwrap().ok("it", Some(Signal::TERM)).is_ok());
    }
}
