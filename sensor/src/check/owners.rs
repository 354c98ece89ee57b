//! Others on the interface: XDP programs that are attached, AF_XDP sockets that are bound.

use super::Line;
use crate::capture::nic::{Nic, owners};
use crate::capture::{CaptureConfig, pins};

/// Names of the sensor's own programs.
const OWN: &str = "vesper";

/// Programs and sockets.
pub(super) fn lines(nic: &Nic, capture: &CaptureConfig) -> Vec<Line> {
    let programs = owners::programs(nic).unwrap_or_default();
    let pinned = pins::pinned_program(capture, &nic.name);
    let name = |id| if pinned == Some(id) { Some(OWN.to_owned()) } else { name_of(id) };
    let named: Vec<(u32, Option<String>)> =
        programs.iter().map(|program| (program.id, name(program.id))).collect();
    let own = named.iter().any(|(_, name)| name.as_deref().is_some_and(is_own));
    let queues = owners::sockets(nic).ok();
    vec![other_xdp(&nic.name, &named), af_xdp_users(queues.as_deref(), own)]
}

fn is_own(name: &str) -> bool {
    name.starts_with(OWN)
}

/// Needs CAP_SYS_ADMIN, which a service has not.
fn name_of(id: u32) -> Option<String> {
    let mut programs = aya::programs::loaded_programs().take_while(Result::is_ok).flatten();
    let program = programs.find(|program| program.id() == id)?;
    Some(crate::telemetry::printable(program.name_as_str()?, 20))
}

/// Programs by number, with their names where they are known.
pub(super) fn other_xdp(interface: &str, programs: &[(u32, Option<String>)]) -> Line {
    let shown = |id: &u32, name: &Option<String>| match name {
        Some(name) => format!("program {id} ({name})"),
        None => format!("program {id}"),
    };
    let foreign = programs.iter().find(|(_, name)| name.as_deref().is_some_and(|name| !is_own(name)));
    match (programs.first(), foreign) {
        (None, _) => Line::ok("other xdp", "none is attached"),
        (_, Some((id, name))) => {
            Line::fail("other xdp", format!("{} is attached; vesper leaves it alone", shown(id, name)))
                .run(format!("ip link set dev {interface} xdp off"))
                .advise(format!(
                    "after stopping its owner: `bpftool prog show id {id}`, `bpftool net` tell whose it is"
                ))
        }
        (Some((id, Some(name))), _) => Line::ok(
            "other xdp",
            format!("{}: a sensor runs, or left it for the next", shown(id, &Some(name.clone()))),
        ),
        (Some((id, None)), _) => {
            Line::warn("other xdp", format!("program {id} is attached; only root is told its name"))
                .run(format!("bpftool prog show id {id}"))
                .advise("fine if it is called vesper; else stop its owner")
        }
    }
}

pub(super) fn af_xdp_users(queues: Option<&[u32]>, own: bool) -> Line {
    let list = |queues: &[u32]| queues.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    match queues {
        None => Line::ok("af_xdp users", "the kernel does not tell (CONFIG_XDP_SOCKETS_DIAG)"),
        Some([]) => Line::ok("af_xdp users", "no sockets on this interface"),
        Some(queues) if own => Line::ok("af_xdp users", format!("the sensor's, on queue {}", list(queues))),
        Some(queues) => Line::warn("af_xdp users", format!("sockets on queue {}", list(queues)))
            .run("ss --xdp -p")
            .advise("fine if they are a sensor's that runs; else stop their owner"),
    }
}
