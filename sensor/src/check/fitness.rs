//! How fit the interface is to be watched: what hides packets, what slows their way.

use std::fs::read_to_string;
use std::path::Path;

use super::mend::Fix;
use super::{Line, drivers, interrupts, kernel};
use crate::capture::nic::{Nic, XdpSupport, prepare, rss};
use crate::capture::{CaptureConfig, HugePages, Mode, NicRings, XdpMode, ZeroCopy, queues};

/// Sockets that the XDP program has room for.
const MOST_QUEUES: u32 = 256;

/// XDP, and for a mirror port what it takes to see every packet.
pub(super) fn lines(nic: &Nic, capture: &CaptureConfig, state_dir: &Path) -> Vec<Line> {
    let support = nic.xdp();
    let version = kernel::version(&kernel::release());
    let mut lines = vec![native(&nic.driver, support, capture.xdp, version)];
    if capture.mode == Mode::Host {
        return lines;
    }
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    lines.push(queue_count(nic, cpus));
    if nic.rx_queues > 1 {
        lines.push(symmetry(nic, rss::symmetric(&nic.name).ok(), capture.prepare_nic));
    }
    let hiding = prepare::hiding(nic).unwrap_or_default();
    lines.push(offloads(nic, &hiding, capture.prepare_nic));
    lines.push(promiscuous(nic, capture.prepare_nic));
    lines.push(rings(nic, capture));
    lines.push(zero_copy(&nic.driver, support, capture, version));
    lines.push(huge_pages(queues::huge_pages(capture, nic), free_huge_pages(), capture.huge_pages));
    let allowed = queues::allowed_cpus();
    lines.push(numa(nic, &allowed));
    lines.extend(interrupts::line(nic));
    if let Some((interface, changes)) = prepare::left_over(state_dir) {
        let found =
            format!("{changes} settings of {interface} are changed by a sensor that runs, or was killed");
        lines.push(Line::ok("prepared", format!("{found}; its stop, or the next start, puts them back")));
    }
    lines
}

pub(super) fn native(
    driver: &str,
    support: Option<XdpSupport>,
    xdp: XdpMode,
    version: kernel::Version,
) -> Line {
    let later = drivers::native_since(driver).filter(|since| *since > version);
    let elsewhere = match (driver, later) {
        ("veth", _) => {
            "no fewer receive queues here than the other end has for sending (ethtool -L)".to_owned()
        }
        (_, Some((major, minor))) => {
            format!("{driver} has it from Linux {major}.{minor} on: boot a newer kernel")
        }
        (_, None) => {
            "use a NIC whose driver has it: ixgbe, i40e, ice, igc, mlx5_core, bnxt_en, ...".to_owned()
        }
    };
    match (support, xdp) {
        (_, XdpMode::Generic) => Line::ok("native xdp", "not asked for: capture.xdp = \"generic\""),
        (Some(support), _) if support.native => Line::ok(
            "native xdp",
            if support.frags { "the driver has it, for jumbo frames too" } else { "the driver has it" },
        ),
        (Some(_), XdpMode::Native) => {
            Line::fail("native xdp", "this driver has none, or not as it is set up now")
                .advise(format!("set capture.xdp = \"auto\", or: {elsewhere}"))
        }
        (Some(_), XdpMode::Auto) => {
            let found = "none now: the program will run in the network stack, slower, and count the same";
            Line::warn("native xdp", found).advise(elsewhere)
        }
        // Before Linux 6.3 the kernel does not tell.
        (None, _) => match (drivers::native_since(driver), later) {
            (Some((major, minor)), None) => {
                Line::ok("native xdp", format!("{driver} has it since Linux {major}.{minor}"))
            }
            (_, Some(_)) => {
                Line::warn("native xdp", "this kernel's driver has none: slower").advise(elsewhere)
            }
            (None, None) => {
                Line::ok("native xdp", "the kernel does not tell before Linux 6.3; it will be tried")
            }
        },
    }
}

pub(super) fn queue_count(nic: &Nic, cpus: u32) -> Line {
    let (name, queues) = (&nic.name, nic.rx_queues.max(1));
    let found = format!("{queues} in use, one thread each, {cpus} CPU{}", if cpus == 1 { "" } else { "s" });
    let fewer = format!("ethtool -L {name} combined {}", cpus.min(MOST_QUEUES));
    if queues > MOST_QUEUES {
        Line::fail("queues", format!("{queues}: the sensor reads {MOST_QUEUES} at most")).run(fewer)
    } else if queues > cpus {
        Line::warn("queues", format!("{found}: threads share CPUs")).run(fewer)
    } else {
        Line::ok("queues", found)
    }
}

pub(super) fn symmetry(nic: &Nic, symmetric: Option<bool>, prepare: bool) -> Line {
    let split = "the two directions of a connection come to different queues: counted right, scored later";
    let name = &nic.name;
    match symmetric {
        Some(true) => Line::ok("rss", "symmetric"),
        Some(false) if prepare => Line::ok("rss", "not symmetric; tried to be made so while vesper runs"),
        Some(false) => Line::warn("rss", format!("not symmetric: {split}"))
            .run(format!("ethtool -X {name} xfrm symmetric-xor"))
            .advise("a key of 6d:5a repeated does the same (ethtool -X NIC hkey); capture.prepare_nic = true does it"),
        None => Line::ok("rss", format!("{name}'s driver does not tell; perhaps {split}")),
    }
}

