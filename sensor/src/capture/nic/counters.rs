//! What the interface itself counted, beside what XDP saw: packets that never reached XDP are said.
//!
//! Two things are known. The NIC or its driver counts packets it had no room for (`rx_missed_errors` and its
//! cousins): those never reached XDP, on every driver. And packets the driver counts as received, but XDP never saw.
//! Whether `rx_packets` can be compared is learnt: some drivers count what XDP consumes (veth, virtio_net, Intel),
//! some only what goes on to the stack (mlx5), and those fall behind at once.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use serde::Serialize;

use super::super::xsk::ioctl;
use super::{Nic, netlink};

/// Drivers that count in software, packet by packet or at the end of a poll; others may read the NIC's registers
/// once in a while, and lag behind.
const EXACT: [&str; 7] = ["veth", "virtio_net", "ixgbe", "i40e", "ice", "igb", "igc"];

/// Names of drivers' own counters of packets they had no room for, where `rx_missed_errors` lacks them.
const MISSED: [&str; 6] =
    ["rx_missed", "rx_no_buffer", "rx_out_of_buffer", "rx_no_dma_resources", "rx_discards", "rx_overruns"];

/// A packet is counted and goes through XDP within this, nanoseconds.
const SETTLED: u64 = 50_000_000;

/// How far a driver's counter may lag, nanoseconds.
const LAG: u64 = 2_000_000_000;

/// Readings kept: a few seconds at one a second.
const HISTORY: usize = 16;

/// Counters of the interface since the sensor started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NicCounters {
    /// Packets the driver counted as received.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Packets that the NIC or its driver had no room for: they never reached XDP.
    pub rx_missed: u64,
    /// The counter that says so; empty while there are none.
    pub missed_by: String,
    /// Packets that were dropped somewhere between driver and stack; drivers differ in what that is.
    pub rx_dropped: u64,
    /// Whether `rx_packets` counts what XDP sees, so that it can be compared.
    pub comparable: bool,
    /// Packets that the driver received and XDP surely never saw.
    pub unseen: u64,
    /// When `rx_missed` or `unseen` last grew, nanoseconds since the Unix epoch; 0 is never.
    pub last_loss: u64,
}

impl NicCounters {
    /// Packets that reached the interface and not XDP, as far as can be told.
    pub fn never_reached_xdp(&self) -> u64 {
        self.rx_missed.max(self.unseen)
    }
}

/// One look at the interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    rx_packets: u64,
    rx_bytes: u64,
    rx_dropped: u64,
    /// Counters of packets there was no room for, by name. They may be names for the same packets.
    missed: BTreeMap<String, u64>,
}

/// Reads the counters of one interface.
pub(super) struct Reader {
    interface: String,
    index: u32,
    veth: bool,
    names: Vec<String>,
}

impl Reader {
    pub(super) fn new(nic: &Nic) -> Reader {
        Reader {
            interface: nic.name.clone(),
            index: nic.index,
            veth: nic.driver == "veth",
            names: Vec::new(),
        }
    }

    pub(super) fn read(&mut self) -> io::Result<Reading> {
        let stats = netlink::stats64(self.index)?;
        // A driver without counters of its own is no error.
        let own = self.own().unwrap_or_default();
        let mut missed = BTreeMap::from([
            ("rx_missed_errors".to_owned(), stats.rx_missed),
            ("rx_fifo_errors".to_owned(), stats.rx_fifo),
        ]);
        for (name, value) in &own {
            if says_missed(name) {
                missed.insert(name.clone(), *value);
            }
        }
        if self.veth {
            // What the sender's full ring refused of redirected frames; the rest of `rx_dropped` is what this
            // program's redirects lost, which the AF_XDP sockets count.
            let behind_xdp = own.get("rx_queue_*_drops").copied().unwrap_or(stats.rx_dropped);
            missed.insert("rx_dropped".to_owned(), stats.rx_dropped.saturating_sub(behind_xdp));
        }
        Ok(Reading {
            rx_packets: stats.rx_packets,
            rx_bytes: stats.rx_bytes,
            rx_dropped: stats.rx_dropped,
            missed,
        })
    }

