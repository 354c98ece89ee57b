//! What the capture threads count, read by whoever publishes it. Each counter has one writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::nic::counters::NicCounters;
use super::xsk::Statistics;
use crate::ledger::SampleBins;

/// Counters of one receive queue, or of the sample ring buffer in `host` mode.
#[derive(Debug, Default)]
pub struct QueueCounters {
    /// Samples read.
    pub delivered: AtomicU64,
    /// Samples read, then dropped because the analysis was behind.
    pub shed: AtomicU64,
    /// Packets that were longer than a sample may be.
    pub oversize: AtomicU64,
    /// Kernel's counters of the AF_XDP socket, read at every drain.
    pub statistics: Mutex<Statistics>,
}

/// Counters of all capture threads.
#[derive(Debug, Default)]
pub struct CaptureCounters {
    /// One element a receive queue.
    pub queues: Vec<QueueCounters>,
    /// Entries in the kernel's flow table at the latest drain.
    pub flow_map_entries: AtomicU64,
    /// Drains that had to wait because the analysis was behind; nothing is lost.
    pub drains_delayed: AtomicU64,
    /// Drains that failed; see the log.
    pub drain_errors: AtomicU64,
    /// How often sampling is halved because the analysis is behind.
    pub sampling_halved: AtomicU64,
    /// Whether the program is attached to a living interface.
    pub attached: AtomicBool,
    /// Whether the interface has a carrier.
    pub link_up: AtomicBool,
    /// When the latest drain began, nanoseconds since the Unix epoch, and the packets XDP had seen by then or later.
    pub seen: Mutex<(u64, u64)>,
    /// What the interface itself counted, read every second.
    pub nic: Mutex<NicCounters>,
}

impl QueueCounters {
    /// Latest reading of the socket's counters.
    pub fn statistics(&self) -> Statistics {
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CaptureCounters {
    /// Latest reading of the interface's own counters.
    pub fn nic(&self) -> NicCounters {
        self.nic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the program is on no living interface any more, and says so once.
    pub(super) fn detached(&self, interface: &str) {
        if self.attached.swap(false, Relaxed) {
            tracing::error!(
                interface,
                "the XDP program is no longer attached: the interface was removed or the \
                program detached by hand; the sensor is blind, restart it"
            );
        }
    }

    /// The capture side of the sample bins; each loss in one bin.
    pub fn sample_bins(&self) -> SampleBins {
        let mut bins = SampleBins::default();
        for queue in &self.queues {
            let statistics = queue.statistics();
            bins.delivered += queue.delivered.load(Relaxed);
            bins.shed_queue_full += queue.shed.load(Relaxed);
            bins.lost_rx_ring_full += statistics.rx_ring_full;
            // In copy mode the kernel counts a frame without a free buffer twice: as an empty fill ring and as
            // dropped (net/xdp/xsk.c, __xsk_rcv). What remains of `rx_dropped` was too long for a UMEM frame.
            bins.lost_fill_ring_empty += statistics.rx_fill_ring_empty_descs;
            bins.lost_rx_dropped += statistics.rx_dropped.saturating_sub(statistics.rx_fill_ring_empty_descs);
            bins.lost_rx_dropped += queue.oversize.load(Relaxed);
            bins.lost_invalid_descs += statistics.rx_invalid_descs;
        }
        bins
    }
}
