//! What the machine has: memory, clocks, CPUs.

use std::fs::read_to_string;
use std::path::Path;

use super::{Line, gpu, time};
use crate::capture::nic::Nic;
use crate::capture::{CaptureConfig, Mode, TableSize, queues};
use crate::config::size;

/// Clocks that a program reads without asking the kernel, on bare metal and under hypervisors.
const FAST_CLOCKS: [&str; 6] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen", "timebase"];

/// Drivers that choose the speed themselves: what they call `powersave` goes up with the load.
const DYNAMIC: [&str; 3] = ["intel_pstate", "amd-pstate", "amd-pstate-epp"];

/// Clocks, CPUs, GPU.
pub(super) fn lines() -> Vec<Line> {
    let clock = "/sys/devices/system/clocksource/clocksource0";
    let read = |file: &str| read_to_string(Path::new(clock).join(file)).unwrap_or_default();
    let frequency = "/sys/devices/system/cpu/cpu0/cpufreq";
    let of_cpu = |file: &str| read_to_string(Path::new(frequency).join(file)).ok();
    vec![
        clock_source(&read("current_clocksource"), &read("available_clocksource")),
        time::line(),
        governor(of_cpu("scaling_governor").as_deref(), of_cpu("scaling_driver").as_deref()),
        gpu::line(Path::new("/")),
    ]
}

pub(super) fn clock_source(current: &str, available: &str) -> Line {
    let current = current.trim();
    if current.is_empty() {
        return Line::ok("clock source", "not shown here");
    }
    if FAST_CLOCKS.contains(&current) {
        return Line::ok("clock source", current);
    }
    let line = Line::warn("clock source", format!("{current}: slow to read"));
    match available.split_whitespace().find(|clock| FAST_CLOCKS.contains(clock)) {
        Some(faster) => line
            .run(format!("echo {faster} > /sys/devices/system/clocksource/clocksource0/current_clocksource"))
            .advise("but first ask `dmesg | grep -i clocksource` why the kernel left it"),
        None => {
            line.advise("the kernel found no steady TSC: look at `dmesg | grep -i tsc`, firmware, hypervisor")
        }
    }
}

pub(super) fn governor(governor: Option<&str>, driver: Option<&str>) -> Line {
    let driver = driver.unwrap_or_default().trim();
    match governor.map(str::trim) {
        None => Line::ok("cpu governor", "the machine, or its hypervisor, chooses the frequency"),
        Some(slow @ ("powersave" | "conservative")) if !DYNAMIC.contains(&driver) => {
            Line::warn("cpu governor", format!("{slow}: CPUs are slow when a burst comes"))
                .run("cpupower frequency-set -g performance")
        }
        Some(governor) if driver.is_empty() => Line::ok("cpu governor", governor),
        Some(governor) => Line::ok("cpu governor", format!("{governor} ({driver})")),
    }
}

/// Bytes of the flow table in the kernel and of its copy in the sensor; taken when the sensor starts.
pub(super) fn flow_table_bytes(capture: &CaptureConfig, queues: u32) -> u64 {
    let size = TableSize::new(capture.flow_map_entries, queues, false);
    size.kernel_bytes() + size.user_bytes()
}

/// Bytes that samples are received into.
pub(super) fn umem_bytes(capture: &CaptureConfig, nic: &Nic) -> u64 {
    match capture.mode {
        Mode::Mirror => queues::bytes(capture, nic) * u64::from(nic.rx_queues.max(1)),
        Mode::Host => 0,
    }
}

/// What the configuration will use, against what there is.
pub(super) fn memory(capture: &CaptureConfig, nic: &Nic) -> Line {
    let queues = nic.rx_queues.max(1);
    let (map, umem) = (flow_table_bytes(capture, queues), umem_bytes(capture, nic));
    let found = format!(
        "{} for the flow table and {} for samples of {queues} queue{}",
        mebibytes(map),
        mebibytes(umem),
        if queues == 1 { "" } else { "s" }
    );
    let info = read_to_string("/proc/meminfo").unwrap_or_default();
    judge_memory(map + umem, available(&info), found)
}

pub(super) fn judge_memory(need: u64, available: Option<u64>, found: String) -> Line {
    let remedy = "lower capture.flow_map_entries or capture.ring_entries, or add memory";
    match available {
        Some(available) if need > available => {
            let found = format!("{found}, more than is available ({})", mebibytes(available));
            Line::fail("memory", found).advise(remedy)
        }
        Some(available) if need > available / 2 => {
            Line::warn("memory", format!("{found}, over half of what is available")).advise(remedy)
        }
        _ => Line::ok("memory", found),
    }
}

fn mebibytes(bytes: u64) -> String {
    size::format(bytes.next_multiple_of(1 << 20))
}

/// Bytes, from /proc/meminfo.
pub(super) fn available(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
