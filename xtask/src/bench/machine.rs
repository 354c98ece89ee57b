//! The machine that figures were taken on, and how busy it is.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::program;

/// What a reader needs to know to compare figures.
pub fn facts() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("", |(_, value)| value).trim().to_owned()
    };
    let said = |command: &mut Command| {
        program::output(command.current_dir(program::root())).unwrap_or_default().trim().to_owned()
    };
    let changed = said(Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]));
    let packages = ["softflowd", "nfdump", "argus-server", "tcpreplay"];
    // It fails where one is missing, and tells of the others all the same.
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Package} ${Version}; "]).args(packages);
    let versions = query.output().map(|output| output.stdout).unwrap_or_default();
    let versions = String::from_utf8_lossy(&versions);
    json!({
        "versions": versions.trim(),
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "clocksource": read("/sys/devices/system/clocksource/clocksource0/current_clocksource").trim(),
        "load": read("/proc/loadavg").trim(),
        "date": said(Command::new("date").args(["--utc", "+%Y-%m-%dT%H:%M:%SZ"])),
        "commit": said(Command::new("git").args(["rev-parse", "--short", "HEAD"])),
        "changed_since_commit": !changed.is_empty(),
    })
}

/// The CPU for what is measured; the first one is for what sends.
pub fn last_cpu() -> usize {
    std::thread::available_parallelism().map_or(0, |count| count.get() - 1)
}

/// Seconds in which some CPU of this machine did something, since it started.
pub fn busy() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    Ok(busy_ticks(&text).context("/proc/stat has no line `cpu`")? as f64 / ticks_per_second())
}

/// User, nice, system, irq and softirq; not idle, iowait and what the hypervisor took (proc_stat(5)).
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    Some([0, 1, 2, 5, 6].iter().filter_map(|&column: &usize| ticks.get(column)).sum())
}

/// CPU seconds of a running process, all its threads, and the children it waited for.
pub fn cpu_of(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}: did it end?"))?;
    Ok(process_ticks(&text).with_context(|| format!("{path} has too few fields"))? as f64
        / ticks_per_second())
}

/// utime, stime, cutime and cstime: fields 14 to 17 (proc_pid_stat(5)). The name in field 2 may hold anything.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_neither_idle_nor_stolen() {
        let stat = "cpu  100 10 1000 99999 5000 1 2 777 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_ticks(stat), Some(1113));
        assert_eq!(busy_ticks("intr 1"), None);
    }

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 200 0 0 11 7 3 2 20 0 1 0 1 1";
        assert_eq!(process_ticks(stat), Some(23));
        assert_eq!(process_ticks("42 (a"), None);
    }
}
