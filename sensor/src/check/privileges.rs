//! What this process may do.

use std::fs::read_to_string;

use rustix::process::{Resource, getrlimit};

use super::{Line, machine};
use crate::capture::nic::Nic;
use crate::capture::{CaptureConfig, Mode};
use crate::config::size;

/// Numbers and names from linux/capability.h, with what each is for.
const NET_ADMIN: (u32, &str, &str) = (12, "cap_net_admin", "attach the XDP program");
const NET_RAW: (u32, &str, &str) =
    (13, "cap_net_raw", "open AF_XDP sockets and make the interface promiscuous");
const PERFMON: (u32, &str, &str) = (38, "cap_perfmon", "load a program that reads packets by pointer");
const BPF: (u32, &str, &str) = (39, "cap_bpf", "load the XDP program and its maps");
const IPC_LOCK: u32 = 14;
/// Stands for cap_bpf and cap_perfmon too, as it did before Linux 5.8.
const SYS_ADMIN: u32 = 21;

/// CapEff of this process; none where it cannot be read.
pub(super) fn effective() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn has(effective: u64, number: u32) -> bool {
    effective >> number & 1 == 1
}

fn granted(effective: u64, number: u32) -> bool {
    has(effective, number) || (number == BPF.0 || number == PERFMON.0) && has(effective, SYS_ADMIN)
}

/// Whether the XDP program can be loaded.
pub(super) fn may_load(effective: u64) -> bool {
    [BPF, NET_ADMIN, PERFMON].iter().all(|(number, ..)| granted(effective, *number))
}

pub(super) fn capabilities(effective: u64, mode: Mode) -> Line {
    let mut needed = vec![BPF, NET_ADMIN, PERFMON];
    if mode == Mode::Mirror {
        needed.push(NET_RAW);
    }
    let granted = |number| granted(effective, number);
    let missing: Vec<String> = needed
        .iter()
        .filter(|(number, ..)| !granted(*number))
        .map(|(_, name, purpose)| format!("{name} (to {purpose})"))
        .collect();
    if missing.is_empty() {
        return Line::ok("capabilities", "all that are needed");
    }
    let names: Vec<&str> = needed.iter().map(|(_, name, _)| *name).collect();
    let program = std::env::current_exe().map_or("vesper".to_owned(), |path| path.display().to_string());
    Line::fail("capabilities", format!("missing: {}", missing.join(", ")))
        .run(format!("setcap {}+ep {program}", names.join(",")))
        .advise(format!("run as root; under systemd: AmbientCapabilities={}", names.join(" ").to_uppercase()))
}

/// UMEM is locked memory; BPF maps are not, from Linux 5.11 on.
pub(super) fn locked_memory(capture: &CaptureConfig, nic: &Nic) -> Line {
    let limit = getrlimit(Resource::Memlock).current;
    judge_locked(machine::umem_bytes(capture, nic), limit, has(effective(), IPC_LOCK))
}

pub(super) fn judge_locked(need: u64, limit: Option<u64>, unlimited: bool) -> Line {
    match limit {
        Some(limit) if need > limit && !unlimited => {
            let found = format!("{} may be locked, samples need {}", size::format(limit), size::format(need));
            Line::fail("memlock", found)
                .run("ulimit -l unlimited")
                .advise("under systemd: LimitMEMLOCK=infinity; or lower capture.ring_entries")
        }
        _ => Line::ok("memlock", format!("{} to lock, which is allowed", size::format(need))),
    }
}
