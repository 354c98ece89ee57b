//! The live source: an interface, the program on it, and the threads that read what the program leaves.
//!
//! Threads: one for each receive queue (`mirror`) or one for the ring buffer (`host`), one that drains the kernel's flow table,
//! and one that watches the interface. All hand on through one bounded queue. The receive threads never wait for it: samples are shed and
//! counted. The drain may: the counters in the map are cumulative, so a late drain loses nothing.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::counter::Count;

use super::attach::{Attached, release};
use super::buffers::Buffers;
use super::clock::Clock;
use super::config::{CaptureConfig, Mode};
use super::counters::{CaptureCounters, QueueCounters};
use super::drain::Drain;
use super::drainer::Drainer;
use super::error::CaptureError;
use super::flood::FloodWatch;
use super::listed::{Lister, Turning};
use super::nic::watch::Watch;
use super::nic::{self, Nic, mtu};
use super::pins::Pins;
use super::program::{Frames, Program, XdpAttached};
use super::queues::{self, Queue};
use super::receive::{self, Outlet, Queued};
use super::steering::{Governor, Steering};
use crate::ledger::Earlier;

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
    /// Receive queues read; none in `host` mode.
    pub queues: Vec<Queue>,
    /// The source's clock.
    pub clock: Clock,
    /// What the threads count.
    pub counters: Arc<CaptureCounters>,
    /// Where read events are given back.
    pub buffers: Buffers,
    /// Asks for other sampling.
    pub steering: Steering,
    /// Fills the tries of listed addresses, until somebody takes it.
    pub lister: Option<Lister>,
    /// What earlier processes accounted for.
    pub earlier: Earlier,
    pins: Option<Pins>,
    nic: Nic,
    stop_drain: Arc<AtomicBool>,
    stop_receive: Arc<AtomicBool>,
    drain: JoinHandle<Drainer>,
    watch: Watch,
    receivers: Vec<JoinHandle<()>>,
    events: SyncSender<Queued>,
}

impl Live {
    /// Attaches to the interface and starts reading. `events` should have room for
    /// `capture.queue_batches` + [`TICK_ROOM`].
    pub fn start(
        config: &CaptureConfig,
        nic: &Nic,
        events: SyncSender<Queued>,
    ) -> Result<Live, CaptureError> {
        Live::start_with(config, nic, events, None)
    }

