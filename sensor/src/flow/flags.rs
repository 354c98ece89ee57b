//! TCP flags counted, unpacked from the two-to-a-word form of the kernel's flow table.

use sensor_ebpf::flow::FlagWords;
use serde::Serialize;

/// Packets that carried each flag, one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of RFC 9293")]
pub struct FlagCounts {
    pub fin: u32,
    pub syn: u32,
    pub rst: u32,
    pub psh: u32,
    pub ack: u32,
    pub urg: u32,
    pub ece: u32,
    pub cwr: u32,
}

impl FlagCounts {
    /// Splits an increment of [`FlagWords`] into its counts.
    pub fn of(words: &FlagWords) -> FlagCounts {
        let split = |word: u64| (word as u32, (word >> 32) as u32);
        let (ack, psh) = split(words.ack_psh);
        let (syn, fin) = split(words.syn_fin);
        let (rst, urg) = split(words.rst_urg);
        let (ece, cwr) = split(words.ece_cwr);
        FlagCounts { fin, syn, rst, psh, ack, urg, ece, cwr }
    }

    /// Adds another count; saturates, for a flow may live for months.
    pub fn add(&mut self, other: &FlagCounts) {
        for (into, from) in [
            (&mut self.fin, other.fin),
            (&mut self.syn, other.syn),
            (&mut self.rst, other.rst),
            (&mut self.psh, other.psh),
            (&mut self.ack, other.ack),
            (&mut self.urg, other.urg),
            (&mut self.ece, other.ece),
            (&mut self.cwr, other.cwr),
        ] {
            *into = into.saturating_add(from);
        }
    }

    /// What is left after `other`, which is part of it.
    pub fn less(&self, other: &FlagCounts) -> FlagCounts {
        FlagCounts {
            fin: self.fin - other.fin,
            syn: self.syn - other.syn,
            rst: self.rst - other.rst,
            psh: self.psh - other.psh,
            ack: self.ack - other.ack,
            urg: self.urg - other.urg,
            ece: self.ece - other.ece,
            cwr: self.cwr - other.cwr,
        }
    }

    /// Names of the flags seen, in the order of the header's low bits.
    pub fn names(&self) -> Vec<String> {
        [
            (self.fin, "FIN"),
            (self.syn, "SYN"),
            (self.rst, "RST"),
            (self.psh, "PSH"),
            (self.ack, "ACK"),
            (self.urg, "URG"),
            (self.ece, "ECE"),
            (self.cwr, "CWR"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(_, name)| name.to_owned())
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensor_ebpf::flow::{FlowStats, tcp};

    #[test]
    fn increments_come_back_as_counts() {
        let mut stats = FlowStats::default();
        stats.set_first_packet(0, 60, tcp::SYN, 1);
        stats.add_packet(0, 60, tcp::ACK | tcp::PSH, 2);
        stats.add_packet(1, 60, tcp::RST | tcp::ACK, 3);
        let out = FlagCounts::of(&stats.flags[0]);
        assert_eq!(out, FlagCounts { syn: 1, ack: 1, psh: 1, ..FlagCounts::default() });
        assert_eq!(FlagCounts::of(&stats.flags[1]).names(), ["RST", "ACK"]);
    }
}
