//! One capture with its labels, and how a detector is to learn from it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::capture::{Packet, nanoseconds};
use super::outcome::{BIN, Event};

/// See the module.
pub struct Case {
    /// The set it belongs to: a row of the tables.
    pub set: &'static str,
    /// Which of the set's captures, for file names.
    pub name: String,
    /// The capture.
    pub path: PathBuf,
    /// Time of its first packet, nanoseconds since the Unix epoch.
    pub begin: u64,
    /// Bins, by number since the epoch, that hold traffic.
    pub busy: BTreeSet<u64>,
    /// Labelled attacks, by start.
    pub events: Vec<Event>,
    /// Seconds in which a detector learns.
    pub learn: f64,
    /// Seconds after that in which it finds its threshold.
    pub calibrate: f64,
}

impl Case {
    /// Of these packets, which are at `path` too.
    pub fn new(set: &'static str, name: impl Into<String>, path: PathBuf, packets: &[Packet]) -> Case {
        let busy = packets.iter().map(|packet| packet.time / BIN).collect();
        // Not the first of the file: some captures are out of order.
        let begin = packets.iter().map(|packet| packet.time).min().unwrap_or(0);
        Case { set, name: name.into(), path, begin, busy, events: Vec::new(), learn: 0.0, calibrate: 0.0 }
    }

    /// Learns and calibrates for so many seconds.
    pub fn warmup(mut self, learn: f64, calibrate: f64) -> Case {
        (self.learn, self.calibrate) = (learn, calibrate);
        self
    }

    /// With these attacks.
    pub fn events(mut self, mut events: Vec<Event>) -> Case {
        events.sort_by_key(|event| event.start);
        self.events = events;
        self
    }

    /// When the warm-up is over.
    pub fn ready(&self) -> u64 {
        self.begin + nanoseconds(self.learn + self.calibrate)
    }
}