pub(super) fn offloads(nic: &Nic, hiding: &[(&'static str, &str, bool)], prepare: bool) -> Line {
    let names = |free: bool| {
        let of = hiding.iter().filter(|(.., changeable)| *changeable == free);
        of.map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
    };
    let why = hiding.iter().map(|(name, why, _)| format!("{name} {why}")).collect::<Vec<_>>().join("; ");
    let changeable: Vec<&'static str> =
        hiding.iter().filter(|(.., changeable)| *changeable).map(|(name, ..)| *name).collect();
    if hiding.iter().any(|(.., changeable)| !changeable) {
        return Line::warn("offloads", format!("{} cannot be switched off: {why}", names(false)))
            .advise("for what it hides, watch the port with another NIC");
    }
    match hiding {
        [] => Line::ok("offloads", "none that hides packets is on"),
        _ if prepare => Line::ok("offloads", format!("{} will be off while vesper runs", names(true))),
        _ => Line::warn("offloads", format!("on: {why}"))
            .mended_by(Fix::OffloadsOff(nic.clone(), changeable))
            .advise("capture.prepare_nic = true does it while vesper runs"),
    }
}

pub(super) fn promiscuous(nic: &Nic, prepare: bool) -> Line {
    match (nic.promiscuity, prepare) {
        (1.., _) => Line::ok("promiscuous", "on"),
        (0, true) => Line::ok("promiscuous", "will be on while vesper runs"),
        (0, false) => Line::warn("promiscuous", "off")
            .mended_by(Fix::Promiscuous(nic.clone()))
            .advise("capture.prepare_nic = true does it while vesper runs"),
    }
}

fn rings(nic: &Nic, capture: &CaptureConfig) -> Line {
    match nic.rings() {
        None => Line::ok("nic rings", "the driver has none to size"),
        Some(rings) if rings.now >= rings.max => Line::ok("nic rings", format!("{}, the most", rings.now)),
        Some(rings) if capture.prepare_nic && capture.nic_rings == NicRings::Max => {
            Line::ok("nic rings", format!("{}; will be {} while vesper runs", rings.now, rings.max))
        }
        Some(rings) => Line::warn("nic rings", format!("{} of {}", rings.now, rings.max))
            .run(format!("ethtool -G {} rx {}", nic.name, rings.max))
            .advise("the link may restart; capture.nic_rings = \"max\" does it while vesper runs"),
    }
}

pub(super) fn zero_copy(
    driver: &str,
    support: Option<XdpSupport>,
    capture: &CaptureConfig,
    version: kernel::Version,
) -> Line {
    let later = match drivers::zero_copy_since(driver) {
        Some((major, minor)) if (major, minor) > version => format!("; it has from Linux {major}.{minor} on"),
        _ => String::new(),
    };
    let can = support.map(|support| support.zero_copy && capture.xdp != XdpMode::Generic);
    match (capture.zero_copy, can) {
        (ZeroCopy::Off, _) => Line::ok("zero-copy", "not asked for: samples are copied"),
        (_, Some(true)) => Line::ok("zero-copy", "the driver has it"),
        (ZeroCopy::Require, Some(false)) => {
            let found = "capture.zero_copy = \"require\", and this driver has none, or XDP is generic";
            Line::fail("zero-copy", format!("{found}{later}")).advise("set capture.zero_copy = \"auto\"")
        }
        (ZeroCopy::Auto, Some(false)) => {
            Line::ok("zero-copy", format!("not with this driver: samples are copied{later}"))
        }
        (_, None) => Line::ok("zero-copy", "the kernel does not tell before Linux 6.3; it will be tried"),
    }
}

/// Free huge pages of 2 MiB.
fn free_huge_pages() -> u64 {
    let free = read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    free.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

pub(super) fn huge_pages(need: u64, free: u64, choice: HugePages) -> Line {
    let found = match choice {
        HugePages::Off => "not asked for".to_owned(),
        HugePages::Auto if free >= need => format!("{need} of {free} free ones will be used"),
        // Not worth a warning: they save some percent, and few machines reserve any.
        HugePages::Auto => {
            format!("{free} free of {need}: normal pages will be used (or: sysctl -w vm.nr_hugepages={need})")
        }
    };
    Line::ok("huge pages", found)
}

pub(super) fn numa(nic: &Nic, allowed: &[usize]) -> Line {
    let Some(node) = nic.numa.node else {
        return Line::ok("numa", "the interface belongs to no node: any CPU is near");
    };
    let near = nic.numa.cpus.iter().filter(|cpu| allowed.contains(cpu)).count();
    if near == 0 && !nic.numa.cpus.is_empty() {
        return Line::warn("numa", format!("the NIC is at node {node}, and none of its CPUs is allowed here"))
            .advise("let the sensor use them: CPUAffinity= or AllowedCPUs= of the unit, taskset, the container's cpuset");
    }
    let queues = nic.rx_queues as usize;
    if near > 0 && queues > near {
        let found =
            format!("node {node} has {near} CPUs for {queues} queues: the other threads are far away");
        return Line::warn("numa", found).run(format!("ethtool -L {} combined {near}", nic.name));
    }
    Line::ok("numa", format!("node {node}: threads and memory go there where they may"))
}
