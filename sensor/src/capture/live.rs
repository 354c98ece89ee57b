//! The live source: an interface, the program on it, and the threads that read what the program leaves.
//!
//! Threads: one for each receive queue (`mirror`) or one for the ring buffer (`host`), and one that drains the
//! flow map. All hand on through one bounded queue. The receive threads never wait for it: samples are shed and
//! counted. The drain may: the counters in the map are cumulative, so a late drain loses nothing.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sensor_ebpf::control::{Control, mode};

use super::buffers::Buffers;
use super::clock::{Clock, monotonic};
use super::config::{CaptureConfig, Mode};
use super::counters::{CaptureCounters, QueueCounters};
use super::drain::Drain;
use super::error::CaptureError;
use super::nic::{self, Nic, NicError};
use super::program::{Program, XdpAttached};
use super::receive::{self, Outlet, Queued};
use super::xsk::{StatisticsReader, XskQueue};
use super::{Event, FLOW_BATCH, FlowDelta, Tick};

/// Room in the event queue beyond the sample batches, so that a drain finds some however many samples come.
pub const TICK_ROOM: usize = 64;

/// How long packets may still be on their way through a program that was just detached.
const SETTLE: Duration = Duration::from_millis(50);

/// A running capture.
pub struct Live {
    /// How the program is attached.
    pub attached: XdpAttached,
    /// The interface.
    pub interface: String,
    /// Receive queues read; 0 in `host` mode.
    pub queues: usize,
    /// The source's clock.
    pub clock: Clock,
    /// What the threads count.
    pub counters: Arc<CaptureCounters>,
    /// Where read events are given back.
    pub buffers: Buffers,
    stop_drain: Arc<AtomicBool>,
    stop_receive: Arc<AtomicBool>,
    drain: JoinHandle<Drainer>,
    receivers: Vec<JoinHandle<()>>,
    events: SyncSender<Queued>,
}

/// Nobody reads events any more.
struct Disconnected;

/// What the drain thread owns.
struct Drainer {
    program: Program,
    drain: Drain,
    statistics: Vec<StatisticsReader>,
    clock: Clock,
    counters: Arc<CaptureCounters>,
    buffers: Buffers,
    ifindex: u32,
}

impl Live {
    /// Attaches to the interface and starts reading. `events` should have room for
    /// `capture.queue_batches` + [`TICK_ROOM`].
    pub fn start(
        config: &CaptureConfig,
        nic: &Nic,
        events: SyncSender<Queued>,
    ) -> Result<Live, CaptureError> {
        if config.mode == Mode::Mirror && nic.holds_default_route {
            return Err(CaptureError::DefaultRoute { name: nic.name.clone() });
        }
        if config.mode == Mode::Mirror && nic.loopback {
            return Err(CaptureError::Loopback { name: nic.name.clone() });
        }
        let mut program = Program::load(config.flow_map_entries)?;
        // Attach before bind: some drivers only then have the queues that AF_XDP wants (gve).
        let attached = program.attach(&nic.name, nic.index, config.xdp)?;
        let sockets =
            if config.mode == Mode::Mirror { bind_all(nic, config.ring_entries)? } else { Vec::new() };
        let queues = sockets.len();
        let clock = Clock::new();
        let counters = Arc::new(CaptureCounters {
            queues: (0..queues.max(1)).map(|_| QueueCounters::default()).collect(),
            ..CaptureCounters::default()
        });
        counters.attached.store(true, Relaxed);
        counters.link_up.store(nic.link_up, Relaxed);
        let stop_receive = Arc::new(AtomicBool::new(false));
        let outstanding = Arc::new(AtomicUsize::new(0));
        let outlet = |queue| Outlet {
            events: events.clone(),
            outstanding: outstanding.clone(),
            limit: config.queue_batches as usize,
            counters: counters.clone(),
            queue,
            stop: stop_receive.clone(),
            clock,
        };
        let mut receivers = Vec::new();
        let mut statistics = Vec::new();
        match config.mode {
            Mode::Mirror => {
                for (queue, socket) in sockets.into_iter().enumerate() {
                    statistics.push(socket.statistics().map_err(|source| socket_error(nic, queue, source))?);
                    program
                        .sockets
                        .set(queue as u32, socket.as_raw_fd(), 0)
                        .map_err(|source| CaptureError::Map { map: "XSKS", source })?;
                    let (outlet, pin) = (outlet(queue), config.pin_cpus);
                    receivers.push(spawn(format!("rx-{queue}"), move || {
                        receive::from_socket(socket, outlet, pin)
                    })?);
                }
            }
            Mode::Host => {
                let samples = program.take_samples()?;
                let outlet = outlet(0);
                receivers
                    .push(spawn("rx-host".to_owned(), move || receive::from_ring_buffer(samples, outlet))?);
            }
        }
        program.set_control(Control {
            mode: if config.mode == Mode::Mirror { mode::MIRROR } else { mode::HOST },
            first_packets: config.sample.first_packets,
            one_in: config.sample.one_in,
            flagged_per_second: config.sample.flagged_per_second,
        })?;

        let stop_drain = Arc::new(AtomicBool::new(false));
        let buffers = Buffers::default();
        let drainer = Drainer {
            program,
            drain: Drain::new(config.map_idle_timeout),
            statistics,
            clock,
            counters: counters.clone(),
            buffers: buffers.clone(),
            ifindex: nic.index,
        };
        let drain = {
            let (stop, events, name) = (stop_drain.clone(), events.clone(), nic.name.clone());
            let interval = config.drain_interval;
            spawn("drain".to_owned(), move || drainer.run(&stop, &events, interval, &name))?
        };
        Ok(Live {
            attached,
            interface: nic.name.clone(),
            queues,
            clock,
            counters,
            buffers,
            stop_drain,
            stop_receive,
            drain,
            receivers,
            events,
        })
    }

