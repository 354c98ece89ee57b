//! What the machine has: kernel, memory, GPU.

use std::fs::read_to_string;
use std::path::Path;

use super::Line;
use crate::capture::nic::Nic;
use crate::capture::{CaptureConfig, Mode, TableSize, queues};
use crate::config::size;

/// The helpers of the XDP program are all there from this version on.
const OLDEST_KERNEL: (u32, u32) = (5, 18);

/// Kernel and GPU.
pub(super) fn lines() -> Vec<Line> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    vec![kernel(&release), jit(read_to_string("/proc/sys/net/core/bpf_jit_enable").ok().as_deref()), gpu()]
}

pub(super) fn kernel(release: &str) -> Line {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= OLDEST_KERNEL {
        return Line::ok("kernel", format!("Linux {release}"));
    }
    let (major, minor) = OLDEST_KERNEL;
    Line::fail(
        "kernel",
        format!("Linux {release} is too old"),
        format!("boot a kernel from {major}.{minor} on"),
    )
}

pub(super) fn jit(enabled: Option<&str>) -> Line {
    match enabled.map(str::trim) {
        Some("1" | "2") => Line::ok("bpf jit", "on"),
        Some(_) => Line::warn(
            "bpf jit",
            "off: the XDP program is interpreted, several times slower",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        None => Line::warn(
            "bpf jit",
            "unknown: there is no /proc/sys/net/core/bpf_jit_enable",
            "normal in a network namespace; elsewhere use a kernel with CONFIG_BPF_JIT",
        ),
    }
}

fn gpu() -> Line {
    let driver = read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let library =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib"]
            .iter()
            .find(|folder| Path::new(folder).join("libcuda.so.1").exists());
    match (driver.lines().next(), library) {
        (Some(driver), Some(folder)) => Line::ok("gpu", format!("{driver}; libcuda in {folder}")),
        (Some(driver), None) => Line::warn(
            "gpu",
            format!("{driver}, but no libcuda.so.1"),
            "install the driver's CUDA library, or leave it: the model runs on the CPU",
        ),
        (None, _) => Line::ok("gpu", "none: the model runs on the CPU"),
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
        Some(available) if need > available => Line::fail(
            "memory",
            format!("{found}, more than is available ({})", mebibytes(available)),
            remedy,
        ),
        Some(available) if need > available / 2 => {
            Line::warn("memory", format!("{found}, over half of what is available"), remedy)
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