    /// The driver's own counters; those of its queues added up.
    fn own(&mut self) -> io::Result<BTreeMap<String, u64>> {
        let values = match ioctl::counter_values(&self.interface, self.names.len()) {
            Ok(values) if !values.is_empty() => values,
            _ => {
                self.names = ioctl::counter_names(&self.interface)?;
                ioctl::counter_values(&self.interface, self.names.len())?
            }
        };
        let mut sums = BTreeMap::new();
        for (name, value) in self.names.iter().zip(values) {
            *sums.entry(of_all_queues(name)).or_insert(0u64) += value;
        }
        Ok(sums)
    }
}

/// `rx_queue_3_drops` is `rx_queue_*_drops`, so that a driver's sum under a plain name is not added to its parts.
fn of_all_queues(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if !character.is_ascii_digit() {
            text.push(character);
        } else if !text.ends_with('*') {
            text.push('*');
        }
    }
    text
}

/// Whether a counter is of packets there was no room for.
fn says_missed(name: &str) -> bool {
    let plain = name.replace('*', "");
    MISSED.iter().any(|pattern| plain.contains(pattern))
}

/// Compares what the interface counts with what XDP sees.
pub(super) struct Comparison {
    exact: bool,
    previous: Reading,
    missed: BTreeMap<String, u64>,
    counters: NicCounters,
    /// XDP's packets when the interface was first read.
    seen_at_first: u64,
    /// (when, packets received since the start)
    received: VecDeque<(u64, u64)>,
    /// (when, packets XDP saw since the start)
    seen: VecDeque<(u64, u64)>,
    /// The most packets that came between two readings.
    fastest: u64,
}

impl Comparison {
    /// `seen` is XDP's count of packets, read before `first`, so that no packet in between can seem unseen.
    pub(super) fn new(driver: &str, first: Reading, seen: u64, now: u64) -> Comparison {
        Comparison {
            exact: EXACT.contains(&driver),
            missed: first.missed.keys().map(|name| (name.clone(), 0)).collect(),
            previous: first,
            counters: NicCounters { comparable: true, ..NicCounters::default() },
            seen_at_first: seen,
            received: VecDeque::from([(now, 0)]),
            seen: VecDeque::new(),
            fastest: 0,
        }
    }

    /// Takes a reading made at `now`.
    pub(super) fn received(&mut self, reading: Reading, now: u64) {
        let counters = &mut self.counters;
        let packets = grown(self.previous.rx_packets, reading.rx_packets);
        self.fastest = self.fastest.max(packets);
        counters.rx_packets += packets;
        counters.rx_bytes += grown(self.previous.rx_bytes, reading.rx_bytes);
        counters.rx_dropped += grown(self.previous.rx_dropped, reading.rx_dropped);
        for (name, value) in &reading.missed {
            let before = self.previous.missed.get(name).copied().unwrap_or(*value);
            *self.missed.entry(name.clone()).or_default() += grown(before, *value);
        }
        // They may be names for the same packets, so the largest stands for all.
        if let Some((name, most)) = self.missed.iter().max_by_key(|(_, value)| **value)
            && *most > counters.rx_missed
        {
            counters.rx_missed = *most;
            counters.missed_by.clone_from(name);
            counters.last_loss = now;
        }
        keep(&mut self.received, (now, counters.rx_packets));
        self.previous = reading;
    }

    /// Takes XDP's count of packets, read at or after `at`; it is `now`.
    pub(super) fn seen(&mut self, packets: u64, at: u64, now: u64) -> &NicCounters {
        let packets = packets.saturating_sub(self.seen_at_first);
        if self.seen.back().is_none_or(|(before, _)| *before < at) {
            keep(&mut self.seen, (at, packets));
        }
        let lag = if self.exact { SETTLED } else { LAG };
        let long_ago =
            self.seen.iter().rev().find(|(then, _)| then + lag <= now).map_or(0, |(_, packets)| *packets);
        self.counters.comparable = self.counters.rx_packets >= long_ago;
        let before = self.received.iter().rev().find(|(then, _)| then + SETTLED <= at);
        let room = if self.exact { 0 } else { self.fastest.saturating_mul(2) };
        if let Some((_, received)) = before
            && self.counters.comparable
        {
            let unseen = received.saturating_sub(packets);
            if unseen > room && unseen > self.counters.unseen {
                self.counters.unseen = unseen;
                self.counters.last_loss = now;
            }
        }
        &self.counters
    }
}

