//! The kernel: its version, what that brings, and its switches for BPF.

use std::fs::read_to_string;
use std::path::Path;

use super::Line;
use super::mend::Fix;

/// The helpers of the XDP program are all there from this version on.
const OLDEST: Version = (5, 18);

/// What newer kernels bring, that the sensor makes use of.
const FEATURES: [(Version, &str); 3] = [
    ((6, 3), "drivers tell what their XDP can do"),
    ((6, 6), "jumbo frames through AF_XDP"),
    ((6, 8), "symmetric RSS made by the NIC"),
];

/// The switch of the compiler.
pub(super) const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";

/// Major and minor.
pub(super) type Version = (u32, u32);

/// Version and switches.
pub(super) fn lines() -> Vec<Line> {
    let release = release();
    let version = version(&release);
    let unprivileged = read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").ok();
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    vec![
        kernel(&release),
        features(version, btf),
        jit(read_to_string(JIT).ok().as_deref()),
        unprivileged_bpf(unprivileged.as_deref()),
    ]
}

/// As `uname -r` says it.
pub(super) fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

pub(super) fn version(release: &str) -> Version {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

pub(super) fn kernel(release: &str) -> Line {
    if version(release) >= OLDEST {
        return Line::ok("kernel", format!("Linux {release}"));
    }
    let (major, minor) = OLDEST;
    Line::fail("kernel", format!("Linux {release} is too old")).advise(format!(
        "boot a kernel from {major}.{minor} on; Debian: apt install linux-image-amd64 from backports"
    ))
}

pub(super) fn features(version: Version, btf: bool) -> Line {
    let lacks: Vec<String> = FEATURES
        .iter()
        .filter(|(since, _)| version < *since)
        .map(|((major, minor), what)| format!("{what} ({major}.{minor})"))
        .collect();
    // Nothing here needs BTF; bpftool shows the maps with names of fields by it.
    let btf = if btf { "BTF is there" } else { "no BTF, which nothing here needs" };
    match lacks.as_slice() {
        [] => Line::ok("features", format!("all that the sensor can use; {btf}")),
        lacks => Line::ok("features", format!("newer kernels have: {}; {btf}", lacks.join(", "))),
    }
}

pub(super) fn jit(enabled: Option<&str>) -> Line {
    match enabled.map(str::trim) {
        Some("1" | "2") => Line::ok("bpf jit", "on"),
        Some(_) => Line::warn("bpf jit", "off: the XDP program is interpreted").mended_by(Fix::Jit),
        // The file belongs to the first network namespace.
        None => Line::ok("bpf jit", "not shown inside a network namespace"),
    }
}

pub(super) fn unprivileged_bpf(disabled: Option<&str>) -> Line {
    match disabled.map(str::trim) {
        Some("0") => Line::warn("unprivileged", "every user may load BPF programs")
            .run("sysctl -w kernel.unprivileged_bpf_disabled=2")
            .advise("put it into /etc/sysctl.d too, unless other programs need it"),
        Some(_) => Line::ok("unprivileged", "only privileged users may load BPF programs"),
        None => Line::ok("unprivileged", "not shown here"),
    }
}