    /// Detaches, hands on what is still in rings and map, and returns when it has all been handed on. The event
    /// queue must still be read meanwhile.
    pub fn stop(self) {
        self.stop_drain.store(true, Relaxed);
        let drainer = self.drain.join();
        // The program is off the interface now; what it redirected last is still arriving in the rings.
        thread::sleep(SETTLE);
        self.stop_receive.store(true, Relaxed);
        for receiver in self.receivers {
            if receiver.join().is_err() {
                tracing::error!("a receive thread had panicked: its last samples are lost");
            }
        }
        let Ok(mut drainer) = drainer else {
            tracing::error!("the drain thread had panicked: the last counts are lost");
            return;
        };
        // Twice: the first reading may still be short of what the second one must have (see the ledger).
        for _ in 0..2 {
            drainer.drain.compare_all();
            match drainer.tick() {
                Ok((deltas, tick)) => drop(drainer.hand_on(&deltas, tick, &self.events)),
                Err(error) => tracing::error!(%error, "the last drain of the flow map failed"),
            }
        }
    }
}

impl Drainer {
    /// Drains at every multiple of `interval` until told to stop, then detaches the program.
    fn run(
        mut self,
        stop: &AtomicBool,
        events: &SyncSender<Queued>,
        interval: Duration,
        interface: &str,
    ) -> Drainer {
        let interval = interval.as_nanos() as u64;
        let mut last_check = 0;
        while !stop.load(Relaxed) {
            let now = self.clock.now();
            thread::sleep(Duration::from_nanos(interval - now % interval));
            match self.tick() {
                Ok((deltas, tick)) => {
                    if self.hand_on(&deltas, tick, events).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    if self.counters.drain_errors.fetch_add(1, Relaxed) == 0 {
                        tracing::error!(%error, "reading the flow map failed; trying again every interval");
                    }
                }
            }
            let second = self.clock.now() / 1_000_000_000;
            if second != last_check {
                last_check = second;
                self.program.flush_log();
                self.check_link(interface);
            }
        }
        self.program.detach();
        self
    }

