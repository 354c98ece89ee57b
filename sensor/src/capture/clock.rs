//! The live source's clock: the kernel's monotonic clock, shifted once to the epoch. A step of the wall clock
//! moves no window and ends no flow.

use rustix::time::{ClockId, clock_gettime};

/// The clock of a live source.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds to add to the monotonic clock.
    pub offset: u64,
}

impl Clock {
    /// Takes the offset now.
    pub fn new() -> Clock {
        let epoch = nanoseconds(clock_gettime(ClockId::Realtime));
        Clock { offset: epoch.saturating_sub(monotonic()) }
    }

    /// Nanoseconds since the epoch.
    pub fn now(self) -> u64 {
        monotonic() + self.offset
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

/// CLOCK_MONOTONIC, nanoseconds: what `bpf_ktime_get_ns` reads.
pub fn monotonic() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    (time.tv_sec as u64).wrapping_mul(1_000_000_000) + time.tv_nsec as u64
}
