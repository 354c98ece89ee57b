//! A network in namespaces of this machine: hosts on a switch whose every port is mirrored to the sensor.
//!
//! All names begin with `vesper-lab-` and the id of the process that made the lab, so labs do not meet. A lab is
//! removed when its value is dropped: at the end, on an error and on Ctrl-C.

mod network;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::{interrupt, misused, program, setup, traffic};

pub use network::{HOSTS, OUTSIDE, SENSOR, host};

const PREFIX: &str = "vesper-lab-";

/// A lab that is up.
pub struct Lab {
    /// Prefix of its namespaces, with the dash.
    prefix: String,
    keep: bool,
}

impl Lab {
    /// Makes a new one.
    pub fn up() -> Result<Lab> {
        let lab = Lab::bare()?;
        // On an error the value is dropped here, and with it what was made so far.
        network::build(&lab)?;
        Ok(lab)
    }

    /// A lab without machines: for namespaces that the caller makes under its names.
    pub fn bare() -> Result<Lab> {
        interrupt::catch()?;
        Ok(Lab { prefix: format!("{PREFIX}{}-", std::process::id()), keep: false })
    }

    /// The newest lab that somebody left up.
    fn standing() -> Result<Lab> {
        let mut ids: Vec<u32> = namespaces()?.iter().filter_map(|name| maker(name)).collect();
        ids.sort_unstable();
        let id = ids.last().context("no lab is up: cargo xtask lab up")?;
        Ok(Lab { prefix: format!("{PREFIX}{id}-"), keep: true })
    }

    /// Leaves it up when this value goes.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Full name of one of its namespaces.
    pub fn namespace(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A command that runs inside one of its namespaces. Not by `ip netns exec`, which would hide `/sys/fs/bpf`.
    pub fn inside(&self, name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace(name))).arg("--").arg(program);
        command
    }

    /// Where its sensor keeps state, configuration, log and alerts; removed with the lab.
    pub fn state_folder(&self) -> PathBuf {
        state_folder(&self.prefix)
    }

    /// How a person gets a command inside.
    pub fn inside_shown(&self, name: &str) -> String {
        format!("nsenter --net=/run/netns/{}", self.namespace(name))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = remove(&self.prefix) {
            eprintln!("the lab could not be removed ({error:#}); by hand: cargo xtask lab down --all");
        }
    }
}

/// `cargo xtask lab ...`.
pub fn command(args: &[&str]) -> Result<()> {
    setup::for_lab()?;
    match args {
        ["up"] => {
            let mut lab = Lab::up()?;
            lab.keep();
            println!("{}", network::described(&lab));
            println!(
                "a shell inside:  {} bash\nremove it:       cargo xtask lab down",
                lab.inside_shown("client1")
            );
            Ok(())
        }
        ["down"] => down(|maker| !is_alive(maker)),
        ["down", "--all"] => down(|_| true),
        ["exec", name, program, rest @ ..] => {
            let lab = Lab::standing()?;
            program::run(lab.inside(name, program).args(rest))
        }
        ["traffic", rest @ ..] => {
            let seconds = match rest {
                [] => None,
                [seconds] => Some(seconds.parse().map_err(|_not_a_number| misused("lab traffic", rest))?),
                _ => return Err(misused("lab traffic", rest)),
            };
            make_traffic(&Lab::standing()?, seconds.map(Duration::from_secs))
        }
        ["attack", name] => {
            let lab = Lab::standing()?;
            let attack = traffic::ATTACKS.iter().find(|attack| attack.name == *name);
            let attack = attack.ok_or_else(|| misused("lab attack", &args[1..]))?;
            traffic::start_attack(&lab, attack, 1)?.wait()?;
            Ok(())
        }
        _ => Err(misused("lab", args)),
    }
}

fn make_traffic(lab: &Lab, how_long: Option<Duration>) -> Result<()> {
    interrupt::catch()?;
    let _workers = traffic::start(lab, 1, false)?;
    match how_long {
        Some(how_long) => interrupt::pause(how_long),
        None => {
            println!("ordinary traffic runs until Ctrl-C");
            while !interrupt::asked() {
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
    }
}

/// Removes the labs whose maker is chosen.
fn down(chosen: impl Fn(u32) -> bool) -> Result<()> {
    let all = namespaces()?;
    let mut makers: Vec<u32> = all.iter().filter_map(|name| maker(name)).collect();
    makers.sort_unstable();
    makers.dedup();
    let mut removed = 0;
    for maker in makers {
        if chosen(maker) {
            remove(&format!("{PREFIX}{maker}-"))?;
            removed += 1;
        } else {
            println!("lab {maker} is in use by a running process; `lab down --all` removes it all the same");
        }
    }
    println!("{removed} lab(s) removed");
    Ok(())
}

/// Ends what runs in the namespaces with this prefix, and removes them and the sensor's files. Tries all, says the
/// first error.
fn remove(prefix: &str) -> Result<()> {
    let mut first = Ok(());
    for name in namespaces()?.iter().filter(|name| name.starts_with(prefix)) {
        for pid in processes(name) {
            // One that ended meanwhile is what we want.
            let _ = kill_process(pid, Signal::KILL);
        }
        let deleted = program::run_quietly(Command::new("ip").args(["netns", "delete", name]));
        if first.is_ok() {
            first = deleted;
        }
    }
    match fs::remove_dir_all(state_folder(prefix)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound && first.is_ok() => Err(error.into()),
        _ => first,
    }
}

fn state_folder(prefix: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{prefix}state"))
}

fn processes(namespace: &str) -> Vec<Pid> {
    let pids = program::output(Command::new("ip").args(["netns", "pids", namespace])).unwrap_or_default();
    let own = rustix::process::getpid();
    pids.lines().filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?)).filter(|pid| *pid != own).collect()
}

/// Names of the namespaces of all labs on this machine.
fn namespaces() -> Result<Vec<String>> {
    let list = program::output(Command::new("ip").args(["netns", "list"]))?;
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| name.starts_with(PREFIX)).map(str::to_owned).collect())
}

/// Id of the process that made the lab of this namespace.
fn maker(namespace: &str) -> Option<u32> {
    namespace.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).ok().and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Waits for a child so long; an error when it does not come, and it runs on.
pub fn wait_for(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("it did not end within {} s", limit.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_says_who_made_it() {
        assert_eq!(maker("vesper-lab-4711-switch"), Some(4711));
        assert_eq!(maker("vesper-lab--switch"), None);
        assert_eq!(maker("other-4711"), None);
    }
}
