//! A flow: both directions of a conversation, seen from the side that began it, and what it did in a window.

use super::flags::FlagCounts;
use super::orient::initiator;
use super::record::{EndReason, FlowRecord};
use super::{SECOND, ip};
use sensor_ebpf::flow::{FlowKey, FlowStats, proto};

/// A flow that grows again after so much silence makes contact anew: what a beacon on one connection looks like.
///
/// When the first packet after the silence came, nobody says: a delta tells the latest one. That the flow had no packet
/// up to the drain before is certain, and so is the silence from its latest packet until then. A silence is seen if it
/// lasts this and a drain interval, whatever that is; what is not silent never is.
const CONTACT_SILENCE: u64 = SECOND * 2 / 5;
/// No place.
pub(super) const NONE: u32 = u32::MAX;

/// What a flow carried. Index 0 is from the initiator, 1 towards it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes.
    pub bytes: [u64; 2],
    /// TCP flags.
    pub flags: [FlagCounts; 2],
}

impl Carried {
    pub(super) fn of(stats: &FlowStats, initiator: usize) -> Carried {
        let (out, back) = (initiator, 1 - initiator);
        Carried {
            packets: [stats.packets[out], stats.packets[back]],
            bytes: [stats.bytes[out], stats.bytes[back]],
            flags: [FlagCounts::of(&stats.flags[out]), FlagCounts::of(&stats.flags[back])],
        }
    }

    pub(super) fn add(&mut self, other: &Carried) {
        for side in 0..2 {
            self.packets[side] = self.packets[side].saturating_add(other.packets[side]);
            self.bytes[side] = self.bytes[side].saturating_add(other.bytes[side]);
            if other.flags[side] != FlagCounts::default() {
                self.flags[side].add(&other.flags[side]);
            }
        }
    }

    pub(super) fn less(&self, other: &Carried) -> Carried {
        Carried {
            packets: [0, 1].map(|side| self.packets[side] - other.packets[side]),
            bytes: [0, 1].map(|side| self.bytes[side] - other.bytes[side]),
            flags: [0, 1].map(|side| self.flags[side].less(&other.flags[side])),
        }
    }

    /// Whether a TCP handshake was seen to complete, or the flow was joined after it.
    pub fn established(&self) -> bool {
        self.flags[0].syn == 0 || (self.flags[1].syn > 0 && self.flags[0].ack > 0)
    }

    /// Whether it was closed by a FIN of both sides or by a reset.
    pub fn closed(&self) -> bool {
        self.flags[0].rst > 0 || self.flags[1].rst > 0 || (self.flags[0].fin > 0 && self.flags[1].fin > 0)
    }
}

/// A flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its key.
    pub key: FlowKey,
    /// First packet.
    pub start: u64,
    /// Latest packet.
    pub last: u64,
    /// All it carried.
    pub total: Carried,
    /// Entropy of its sampled payloads, bits per byte, damped; `None` without samples.
    pub entropy: Option<f32>,
    /// Where later stages remember its pair, its service, its initiator and the other side: a guess that they check.
    pub known: [u32; 4],
    /// Its place in the open window.
    pub(super) window: u32,
    /// The side of the key that began it, 0 or 1.
    pub(super) initiator: u8,
    /// It is in the table.
    pub(super) live: bool,
    /// Records were written of it.
    pub(super) recorded: bool,
}

/// What a flow did in the open window.
#[derive(Clone, Debug)]
pub struct Grown {
    /// What it carried.
    pub carried: Carried,
    /// It began.
    pub began: bool,
    /// It was closed.
    pub ended: bool,
    /// When it began, or spoke again after a silence.
    pub contact: Option<u64>,
    pub(super) slot: u32,
}

impl Flow {
    pub(super) fn new(key: FlowKey, stats: &FlowStats) -> Flow {
        Flow {
            key,
            start: stats.first,
            last: stats.last,
            total: Carried::default(),
            entropy: None,
            known: [NONE; 4],
            window: NONE,
            initiator: initiator(&key, stats) as u8,
            live: true,
            recorded: false,
        }
    }

