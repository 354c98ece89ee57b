//! The receive threads: samples from an AF_XDP socket or from the sample ring buffer to the analysis.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sensor_ebpf::sample::{HOST_SNAP, SampleMeta};

use super::clock::Clock;
use super::counters::CaptureCounters;
use super::xsk::XskQueue;
use super::{Event, Link, Sample, queues};

/// Samples in a batch.
const BATCH: u32 = 256;

/// Between waking and reading, so that samples come in batches: waking for each costs more than all that is done
/// with it. A ring of 2048 entries lasts so long at 4 million samples a second.
const GATHER: Duration = Duration::from_micros(500);

/// Between two polls that a reader makes itself, after one that brought nothing.
const BETWEEN_POLLS: Duration = Duration::from_micros(50);

/// How often an idle thread looks whether it should stop, nanoseconds.
const WAKE: i64 = 100_000_000;

/// Where a receive thread puts samples.
pub(super) struct Outlet {
    pub(super) events: SyncSender<Queued>,
    /// Batches of all receive threads in the event queue.
    pub(super) outstanding: Arc<AtomicUsize>,
    /// How many of them there may be.
    pub(super) limit: usize,
    pub(super) counters: Arc<CaptureCounters>,
    pub(super) queue: usize,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) clock: Clock,
}

impl Outlet {
    /// Hands a batch on, or sheds it: scoring never blocks capture.
    fn hand_on(&self, samples: Vec<Sample>) {
        let counters = &self.counters.queues[self.queue];
        let count = samples.len() as u64;
        counters.delivered.fetch_add(count, Relaxed);
        if count == 0 {
            return;
        }
        if self.outstanding.fetch_add(1, Relaxed) >= self.limit {
            self.outstanding.fetch_sub(1, Relaxed);
            counters.shed.fetch_add(count, Relaxed);
            return;
        }
        let queued =
            Queued { event: Event::Samples(samples), _in_flight: Some(InFlight(self.outstanding.clone())) };
        if self.events.try_send(queued).is_err() {
            counters.shed.fetch_add(count, Relaxed);
        }
    }
}

/// An event on its way to the analysis.
#[derive(Debug)]
pub struct Queued {
    /// The event.
    pub event: Event,
    _in_flight: Option<InFlight>,
}

impl Queued {
    /// Part of a drain: never limited by the number of sample batches.
    pub(super) fn drained(event: Event) -> Queued {
        Queued { event, _in_flight: None }
    }
}

/// Counts a batch of samples while it is in the event queue.
#[derive(Debug)]
struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Reads an AF_XDP socket until told to stop, and then until it is empty.
pub(super) fn from_socket(mut socket: XskQueue, outlet: Outlet, cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        queues::pin(cpu);
    }
    loop {
        let stopping = outlet.stop.load(Relaxed);
        if socket.busy_poll() {
            socket.drive();
        }
        let mut samples = Vec::with_capacity(BATCH as usize);
        let offset = outlet.clock.offset;
        let received = socket.receive(BATCH, |meta, frame| samples.push(sample(meta, frame, offset)));
        outlet.hand_on(samples);
        outlet.counters.queues[outlet.queue].oversize.store(socket.oversize(), Relaxed);
        if received == 0 {
            if stopping {
                return;
            }
            if socket.busy_poll() {
                thread::sleep(BETWEEN_POLLS);
            } else {
                wait(socket.as_fd());
            }
        }
    }
}

/// Reads the sample ring buffer until told to stop, and then until it is empty.
pub(super) fn from_ring_buffer(mut ring: RingBuf<MapData>, outlet: Outlet) {
    const META: usize = size_of::<SampleMeta>();
    loop {
        let stopping = outlet.stop.load(Relaxed);
        let mut samples = Vec::with_capacity(BATCH as usize);
        while samples.len() < BATCH as usize
            && let Some(record) = ring.next()
        {
            let Some((meta, data)) = record.split_first_chunk::<META>() else {
                continue;
            };
            let word = |at: usize| u32::from_ne_bytes([meta[at], meta[at + 1], meta[at + 2], meta[at + 3]]);
            let time = u64::from(word(0)) | (u64::from(word(4)) << 32);
            let meta =
                SampleMeta { time, wire_len: word(8), captured_len: word(12), weight: word(16), _pad: 0 };
            let len = (meta.captured_len as usize).min(HOST_SNAP).min(data.len());
            samples.push(sample(meta, Bytes::copy_from_slice(&data[..len]), outlet.clock.offset));
        }
        let received = samples.len();
        outlet.hand_on(samples);
        if received == 0 {
            if stopping {
                return;
            }
            wait(ring.as_fd());
        }
    }
}

fn sample(meta: SampleMeta, frame: Bytes, offset: u64) -> Sample {
    Sample {
        time: meta.time + offset,
        wire_len: meta.wire_len,
        weight: meta.weight,
        link: Link::Ethernet,
        frame,
    }
}

/// Waits for packets, a tenth of a second at most. Only for input: waiting for output too would spin, as an
/// AF_XDP socket that never sends is always ready for it.
fn wait(fd: BorrowedFd<'_>) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: WAKE };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    // An interrupted wait is as good as a short one.
    if poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
        thread::sleep(GATHER);
    }
}
