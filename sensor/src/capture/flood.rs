//! What the sketches of source prefixes say about packets that got no entry in the flow table.

use std::net::{Ipv4Addr, Ipv6Addr};

use sensor_ebpf::counter::Count;
use sensor_ebpf::sketch::CELLS;

use super::table::Table;

/// Prefixes named.
pub const NAMED: usize = 3;

/// Packets without an entry since the last reading, a second ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Flood {
    /// All packets counted in the sketches so far: as many as the totals say.
    #[serde(skip)]
    pub total: Count,
    /// Packets since the last reading.
    pub packets: u64,
    /// Source prefixes (/24, /48) they came from, by linear counting (Whang et al., 1990) over the sketch's cells.
    pub prefixes: u32,
    /// There were more than the sketch can tell apart.
    pub more: bool,
    /// Those that led the vote of their cell, by the packets of that cell.
    pub largest: [(SourcePrefix, u64); NAMED],
}

/// A /24 of IPv4 or a /48 of IPv6, as [`sensor_ebpf::sketch::prefix`] gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SourcePrefix(pub u64);

impl SourcePrefix {
    /// Its first address.
    pub fn address(self) -> String {
        if self.is_ipv4() {
            Ipv4Addr::from(((self.0 >> 16) as u32) << 8).to_string()
        } else {
            Ipv6Addr::from(u128::from(self.0 & !0xffff) << 64).to_string()
        }
    }

    fn is_ipv4(self) -> bool {
        self.0 & 0xffff == 4
    }
}

impl std::fmt::Display for SourcePrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address(), if self.is_ipv4() { 24 } else { 48 })
    }
}

/// Reads the sketches, and remembers what they said.
pub(super) struct FloodWatch {
    /// Packets by cell, all lanes together.
    before: Vec<u64>,
    /// Counted in sketches that are gone.
    carried: Count,
}

impl FloodWatch {
    /// What is in the sketches by now is no news. `carried` was counted in others.
    pub(super) fn new(table: &Table, carried: Count) -> FloodWatch {
        let mut watch = FloodWatch { before: vec![0; CELLS], carried };
        watch.read(table);
        watch
    }

    /// What came since the last reading.
    pub(super) fn read(&mut self, table: &Table) -> Flood {
        let mut flood = Flood { total: self.carried, ..Flood::default() };
        let mut touched = 0;
        for (at, before) in self.before.iter_mut().enumerate() {
            let (mut packets, mut candidate, mut most) = (0, 0, 0);
            // A prefix has the same cell in each lane.
            for cell in table.prefixes.iter().skip(at).step_by(CELLS) {
                let count = cell.packets.get();
                packets += count;
                flood.total.bytes += cell.bytes.get();
                if count > most {
                    (candidate, most) = (cell.candidate.get(), count);
                }
            }
            flood.total.packets += packets;
            let grown = packets.saturating_sub(*before);
            *before = packets;
            if grown > 0 {
                touched += 1;
                flood.packets += grown;
                let least = flood.largest.iter_mut().min_by_key(|(_, packets)| *packets);
                if let Some(least) = least.filter(|(_, packets)| *packets < grown) {
                    *least = (SourcePrefix(candidate), grown);
                }
            }
        }
        flood.largest.sort_unstable_by_key(|(_, packets)| std::cmp::Reverse(*packets));
        let cells = CELLS as f64;
        flood.more = touched + 8 > CELLS;
        let free = (cells - touched as f64).max(8.0);
        flood.prefixes = (-cells * (free / cells).ln()).round() as u32;
        flood
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_written_as_people_write_them() {
        let four = sensor_ebpf::sketch::prefix(0, u64::from_ne_bytes([0, 0, 0xff, 0xff, 203, 0, 113, 9]));
        assert_eq!(SourcePrefix(four).to_string(), "203.0.113.0/24");
        let six = u64::from_ne_bytes([0x20, 1, 0xd, 0xb8, 0, 7, 1, 2]);
        assert_eq!(SourcePrefix(sensor_ebpf::sketch::prefix(six, 5)).to_string(), "2001:db8:7::/48");
    }
}