    /// The same; with pins, it goes on with what an earlier sensor left in the kernel, and may leave it there itself.
    pub fn start_with(
        config: &CaptureConfig,
        nic: &Nic,
        events: SyncSender<Queued>,
        pins: Option<Pins>,
    ) -> Result<Live, CaptureError> {
        if config.mode == Mode::Mirror && nic.holds_default_route {
            return Err(CaptureError::DefaultRoute { name: nic.name.clone() });
        }
        if config.mode == Mode::Mirror && nic.loopback {
            return Err(CaptureError::Loopback { name: nic.name.clone() });
        }
        // Attach before bind: some drivers only then have the queues that AF_XDP wants (gve).
        let Attached { mut program, attached, leftovers, earlier } =
            Attached::new(config, nic, pins.as_ref()).map_err(|error| mtu_hint(error, nic))?;
        // In the network stack a packet is whole, however long: it may take several frames of a socket.
        let frags = attached == XdpAttached::Generic || program.frames() == Frames::Multiple;
        let sockets =
            if config.mode == Mode::Mirror { queues::open(config, nic, frags)? } else { Vec::new() };
        let queues: Vec<Queue> = sockets.iter().map(|(_, queue)| *queue).collect();
        let clock = Clock::new();
        let counters = Arc::new(CaptureCounters {
            queues: (0..queues.len().max(1)).map(|_| QueueCounters::default()).collect(),
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
                for (queue, (socket, Queue { cpu, .. })) in sockets.into_iter().enumerate() {
                    let reader = socket.statistics();
                    let error = |source| queues::error(nic, queue, source, config.zero_copy);
                    statistics.push(reader.map_err(error)?);
                    program
                        .sockets
                        .set(queue as u32, socket.as_raw_fd(), 0)
                        .map_err(|source| CaptureError::Map { map: "XSKS", source })?;
                    let outlet = outlet(queue);
                    receivers.push(spawn(format!("rx-{queue}"), move || {
                        receive::from_socket(socket, outlet, cpu)
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
        let seen = program.totals()?.seen.packets;
        let watch = Watch::start(nic, clock, counters.clone(), seen)
            .map_err(|source| CaptureError::Thread { name: "nic".to_owned(), source })?;
        let steering = Steering::default();
        let governor = Governor::new(&config.sample, steering.clone());
        program.set_control(governor.control(control(config, &program)))?;

        let turning = Turning::default();
        let lister = Some(program.take_lister(turning.clone())?);
        let stop_drain = Arc::new(AtomicBool::new(false));
        let buffers = Buffers::default();
        let sketched = Count {
            packets: program.carried.totals.sketched_total(),
            ..program.carried.totals.overflow_total()
        };
        let drainer = Drainer {
            flood: FloodWatch::new(&program.table, sketched),
            accounted: program.about.accounted().0,
            leftovers,
            drain: Drain::new(&program.table, config.map_idle_timeout),
            program,
            statistics,
            clock,
            counters: counters.clone(),
            buffers: buffers.clone(),
            governor,
            turning,
            turning_to: None,
            quiet: false,
            second: 0,
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
            steering,
            lister,
            earlier,
            pins,
            nic: nic.clone(),
            stop_drain,
            stop_receive,
            drain,
            watch,
            receivers,
            events,
        })
    }

    /// Whether the program may stay when this process ends.
    pub fn pinned(&self) -> bool {
        self.pins.is_some()
    }

    /// Detaches, hands on what is still in rings and map, and returns when it has all been handed on. The event
    /// queue must still be read meanwhile.
    pub fn stop(self) {
        self.end(false);
    }

    /// The same, but where it is pinned the program stays: it goes on counting, and chooses no more samples. Returns
    /// whether it did stay.
    pub fn leave(self) -> bool {
        self.end(true)
    }

    fn end(self, stay: bool) -> bool {
        let closing = self.watch.stop();
        self.stop_drain.store(true, Relaxed);
        let mut drainer = self.drain.join();
        let mut stays = stay && self.pins.is_some();
        if let Ok(drainer) = &mut drainer {
            if stays && let Err(error) = drainer.program.quiet(self.queues.len() as u32) {
                tracing::error!(%error, "the program cannot be told that nobody listens: it leaves the interface");
                stays = false;
            }
            if !stays {
                drainer.program.detach();
            }
        }
        if let (false, Some(pins)) = (stays, &self.pins) {
            release(pins, &nic::find(&self.nic.name).unwrap_or_default());
        }
        // What was redirected last is still arriving in the rings.
        thread::sleep(SETTLE);
        self.stop_receive.store(true, Relaxed);
        for receiver in self.receivers {
            if receiver.join().is_err() {
                tracing::error!("a receive thread had panicked: its last samples are lost");
            }
        }
        let Ok(mut drainer) = drainer else {
            tracing::error!("the drain thread had panicked: the last counts are lost");
            return stays;
        };
        drainer.quiet = true;
        drainer.second = 0;
        // Twice: the first reading may still be short of what the second one must have (see the ledger).
        for _ in 0..2 {
            match drainer.drain(&self.events) {
                Ok(true) => {}
                Ok(false) => return stays,
                Err(error) => tracing::error!(%error, "the last drain of the flow table failed"),
            }
        }
        if let Some(closing) = closing {
            closing.compare();
        }
        if let (false, Some(pins)) = (stays, self.pins) {
            pins.clear();
        }
        stays
    }
}

/// What the program is to do.
fn control(config: &CaptureConfig, program: &Program) -> Control {
    Control {
        mode: if config.mode == Mode::Mirror { mode::MIRROR } else { mode::HOST },
        admit_per_second: config.admitted().div_ceil(program.table.size.lanes),
        ..Control::default()
    }
}

/// Where the MTU is too large for the driver, that is the reason it gives in a number.
fn mtu_hint(error: CaptureError, nic: &Nic) -> CaptureError {
    match error {
        CaptureError::Attach { interface, tried, source, hint } if tried == "native mode" => {
            let hint = match mtu::refused(nic) {
                Some((why, remedy)) => format!("{hint}; {why}: {remedy}"),
                None => hint,
            };
            CaptureError::Attach { interface, tried, source, hint }
        }
        error => error,
    }
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
