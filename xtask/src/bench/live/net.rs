//! A veth pair in a namespace of its own, and programs inside it: what is sent into `tx0` arrives at `rx0`.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bench::child::contestant;
use crate::bench::machine;
use crate::lab::Lab;
use crate::program;

/// The CPU of the sender, and of what the kernel does with its packets before they reach a program.
const SENDER_CPU: usize = 0;
/// Above every ordinary process: nobody may interrupt the sender, nor be interrupted unequally often.
const SENDER_PRIORITY: &str = "5";

/// See the module. Removed when dropped, with whatever still runs inside.
pub struct Pair(Lab);

impl Pair {
    /// Makes the namespace and the pair. IPv6 is off and no address is set: only what is sent arrives. One queue,
    /// no offloads, no threaded NAPI: what the kernel does with a packet, it does on the CPU that sent it.
    pub fn up() -> Result<Pair> {
        if machine::last_cpu() == SENDER_CPU {
            bail!("sender and contestants need a CPU each, and this machine has one");
        }
        let pair = Pair(Lab::bare()?);
        program::run_quietly(Command::new("ip").args(["netns", "add", &pair.name()]))?;
        program::feed(
            Command::new("ip").args(["-n", &pair.name(), "-batch", "-"]),
            "link set lo up\n\
             link add tx0 numtxqueues 1 numrxqueues 1 type veth peer name rx0 numtxqueues 1 numrxqueues 1\n\
             link set tx0 addrgenmode none\nlink set rx0 addrgenmode none\n\
             link set tx0 up\nlink set rx0 up promisc on\n",
        )?;
        Ok(pair)
    }

    fn name(&self) -> String {
        self.0.namespace("bench")
    }

    fn enter(&self) -> Command {
        let mut command = contestant("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name())).arg("--");
        command
    }

    /// A contestant on its CPU.
    pub fn listener(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.enter();
        command.args(["taskset", "--cpu-list", &machine::last_cpu().to_string()]).arg(program);
        command
    }

    /// A sender on its CPU, which sees this namespace's `/sys`.
    pub fn sender(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = contestant("ip");
        command.args(["netns", "exec", &self.name(), "chrt", "--fifo", SENDER_PRIORITY]);
        command.args(["taskset", "--cpu-list", &SENDER_CPU.to_string()]).arg(program);
        command
    }

    /// Packets that arrived at `rx0` so far, by its own counter.
    pub fn received(&self) -> Result<u64> {
        let mut ip = Command::new("ip");
        let said = program::output(ip.args(["-n", &self.name(), "-json", "-stats", "link", "show", "rx0"]))?;
        let shown: Value = serde_json::from_str(&said).context("read what `ip` says of rx0")?;
        shown[0]["stats64"]["rx"]["packets"].as_u64().context("`ip` gives no counters of rx0")
    }
}
