//! How fit the interface is to be watched: what hides packets, what slows their way.

use std::fs::read_to_string;
use std::path::Path;

use super::Line;
use crate::capture::nic::{Nic, XdpSupport, prepare, rss};
use crate::capture::{CaptureConfig, HugePages, Mode, NicRings, XdpMode, ZeroCopy, queues};

/// Sockets that the XDP program has room for.
const MOST_QUEUES: u32 = 256;

/// XDP, and for a mirror port what it takes to see every packet.
pub(super) fn lines(nic: &Nic, capture: &CaptureConfig, state_dir: &Path) -> Vec<Line> {
    let support = nic.xdp();
    let mut lines = vec![native(support, capture.xdp)];
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
    lines.push(zero_copy(support, capture));
    lines.push(huge_pages(queues::huge_pages(capture, nic), free_huge_pages(), capture.huge_pages));
    lines.push(numa(nic));
    if let Some((interface, changes)) = prepare::left_over(state_dir) {
        let found =
            format!("{changes} settings of {interface} are changed by a sensor that runs, or was killed");
        lines.push(Line::ok("prepared", format!("{found}; its stop, or the next start, puts them back")));
    }
    lines
}

pub(super) fn native(support: Option<XdpSupport>, xdp: XdpMode) -> Line {
    match (support, xdp) {
        (_, XdpMode::Generic) => Line::ok("native xdp", "not asked for: capture.xdp = \"generic\""),
        (Some(support), _) if support.native => Line::ok(
            "native xdp",
            if support.frags { "the driver has it, for jumbo frames too" } else { "the driver has it" },
        ),
        (Some(_), XdpMode::Native) => {
            Line::fail("native xdp", "this driver has none", "set capture.xdp = \"auto\"")
        }
        (Some(_), XdpMode::Auto) => Line::warn(
            "native xdp",
            "this driver has none, or not now: the program will run in the network stack, slower",
            "on a veth: no fewer receive queues than the other end has for sending (ethtool -L); else another NIC",
        ),
        (None, _) => Line::ok("native xdp", "the kernel does not tell before Linux 6.3; it will be tried"),
    }
}

pub(super) fn queue_count(nic: &Nic, cpus: u32) -> Line {
    let (name, queues) = (&nic.name, nic.rx_queues.max(1));
    let found = format!("{queues} in use, one thread each, {cpus} CPUs");
    let fewer = format!("ethtool -L {name} combined {}", cpus.min(MOST_QUEUES));
    if queues > MOST_QUEUES {
        Line::fail("queues", format!("{queues}: the sensor reads {MOST_QUEUES} at most"), fewer)
    } else if queues > cpus {
        Line::warn("queues", format!("{found}: threads share CPUs"), fewer)
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
        Some(false) => Line::warn(
            "rss",
            format!("not symmetric: {split}"),
            format!(
                "ethtool -X {name} xfrm symmetric-xor, or a key of 6d:5a repeated; or capture.prepare_nic = true"
            ),
        ),
        None => Line::ok("rss", format!("{name}'s driver does not tell; perhaps {split}")),
    }
}

pub(super) fn offloads(nic: &Nic, hiding: &[(&str, &str, bool)], prepare: bool) -> Line {
    let names = |free: bool| {
        let of = hiding.iter().filter(|(.., changeable)| *changeable == free);
        of.map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
    };
    let fixed = hiding.iter().find(|(.., changeable)| !changeable);
    if let Some((name, why, _)) = fixed {
        let found = format!("{} cannot be switched off: {name} {why}", names(false));
        return Line::warn("offloads", found, "for what it hides, watch the port with another NIC");
    }
    match hiding.first() {
        None => Line::ok("offloads", "none that hides packets is on"),
        Some(_) if prepare => Line::ok("offloads", format!("{} will be off while vesper runs", names(true))),
        Some((first, why, _)) => Line::warn(
            "offloads",
            format!("{} on: {first} {why}", names(true)),
            format!("ethtool -K {} {first} off and so on, or capture.prepare_nic = true", nic.name),
        ),
    }
}

pub(super) fn promiscuous(nic: &Nic, prepare: bool) -> Line {
    match (nic.promiscuity, prepare) {
        (1.., _) => Line::ok("promiscuous", "on"),
        (0, true) => Line::ok("promiscuous", "will be on while vesper runs"),
        (0, false) => Line::warn(
            "promiscuous",
            "off: the NIC drops frames for other addresses, on a mirror port all of them",
            format!("ip link set {} promisc on, or capture.prepare_nic = true", nic.name),
        ),
    }
}

fn rings(nic: &Nic, capture: &CaptureConfig) -> Line {
    match nic.rings() {
        None => Line::ok("nic rings", "the driver has none to size"),
        Some(rings) if rings.now >= rings.max => Line::ok("nic rings", format!("{}, the most", rings.now)),
        Some(rings) if capture.prepare_nic && capture.nic_rings == NicRings::Max => {
            Line::ok("nic rings", format!("{}; will be {} while vesper runs", rings.now, rings.max))
        }
        Some(rings) => Line::warn(
            "nic rings",
            format!("{} of {}: bursts may be lost in the NIC", rings.now, rings.max),
            format!("capture.nic_rings = \"max\", or ethtool -G {} rx {}", nic.name, rings.max),
        ),
    }
}

pub(super) fn zero_copy(support: Option<XdpSupport>, capture: &CaptureConfig) -> Line {
    let can = support.map(|support| support.zero_copy && capture.xdp != XdpMode::Generic);
    match (capture.zero_copy, can) {
        (ZeroCopy::Off, _) => Line::ok("zero-copy", "not asked for: samples are copied"),
        (_, Some(true)) => Line::ok("zero-copy", "the driver has it"),
        (ZeroCopy::Require, Some(false)) => Line::fail(
            "zero-copy",
            "capture.zero_copy = \"require\", and this driver has none, or XDP is generic",
            "set capture.zero_copy = \"auto\"",
        ),
        (ZeroCopy::Auto, Some(false)) => Line::ok("zero-copy", "not with this driver: samples are copied"),
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

fn numa(nic: &Nic) -> Line {
    match nic.numa.node {
        None => Line::ok("numa", "the interface belongs to no node: any CPU is near"),
        Some(node) => Line::ok("numa", format!("node {node}: threads and memory go there where they may")),
    }
}
