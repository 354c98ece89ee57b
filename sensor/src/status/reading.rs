//! Rates from counters.

use super::Rates;

/// Counters at one moment, for rates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// When, nanoseconds since the Unix epoch.
    pub time: u64,
    /// Packets seen.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Flows begun.
    pub flows: u64,
}

impl Reading {
    /// What happened in a second since an earlier moment.
    pub fn since(&self, before: &Reading) -> Rates {
        let seconds = self.time.saturating_sub(before.time).max(1) as f64 / 1e9;
        Rates {
            packets: self.packets.saturating_sub(before.packets) as f64 / seconds,
            bytes: self.bytes.saturating_sub(before.bytes) as f64 / seconds,
            flows: self.flows.saturating_sub(before.flows) as f64 / seconds,
        }
    }
}
