//! Whether an NVIDIA GPU can be used: the card, its driver, the driver's device nodes and its library. Only looked for:
//! nothing is loaded or started.

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

use super::Line;

const LIBRARY: &str = "libcuda.so.1";
/// Where distributions, containers and WSL put it.
const FOLDERS: [&str; 7] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/wsl/lib",
    "usr/local/nvidia/lib64",
    "usr/local/cuda/compat",
];
/// The library opens all three.
const NODES: [&str; 3] = ["dev/nvidiactl", "dev/nvidia0", "dev/nvidia-uvm"];
/// NVIDIA, and the first byte of a display controller's class.
const VENDOR: &str = "0x10de";
const DISPLAY: &str = "0x03";

/// What is under `root`, which is `/` but in tests.
pub(super) fn line(root: &Path) -> Line {
    let driver = version(&read_to_string(root.join("proc/driver/nvidia/version")).unwrap_or_default());
    let missing: Vec<&str> = NODES.into_iter().filter(|node| !root.join(node).exists()).collect();
    let folder = FOLDERS.iter().map(|folder| root.join(folder)).find(|folder| folder.join(LIBRARY).exists());
    match driver {
        Some(driver) => with_driver(&driver, &missing, folder),
        None if has_card(root) => Line::warn("gpu", "an NVIDIA GPU is there, its driver is not loaded")
            .run("apt install nvidia-driver")
            .advise("or leave it: the model runs on the CPU"),
        None => Line::ok("gpu", "none: the model runs on the CPU"),
    }
}

fn with_driver(driver: &str, missing: &[&str], folder: Option<PathBuf>) -> Line {
    if !missing.is_empty() {
        return Line::warn("gpu", format!("driver {driver}, but no /{}", missing.join(", no /")))
            .run("nvidia-modprobe -u -c=0")
            .advise("under systemd: install systemd/gpu.conf; in a container: pass the GPU in");
    }
    match folder {
        Some(folder) => {
            Line::ok("gpu", format!("NVIDIA driver {driver}, {}", folder.join(LIBRARY).display()))
        }
        None => Line::warn("gpu", format!("driver {driver}, but no {LIBRARY}"))
            .run("apt install libcuda1")
            .advise("or leave it: the model runs on the CPU"),
    }
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.07  Sat Feb ...`: the first word that is numbers and dots.
pub(super) fn version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    line.split_whitespace().find(is_version).map(str::to_owned)
}

fn has_card(root: &Path) -> bool {
    let Ok(devices) = read_dir(root.join("sys/bus/pci/devices")) else { return false };
    devices.flatten().any(|device| {
        let read = |file: &str| read_to_string(device.path().join(file)).unwrap_or_default();
        read("vendor").trim() == VENDOR && read("class").trim().starts_with(DISPLAY)
    })
}
