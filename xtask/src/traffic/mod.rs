//! The traffic of the lab: real TCP and UDP programs, each a process of this binary inside a namespace.

mod attack;
mod client;
mod net;
mod server;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::lab::{HOSTS, Lab, OUTSIDE};
use crate::misused;
use crate::random::Random;

pub use attack::{ATTACKS, Attack};

/// Environment variable: workers outlive the process that started them.
const KEEP: &str = "VESPER_LAB_KEEP";

/// Processes that make traffic; they end when this value goes.
pub struct Workers(Vec<Child>);

impl Workers {
    /// Lets them run on.
    pub fn leave(mut self) {
        self.0.clear();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// Servers and clients; they run until the value is dropped. When asked to keep, they may outlive this process.
pub fn start(lab: &Lab, seed: u64, keep: bool) -> Result<Workers> {
    let mut workers = Workers(Vec::new());
    for host in &HOSTS {
        let role = if host.name.starts_with("client") { "client" } else { host.name };
        workers.0.push(worker_command(lab, host.name, &[role, &seed.to_string(), host.name], keep)?.spawn()?);
    }
    workers.0.push(worker_command(lab, OUTSIDE, &["visitors", &seed.to_string(), OUTSIDE], keep)?.spawn()?);
    Ok(workers)
}

/// Starts one attack; the child ends when the attack does.
pub fn start_attack(lab: &Lab, attack: &Attack, seed: u64) -> Result<Child> {
    let seed = seed.to_string();
    worker_command(lab, attack.from, &[attack.name, &seed, attack.from], false)?
        .spawn()
        .with_context(|| format!("start the attack {}", attack.name))
}

fn worker_command(lab: &Lab, name: &str, args: &[&str], keep: bool) -> Result<Command> {
    let own = std::env::current_exe().context("find this program")?;
    let mut command = lab.inside(name, own);
    command.arg("lab-worker").args(args).stdin(Stdio::null()).stdout(Stdio::null());
    // Ctrl-C on a terminal is for us; the workers end when we end them.
    command.process_group(0);
    if keep {
        command.env(KEEP, "1").stderr(Stdio::null());
    }
    Ok(command)
}

/// `xtask lab-worker ROLE SEED HOST`: not for people.
pub fn worker(args: &[&str]) -> Result<()> {
    let [role, seed, name] = args else {
        return Err(misused("lab-worker", args));
    };
    if std::env::var_os(KEEP).is_none() {
        // Whatever ends the demo ends its traffic.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    let seed: u64 = seed.parse().context("the seed is a number")?;
    let random = Random::new(seed, &format!("{role}/{name}"));
    match *role {
        OUTSIDE => server::outside(random),
        "web" => server::web(random),
        "login" => server::login(random),
        "files" => server::files(random),
        "infra" => server::infra(random),
        "client" => client::run(random),
        "visitors" => client::visitors(random),
        attack => attack::run(attack, random),
    }
}

/// Sleeps that many seconds.
fn sleep(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)));
}
