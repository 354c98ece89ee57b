//! The receive queues of an interface: an AF_XDP socket for each, its memory and its thread near the NIC.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::config::{CaptureConfig, HugePages, NicRings};
use super::error::{CaptureError, PERMISSION_HINT};
use super::nic::{Nic, Rings};
use super::xsk::{HUGE_PAGE, QueueOptions, XskQueue, ZeroCopy};

/// Bytes of a frame of the memory that samples are received into.
const FRAME: u64 = 4096;

/// A queue as it turned out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Queue {
    /// Whether samples arrive without a copy.
    pub zero_copy: bool,
    /// Whether they arrive in huge pages.
    pub huge_pages: bool,
    /// Whether its thread drives the driver.
    pub busy_poll: bool,
    /// The CPU that its thread stays on; absent where it may move.
    pub cpu: Option<usize>,
}

/// A socket for each receive queue, with the CPU its thread is to stay on.
///
/// An interface may have room for more queues than it uses (a veth has one a CPU, and uses one); the kernel refuses
/// the unused ones as invalid, and they are the last ones. `frags`: the program may hand over packets of several
/// frames.
pub(super) fn open(
    config: &CaptureConfig,
    nic: &Nic,
    frags: bool,
) -> Result<Vec<(XskQueue, Queue)>, CaptureError> {
    let options = QueueOptions {
        rx_entries: config.ring_entries,
        frames: frames(config, nic),
        zero_copy: config.zero_copy,
        huge_pages: config.huge_pages == HugePages::Auto,
        frags,
        busy_poll: config.busy_poll,
    };
    let allowed = allowed_cpus();
    let near = nic.numa.among(&allowed);
    // Memory comes from the node of the thread that registers it.
    let moved = near.len() < allowed.len() && stay_on(&near).is_ok();
    let sockets = bind_all(nic, &options);
    if moved && let Err(error) = stay_on(&allowed) {
        tracing::warn!(%error, "the main thread stays on the CPUs near the interface");
    }
    let sockets = sockets?;
    let queues = sockets.into_iter().enumerate().map(|(queue, socket)| {
        let facts = Queue {
            zero_copy: socket.zero_copy(),
            huge_pages: socket.huge_pages(),
            busy_poll: socket.busy_poll(),
            cpu: if config.pin_cpus { near.get(queue % near.len().max(1)).copied() } else { None },
        };
        (socket, facts)
    });
    Ok(queues.collect())
}

/// Frames of a queue: the fill ring must not run empty before the RX ring is full. A driver without copy fills its own
/// ring with them on top.
pub fn frames(config: &CaptureConfig, nic: &Nic) -> u32 {
    /// Memory is locked; the largest rings there are have 16,384 entries.
    const LARGEST_RING: u32 = 32_768;
    let never = config.zero_copy == ZeroCopy::Off || nic.xdp().is_some_and(|support| !support.zero_copy);
    let size = |rings: Rings| if config.nic_rings == NicRings::Max { rings.max } else { rings.now };
    let own = if never { 0 } else { nic.rings().map_or(0, size).min(LARGEST_RING) };
    config.ring_entries * 2 + own
}

/// Bytes that the samples of one queue are received into.
pub fn bytes(config: &CaptureConfig, nic: &Nic) -> u64 {
    u64::from(frames(config, nic)) * FRAME
}

/// Huge pages that those of all queues take.
pub fn huge_pages(config: &CaptureConfig, nic: &Nic) -> u64 {
    bytes(config, nic).div_ceil(HUGE_PAGE as u64) * u64::from(nic.rx_queues.max(1))
}

/// Pins the calling thread to one CPU.
pub(super) fn pin(cpu: usize) {
    if let Err(error) = stay_on(&[cpu]) {
        tracing::warn!(cpu, %error, "could not pin the receive thread to a CPU");
    }
}

fn stay_on(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// The CPUs this process may use.
pub fn allowed_cpus() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect()
}

fn bind_all(nic: &Nic, options: &QueueOptions) -> Result<Vec<XskQueue>, CaptureError> {
    let mut sockets = Vec::new();
    for queue in 0..nic.rx_queues.max(1) as usize {
        match bind(nic, queue, options) {
            Ok(socket) => sockets.push(socket),
            Err(CaptureError::Socket { source, .. })
                if queue > 0 && source.raw_os_error() == Some(libc::EINVAL) =>
            {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// A queue that was just released needs a moment before it can be bound again.
fn bind(nic: &Nic, queue: usize, options: &QueueOptions) -> Result<XskQueue, CaptureError> {
    let mut attempt = 0;
    loop {
        match XskQueue::new(nic.index, queue as u32, options) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempt < 20 => {
                attempt += 1;
                thread::sleep(Duration::from_millis(100));
            }
            Err(source) => return Err(error(nic, queue, source, options.zero_copy)),
        }
    }
}

/// The error of one queue, with what to do.
pub(super) fn error(nic: &Nic, queue: usize, source: io::Error, zero_copy: ZeroCopy) -> CaptureError {
    let hint = match source.raw_os_error() {
        Some(libc::EPERM) => PERMISSION_HINT,
        Some(libc::EBUSY) => "; another AF_XDP socket has this queue: is another sensor running?",
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "; not enough memory may be locked: raise LimitMEMLOCK, or lower capture.ring_entries"
        }
        Some(libc::EOPNOTSUPP | libc::EINVAL) if zero_copy == ZeroCopy::Require => {
            "; capture.zero_copy = \"require\", and this driver cannot (it needs native XDP too): set \"auto\""
        }
        _ => "",
    };
    CaptureError::Socket { interface: nic.name.clone(), queue: queue as u32, source, hint }
}