    /// Hands a drain on, in batches.
    fn hand_on(
        &self,
        deltas: &[FlowDelta],
        tick: Tick,
        events: &SyncSender<Queued>,
    ) -> Result<(), Disconnected> {
        let mut delayed = false;
        let flows = deltas.chunks(FLOW_BATCH).map(|chunk| {
            let mut batch = self.buffers.flows();
            batch.extend_from_slice(chunk);
            Event::Flows(batch)
        });
        for event in flows.chain([Event::Tick(tick)]) {
            match events.try_send(Queued::drained(event)) {
                Ok(()) => {}
                Err(TrySendError::Full(queued)) => {
                    // Forgetting it would lose its counts, so this thread waits. The map goes on counting.
                    delayed = true;
                    events.send(queued).map_err(|_gone| Disconnected)?;
                }
                Err(TrySendError::Disconnected(_)) => return Err(Disconnected),
            }
        }
        self.counters.drains_delayed.fetch_add(u64::from(delayed), Relaxed);
        Ok(())
    }

    fn tick(&mut self) -> Result<(Vec<FlowDelta>, Tick), CaptureError> {
        let (deltas, mut tick) = self
            .drain
            .tick(&self.program, monotonic(), self.clock.offset)
            .map_err(|source| CaptureError::Drain { source })?;
        // The order makes every reading an upper bound of the one before: what the map and the sockets gave was
        // counted in the totals first.
        for (reader, queue) in self.statistics.iter().zip(&self.counters.queues) {
            if let Ok(statistics) = reader.read() {
                *queue.statistics.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
            }
        }
        tick.samples = self.counters.sample_bins();
        tick.totals = self.program.totals()?;
        self.counters.flow_map_entries.store(self.drain.entries() as u64, Relaxed);
        Ok((deltas, tick))
    }

    /// AF_XDP does not say that the link went down or that the interface is gone.
    fn check_link(&mut self, interface: &str) {
        let found = nic::find(interface);
        let up = found.as_ref().is_ok_and(|nic| nic.link_up);
        if self.counters.link_up.swap(up, Relaxed) != up {
            if up {
                tracing::info!(interface, "link is up");
            } else {
                tracing::error!(interface, "link is down: no packet can be seen until it is up again");
            }
        }
        // The link outlives its interface, so ask for that too: gone, or another one of the same name.
        let same = match &found {
            Ok(nic) => nic.index == self.ifindex,
            Err(NicError::NotFound { .. }) => false,
            Err(NicError::Netlink(_)) => true,
        };
        let attached = same && self.program.attached();
        if self.counters.attached.swap(attached, Relaxed) && !attached {
            tracing::error!(
                interface,
                "the XDP program is no longer attached: the interface was removed or the \
                program detached by hand; the sensor is blind, restart it"
            );
        }
    }
}

/// A socket for each receive queue. An interface may have room for more queues than it uses (a veth has one a CPU,
/// and uses one); the kernel refuses the unused ones as invalid, and they are the last ones.
fn bind_all(nic: &Nic, entries: u32) -> Result<Vec<XskQueue>, CaptureError> {
    let mut sockets = Vec::new();
    for queue in 0..nic.rx_queues.max(1) as usize {
        match bind(nic, queue, entries) {
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
fn bind(nic: &Nic, queue: usize, entries: u32) -> Result<XskQueue, CaptureError> {
    let mut attempt = 0;
    loop {
        match XskQueue::new(nic.index, queue as u32, entries) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempt < 20 => {
                attempt += 1;
                thread::sleep(Duration::from_millis(100));
            }
            Err(source) => return Err(socket_error(nic, queue, source)),
        }
    }
}

fn socket_error(nic: &Nic, queue: usize, source: io::Error) -> CaptureError {
    let hint = match source.raw_os_error() {
        Some(libc::EPERM) => super::error::PERMISSION_HINT,
        Some(libc::EBUSY) => "; another AF_XDP socket has this queue: is another sensor running?",
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "; not enough memory may be locked: raise LimitMEMLOCK, or lower capture.ring_entries"
        }
        _ => "",
    };
    CaptureError::Socket { interface: nic.name.clone(), queue: queue as u32, source, hint }
}

fn spawn<T: Send + 'static>(
    name: String,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, CaptureError> {
    thread::Builder::new()
        .name(name.clone())
        .spawn(body)
        .map_err(|source| CaptureError::Thread { name, source })
}
