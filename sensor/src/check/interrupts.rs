//! Which CPUs serve a NIC's interrupts.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_to_string};

use super::Line;
use crate::capture::nic::{Nic, sys_folder};

/// Nothing for interfaces without interrupts of their own, as virtual ones.
pub(super) fn line(nic: &Nic) -> Option<Line> {
    let folder = sys_folder(nic)?.join("device/msi_irqs");
    let numbers: Vec<String> = read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let cpus = |number: &String| read_to_string(format!("/proc/irq/{number}/effective_affinity_list")).ok();
    let served: Vec<String> = numbers.iter().filter_map(cpus).collect();
    Some(judge(nic, &served, balanced()))
}

/// Whether irqbalance runs; not seen where other users' processes are hidden.
fn balanced() -> bool {
    let Ok(processes) = read_dir("/proc") else { return false };
    let name = |entry: std::fs::DirEntry| read_to_string(entry.path().join("comm")).unwrap_or_default();
    processes.flatten().any(|entry| name(entry).trim() == "irqbalance")
}

/// `served` has the CPU of each interrupt, as the kernel writes it.
pub(super) fn judge(nic: &Nic, served: &[String], balanced: bool) -> Line {
    let cpus: BTreeSet<&str> =
        served.iter().map(|list| list.trim()).filter(|list| !list.is_empty()).collect();
    let balance = if balanced { "; irqbalance moves them" } else { "" };
    let found =
        format!("{} on {} CPU{}{balance}", served.len(), cpus.len(), if cpus.len() == 1 { "" } else { "s" });
    if nic.rx_queues > 1 && served.len() > 1 && cpus.len() == 1 {
        let line = Line::warn("interrupts", format!("{found}, for {} queues", nic.rx_queues));
        return match balanced {
            true => {
                line.advise("irqbalance may not have seen the load yet; else stop it and spread them by hand")
            }
            false => line
                .run("systemctl start irqbalance")
                .advise("or spread them by hand: one CPU in /proc/irq/N/smp_affinity_list each"),
        };
    }
    Line::ok("interrupts", if cpus.is_empty() { "the kernel does not tell".to_owned() } else { found })
}
