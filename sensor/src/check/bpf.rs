//! What the kernel takes: each kind of map, the XDP program itself, AF_XDP sockets. Tried, not derived from the version.

use aya::maps::MapType;
use aya::sys::is_map_supported;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::{Line, privileges};
use crate::capture::{CaptureError, Frames, Mode, Program, TableSize};

/// Kinds of maps that the program has, and their names.
const MAPS: [(MapType, &str); 5] = [
    (MapType::Array, "array"),
    (MapType::PerCpuArray, "per-CPU array"),
    (MapType::LpmTrie, "LPM trie"),
    (MapType::RingBuf, "ring buffer"),
    (MapType::XskMap, "AF_XDP sockets"),
];

/// The smallest flow table: it is only looked at.
const FEW_FLOWS: u32 = 1024;

/// Characters of the verifier's reason that are shown.
const REASON: usize = 300;

/// Maps, program, sockets.
pub(super) fn lines(mode: Mode) -> Vec<Line> {
    let mut lines = if privileges::may_load(privileges::effective()) {
        let lacking = MAPS.iter().filter(|(kind, _)| matches!(is_map_supported(*kind), Ok(false)));
        let size = TableSize::new(FEW_FLOWS, 1, false);
        let loaded = [Frames::Single, Frames::Multiple]
            .map(|frames| Program::load(size, frames).map(|_unloaded_again| ()));
        vec![maps(&lacking.map(|(_, name)| *name).collect::<Vec<_>>()), program(loaded)]
    } else {
        ["bpf maps", "xdp program"].map(|name| Line::ok(name, "not tried: see capabilities")).to_vec()
    };
    if mode == Mode::Mirror {
        lines
            .push(af_xdp(socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None).err()));
    }
    lines
}

pub(super) fn maps(lacking: &[&str]) -> Line {
    if lacking.is_empty() {
        return Line::ok("bpf maps", MAPS.map(|(_, name)| name).join(", "));
    }
    Line::fail("bpf maps", format!("the kernel has no {}", lacking.join(", ")))
        .advise("use a distribution's kernel from 5.18 on, or build it with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS")
}

/// With frames of one buffer, and of several.
pub(super) fn program(loaded: [Result<(), CaptureError>; 2]) -> Line {
    match loaded {
        [Ok(()), Ok(())] => Line::ok("xdp program", "the kernel takes it (loaded, not attached)"),
        [Ok(()), Err(error)] => {
            Line::warn("xdp program", format!("not for jumbo frames: {}", reason(&error)))
                .advise("fine where the MTU fits into one buffer; else a newer kernel")
        }
        [Err(error), _] => Line::fail("xdp program", format!("refused: {}", reason(&error)))
            .advise("RUST_LOG=debug vesper run shows the verifier's whole log; a newer kernel often helps"),
    }
}

fn reason(error: &CaptureError) -> String {
    crate::telemetry::printable(&error.to_string(), REASON)
}

pub(super) fn af_xdp(error: Option<Errno>) -> Line {
    match error {
        None => Line::ok("af_xdp", "there"),
        Some(Errno::PERM) => Line::ok("af_xdp", "there, and closed to this user: see capabilities"),
        Some(Errno::AFNOSUPPORT) => Line::fail("af_xdp", "missing in this kernel, or not allowed here").advise(
            "use a kernel with CONFIG_XDP_SOCKETS and allow AF_XDP (systemd RestrictAddressFamilies), or --mode host",
        ),
        Some(error) => {
            Line::fail("af_xdp", format!("no socket: {error}")).advise("use --mode host, which needs none")
        }
    }
}
