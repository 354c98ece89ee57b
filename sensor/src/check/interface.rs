//! The interface that is to be watched.

use super::Line;
use super::mend::Fix;
use crate::capture::nic::{self, Nic, mtu};
use crate::capture::{CaptureConfig, Mode, XdpMode};

/// What is known about it, with the interface itself if it exists.
pub(super) fn lines(capture: &CaptureConfig) -> (Option<Nic>, Vec<Line>) {
    let Some(name) = &capture.interface else {
        let candidates = match nic::list() {
            Ok(nics) => nics.into_iter().filter(|nic| nic.name != "lo").map(|nic| nic.name).collect(),
            Err(_) => Vec::new(),
        };
        let remedy = format!("set capture.interface or --interface; there are: {}", candidates.join(", "));
        return (None, vec![Line::fail("interface", "none is set").advise(remedy)]);
    };
    match nic::find(name) {
        Ok(nic) => {
            let lines = facts(&nic, capture);
            (Some(nic), lines)
        }
        Err(error) => {
            let remedy = "set capture.interface or --interface";
            (None, vec![Line::fail("interface", error.to_string()).run("ip link").advise(remedy)])
        }
    }
}

pub(super) fn facts(nic: &Nic, capture: &CaptureConfig) -> Vec<Line> {
    vec![named(nic), link(nic, capture.mode), mtu(nic, capture.xdp), route(nic, capture.mode)]
}

/// Kinds that gather other interfaces.
const GATHERED: [&str; 3] = ["bond", "team", "bridge"];

fn named(nic: &Nic) -> Line {
    let driver = if nic.driver.is_empty() { "unknown driver" } else { &nic.driver };
    let queues = nic.rx_queues;
    let found = format!("{}: {driver}, {queues} receive queue{}", nic.name, plural(queues));
    if GATHERED.contains(&nic.driver.as_str()) {
        return Line::warn("interface", format!("{found}; it has no NIC of its own"))
            .advise("watch the interfaces under it, each with a sensor (vesper@eth1, vesper@eth2)");
    }
    Line::ok("interface", found)
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A host's own interface may be down for a reason; a mirror port has none.
fn link(nic: &Nic, mode: Mode) -> Line {
    match (nic.admin_up, nic.link_up) {
        (_, true) => Line::ok("link", "up"),
        (false, _) => {
            let line = Line::warn("link", format!("{} is set down", nic.name));
            match mode {
                Mode::Mirror if !nic.holds_default_route => line.mended_by(Fix::Up(nic.clone())),
                _ => line.run(format!("ip link set {} up", nic.name)),
            }
        }
        (true, false) => Line::warn("link", format!("{} has no carrier", nic.name))
            .run(format!("ethtool {}", nic.name))
            .advise("look at the cable, the transceiver and the mirror port of the switch"),
    }
}

fn mtu(nic: &Nic, xdp: XdpMode) -> Line {
    let fits =
        || format!("{}; native XDP has room for {} in one buffer", nic.mtu, mtu::native_limit(&nic.driver));
    if xdp == XdpMode::Generic || !mtu::needs_frags(nic) {
        return Line::ok("mtu", fits());
    }
    let (why, remedy) = mtu::refused(nic).unwrap_or_else(|| (fits(), String::new()));
    match nic.xdp() {
        Some(support) if support.frags => Line::ok("mtu", format!("{why}; several buffers will be used")),
        None => Line::warn("mtu", format!("{why}; several buffers will be tried")).advise(remedy),
        Some(_) if xdp == XdpMode::Native => {
            Line::fail("mtu", format!("{why}, and knows no second one")).advise(remedy)
        }
        Some(_) => {
            Line::warn("mtu", format!("{why}, and knows no second one: XDP will be generic")).advise(remedy)
        }
    }
}

fn route(nic: &Nic, mode: Mode) -> Line {
    if nic.loopback && mode == Mode::Mirror {
        let found =
            format!("{} is the loopback: mirror mode would cut this machine's own programs off", nic.name);
        return Line::fail("route", found)
            .advise("use --mode host, or an interface that only receives copies");
    }
    match (nic.holds_default_route, mode) {
        (true, Mode::Mirror) => Line::fail(
            "route",
            format!(
                "{} holds the default route: mirror mode drops what it has counted and would cut it",
                nic.name
            ),
        )
        .advise("use --mode host, or another interface that only receives copies"),
        (true, Mode::Host) => Line::ok("route", "holds the default route; host mode lets every packet pass"),
        (false, Mode::Mirror) => Line::ok("route", "no default route leaves through it"),
        (false, Mode::Host) => Line::ok("route", "host mode lets every packet pass"),
    }
}
