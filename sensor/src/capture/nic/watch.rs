//! A thread beside the capture that never reads packets: it hears of the link, asks for it every second, and compares
//! what the interface counts with what XDP sees. AF_XDP says nothing when the link goes down or the interface is gone.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::clock::Clock;
use super::super::counters::CaptureCounters;
use super::counters::{Comparison, Reader};
use super::{Nic, NicError, netlink};

/// How often the thread looks whether it should stop, nanoseconds.
const WAKE: i64 = 100_000_000;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// The thread.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Watcher>>,
}

struct Watcher {
    nic: Nic,
    clock: Clock,
    counters: Arc<CaptureCounters>,
    news: Option<OwnedFd>,
    reader: Reader,
    comparison: Option<Comparison>,
}

impl Watch {
    /// Starts to watch. `seen` is the number of packets that the program, already attached, has counted.
    pub fn start(
        nic: &Nic,
        clock: Clock,
        counters: Arc<CaptureCounters>,
        seen: u64,
    ) -> std::io::Result<Watch> {
        let mut reader = Reader::new(nic);
        let now = clock.now();
        let first = reader.read().inspect_err(|error| {
            tracing::warn!(interface = nic.name, %error, "its own counters cannot be read: what it misses is not seen");
        });
        let news = netlink::listen().inspect_err(|error| {
            tracing::warn!(%error, "no news of links over rtnetlink: asking once a second instead");
        });
        let watcher = Watcher {
            nic: nic.clone(),
            clock,
            counters,
            news: news.ok(),
            reader,
            comparison: first.ok().map(|first| Comparison::new(&nic.driver, first, seen, now)),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::Builder::new().name("nic".to_owned()).spawn(move || watcher.run(&told))?;
        Ok(Watch { stop, thread: Some(thread) })
    }

    /// Reads the interface's counters a last time. To be called before the program is detached: what comes later
    /// cannot be seen by it.
    pub fn stop(mut self) -> Option<Closing> {
        self.stop.store(true, Relaxed);
        self.thread.take()?.join().ok().map(Closing)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// What is left to be compared when everything has been counted.
pub struct Closing(Watcher);

impl Closing {
    /// Compares with the last count of packets that XDP saw.
    pub fn compare(mut self) {
        self.0.compare();
    }
}

impl Watcher {
    fn run(mut self, stop: &AtomicBool) -> Watcher {
        let mut last = self.clock.now();
        while !stop.load(Relaxed) {
            let heard = self.wait();
            let now = self.clock.now();
            let due = now.saturating_sub(last) >= SECOND;
            if heard || due {
                self.check_link();
            }
            if due {
                last = now;
                self.read();
                self.compare();
            }
        }
        self.read();
        self
    }

    /// Waits for news of links, a tenth of a second at most; whether there is some of this one.
    fn wait(&self) -> bool {
        let timeout = Timespec { tv_sec: 0, tv_nsec: WAKE };
        let Some(socket) = &self.news else {
            thread::sleep(Duration::from_nanos(WAKE.unsigned_abs()));
            return false;
        };
        let mut fds = [PollFd::new(socket, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0);
        ready && netlink::heard_of(socket, self.nic.index)
    }

    fn check_link(&self) {
        let interface = &self.nic.name;
        let found = super::find(interface);
        let up = found.as_ref().is_ok_and(|nic| nic.link_up);
        if self.counters.link_up.swap(up, Relaxed) != up {
            if up {
                tracing::info!(interface, "link is up");
            } else {
                tracing::error!(interface, "link is down: no packet can be seen until it is up again");
            }
        }
        // Gone, or another one of the same name; a renamed one is not known under its name any more.
        let same = match &found {
            Ok(nic) => nic.index == self.nic.index,
            Err(NicError::NotFound { .. }) => false,
            Err(NicError::Netlink(_)) => true,
        };
        if !same {
            self.counters.detached(interface);
        }
    }

    fn read(&mut self) {
        let Some(comparison) = &mut self.comparison else { return };
        let now = self.clock.now();
        // An interface that is gone has nothing to say; that is said elsewhere.
        if let Ok(reading) = self.reader.read() {
            comparison.received(reading, now);
        }
    }

    fn compare(&mut self) {
        let Some(comparison) = &mut self.comparison else { return };
        let (at, packets) = *self.counters.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let before = self.counters.nic();
        let counters = comparison.seen(packets, at, now).clone();
        let lost = |counters: &super::counters::NicCounters| counters.rx_missed + counters.unseen;
        if lost(&before) == 0 && lost(&counters) > 0 {
            tracing::warn!(
                interface = self.nic.name,
                missed = counters.rx_missed,
                unseen = counters.unseen,
                "packets never reached XDP: the interface is faster than its queues are read; see /metrics"
            );
        }
        *self.counters.nic.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}