    /// Adds what it grew by after the drain at `drained`.
    pub(super) fn grow(&mut self, stats: &FlowStats, drained: u64, window: &mut Grown) {
        let grown = Carried::of(stats, usize::from(self.initiator));
        let closed = self.total.closed();
        let fresh = self.total.packets == [0, 0];
        if fresh {
            window.began = true;
            // The kernel's entry may be older than this one, which ended and begins again: then it is the latest
            // packet that made contact.
            let old = stats.last.saturating_sub(stats.first) > SECOND;
            window.contact = Some(if old { stats.last } else { stats.first });
        } else if drained.saturating_sub(self.last) >= CONTACT_SILENCE && window.contact.is_none() {
            window.contact = Some(stats.last);
        }
        self.total.add(&grown);
        window.carried.add(&grown);
        self.start = self.start.min(stats.first);
        self.last = self.last.max(stats.last);
        window.ended |= self.key.proto == proto::TCP && !closed && self.total.closed();
    }

    /// Address and port of the initiator.
    pub fn src(&self) -> ([u8; 16], u16) {
        side(&self.key, self.initiator)
    }

    /// Address and port of the other side.
    pub fn dst(&self) -> ([u8; 16], u16) {
        side(&self.key, 1 - self.initiator)
    }

    pub(super) fn record(&self, earlier: &Recorded, reason: EndReason) -> FlowRecord {
        let ((src, src_port), (dst, dst_port)) = (self.src(), self.dst());
        let carried = self.total.less(&earlier.carried);
        FlowRecord {
            start: earlier.until,
            end: self.last,
            src: ip(&src),
            dst: ip(&dst),
            src_port,
            dst_port,
            packets: carried.packets,
            bytes: carried.bytes,
            flags: carried.flags,
            reason,
            key: self.key,
            tunnel: None,
        }
    }
}

impl Grown {
    pub(super) fn new(slot: u32) -> Grown {
        Grown { carried: Carried::default(), began: false, ended: false, contact: None, slot }
    }
}

fn side(key: &FlowKey, side: u8) -> ([u8; 16], u16) {
    if side == 0 { (key.addr_a, key.port_a) } else { (key.addr_b, key.port_b) }
}

/// What earlier records of a flow took, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub(super) carried: Carried,
    pub(super) until: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = SECOND / 1000;
    const START: u64 = 1_767_225_600 * SECOND;

    /// Contacts of a flow with packets at these milliseconds, drained at this interval, a window a drain.
    fn contacts(interval: u64, packets: impl Iterator<Item = u64>) -> Vec<u64> {
        let (key, _) = FlowKey::canonical(([1; 16], 1), ([2; 16], 2), [0; 3], proto::TCP);
        let times: Vec<u64> = packets.map(|at| START + at * MS).collect();
        let mut flow: Option<Flow> = None;
        let mut found = Vec::new();
        for drained in (START..=times[times.len() - 1]).step_by((interval * MS) as usize) {
            let mut stats = FlowStats { first: times[0], ..FlowStats::default() };
            for time in times.iter().filter(|time| (drained..drained + interval * MS).contains(*time)) {
                stats.add_packet(0, 100, 0, *time);
            }
            if stats.packets != [0, 0] {
                let mut window = Grown::new(0);
                flow.get_or_insert_with(|| Flow::new(key, &stats)).grow(&stats, drained, &mut window);
                found.extend(window.contact.map(|time| (time - START) / MS));
            }
        }
        found
    }

    #[test]
    fn a_contact_is_after_a_silence_whatever_the_drain_interval() {
        for interval in [10, 100, 250, 400, 500, 1_000, 2_000, 10_000] {
            let lasting = contacts(interval, (0..600).map(|n| 20 + 50 * n));
            assert_eq!(
                lasting.len(),
                1,
                "twenty packets a second are one contact, drained every {interval} ms"
            );
            let beacon = contacts(interval, (0..20).map(|n| 20 + 30_000 * n));
            let expected: Vec<u64> = (0..20).map(|n| 20 + 30_000 * n).collect();
            assert_eq!(beacon, expected, "a beacon of half a minute, drained every {interval} ms");
        }
        // Half a second is seen at the interval that the sensor has by default.
        assert_eq!(contacts(100, (0..20).map(|n| 20 + 500 * n)).len(), 20);
    }
}