/// A counter that went back was set to zero meanwhile.
fn grown(before: u64, now: u64) -> u64 {
    if now >= before { now - before } else { now }
}

fn keep(history: &mut VecDeque<(u64, u64)>, entry: (u64, u64)) {
    history.push_back(entry);
    if history.len() > HISTORY {
        history.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn reading(rx_packets: u64, missed: u64) -> Reading {
        Reading {
            rx_packets,
            missed: BTreeMap::from([("rx_missed_errors".to_owned(), missed)]),
            ..Reading::default()
        }
    }

    /// Packets received and seen by the end of each second, to what is said in the end.
    fn after(driver: &str, steps: &[(u64, u64, u64)]) -> NicCounters {
        let mut comparison = Comparison::new(driver, reading(1_000, 0), 100, 0);
        let mut last = NicCounters::default();
        for (step, (received, missed, seen)) in steps.iter().enumerate() {
            let now = (step as u64 + 1) * SECOND;
            comparison.received(reading(1_000 + received, *missed), now);
            last = comparison.seen(100 + seen, now, now + SECOND / 10).clone();
        }
        last
    }

    #[test]
    fn losses_are_told_from_differences_in_counting() {
        let same = after("veth", &[(10, 0, 10), (20, 0, 20), (20, 0, 20)]);
        assert_eq!((same.rx_packets, same.comparable, same.unseen, same.last_loss), (20, true, 0, 0));
        let gap = after("veth", &[(10, 0, 10), (30, 0, 20), (40, 0, 30), (40, 0, 30)]);
        assert_eq!((gap.comparable, gap.unseen), (true, 10), "received, and never seen");
        assert!(gap.last_loss > 0);
        let in_flight = after("veth", &[(10, 0, 10), (1_000, 0, 20), (1_000, 0, 1_000), (1_000, 0, 1_000)]);
        assert_eq!(in_flight.unseen, 0, "seen a moment later");
        let beyond = after("mlx5_core", &[(0, 0, 1_000), (0, 0, 2_000), (0, 0, 3_000), (1, 0, 4_000)]);
        assert_eq!(
            (beyond.comparable, beyond.unseen),
            (false, 0),
            "this driver does not count what XDP takes"
        );
        let lagging = after("bnxt_en", &[(0, 0, 500), (500, 0, 1_000), (1_000, 0, 1_500), (1_500, 0, 1_500)]);
        assert_eq!((lagging.comparable, lagging.unseen), (true, 0), "its counters come a second late");
        let missed = after("mlx5_core", &[(0, 0, 10), (0, 7, 20), (0, 0, 20), (0, 2, 20)]);
        assert_eq!(
            (missed.rx_missed, missed.missed_by.as_str()),
            (9, "rx_missed_errors"),
            "set to zero in between"
        );
    }

    #[test]
    fn queues_are_added_up() {
        for (name, sum, missed) in [
            ("rx_queue_0_xdp_drops", "rx_queue_*_xdp_drops", false),
            ("rx12_out_of_buffer", "rx*_out_of_buffer", true),
            ("rx_out_of_buffer", "rx_out_of_buffer", true),
            ("rx_missed_errors", "rx_missed_errors", true),
            ("queue_3_rx_no_buffer", "queue_*_rx_no_buffer", true),
            ("[11]: rx_discards", "[*]: rx_discards", true),
        ] {
            assert_eq!((of_all_queues(name).as_str(), says_missed(sum)), (sum, missed));
        }
    }
}
