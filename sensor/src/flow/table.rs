//! The flow table: both directions of a conversation in one entry, seen from the side that began it.

use super::community_id::community_id;
use super::config::FlowConfig;
use super::flags::FlagCounts;
use super::orient::initiator;
use super::record::{EndReason, FlowRecord};
use super::slab::Slab;
use super::tunnel::TunnelRecord;
use super::{SECOND, ip};
use sensor_ebpf::counter::Count;
use sensor_ebpf::flow::{FlowKey, FlowStats, proto};
use std::time::Duration;

/// A flow that grows again after so much silence makes contact anew: what a beacon on one connection looks like.
const CONTACT_SILENCE: u64 = SECOND * 2 / 5;

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
    fn of(stats: &FlowStats, initiator: usize) -> Carried {
        let (out, back) = (initiator, 1 - initiator);
        Carried {
            packets: [stats.packets[out], stats.packets[back]],
            bytes: [stats.bytes[out], stats.bytes[back]],
            flags: [FlagCounts::of(&stats.flags[out]), FlagCounts::of(&stats.flags[back])],
        }
    }

    fn add(&mut self, other: &Carried) {
        for side in 0..2 {
            self.packets[side] = self.packets[side].saturating_add(other.packets[side]);
            self.bytes[side] = self.bytes[side].saturating_add(other.bytes[side]);
            self.flags[side].add(&other.flags[side]);
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
    /// The side of the key that began it, 0 or 1.
    pub initiator: usize,
    /// First packet.
    pub start: u64,
    /// Latest packet.
    pub last: u64,
    /// All it carried.
    pub total: Carried,
    /// What it carried in the open window.
    pub window: Carried,
    /// It began in the open window.
    pub began: bool,
    /// It was closed in the open window.
    pub ended: bool,
    /// When it began, or spoke again after a silence, in the open window.
    pub contact: Option<u64>,
    /// Entropy of its sampled payloads, bits per byte, damped; `None` without samples.
    pub entropy: Option<f32>,
    /// Of a flow in a tunnel the outer addresses, on the sides `a` and `b` of the key, once they are known. Boxed: few
    /// flows have them.
    pub outer: Option<Box<[[u8; 16]; 2]>>,
    /// What earlier records took.
    recorded: Carried,
    record_start: u64,
    in_window: bool,
}

impl Flow {
    fn new(key: FlowKey, stats: &FlowStats) -> Flow {
        Flow {
            key,
            initiator: initiator(&key, stats),
            start: stats.first,
            last: stats.last,
            total: Carried::default(),
            window: Carried::default(),
            began: false,
            ended: false,
            contact: None,
            entropy: None,
            outer: None,
            recorded: Carried::default(),
            record_start: stats.first,
            in_window: false,
        }
    }

    fn grow(&mut self, stats: &FlowStats) {
        let grown = Carried::of(stats, self.initiator);
        let closed = self.total.closed();
        let fresh = self.total.packets == [0, 0];
        if fresh {
            self.began = true;
            // The kernel's entry may be older than this one, which ended and begins again: then it is the latest
            // packet that made contact.
            let old = stats.last.saturating_sub(stats.first) > SECOND;
            self.contact = Some(if old { stats.last } else { stats.first });
        } else if stats.last.saturating_sub(self.last) >= CONTACT_SILENCE && self.contact.is_none() {
            self.contact = Some(stats.last);
        }
        self.total.add(&grown);
        self.window.add(&grown);
        self.start = self.start.min(stats.first);
        self.last = self.last.max(stats.last);
        self.ended |= self.key.proto == proto::TCP && !closed && self.total.closed();
    }

    /// Address and port of the initiator.
    pub fn src(&self) -> ([u8; 16], u16) {
        side(&self.key, self.initiator)
    }

    /// Address and port of the other side.
    pub fn dst(&self) -> ([u8; 16], u16) {
        side(&self.key, 1 - self.initiator)
    }

    /// What it is wrapped in.
    pub fn tunnel(&self) -> Option<TunnelRecord> {
        TunnelRecord::of(&self.key, self.outer.as_deref(), self.initiator)
    }

    fn record(&self, reason: EndReason) -> FlowRecord {
        let ((src, src_port), (dst, dst_port)) = (self.src(), self.dst());
        let less = |side: usize| FlagCounts {
            fin: self.total.flags[side].fin - self.recorded.flags[side].fin,
            syn: self.total.flags[side].syn - self.recorded.flags[side].syn,
            rst: self.total.flags[side].rst - self.recorded.flags[side].rst,
            psh: self.total.flags[side].psh - self.recorded.flags[side].psh,
            ack: self.total.flags[side].ack - self.recorded.flags[side].ack,
            urg: self.total.flags[side].urg - self.recorded.flags[side].urg,
            ece: self.total.flags[side].ece - self.recorded.flags[side].ece,
            cwr: self.total.flags[side].cwr - self.recorded.flags[side].cwr,
        };
        FlowRecord {
            start: self.record_start,
            end: self.last,
            src: ip(&src),
            dst: ip(&dst),
            src_port,
            dst_port,
            proto: self.key.proto,
            vlan: self.key.vlan_outer(),
            vlan_inner: self.key.vlan_inner(),
            packets: [0, 1].map(|side| self.total.packets[side] - self.recorded.packets[side]),
            bytes: [0, 1].map(|side| self.total.bytes[side] - self.recorded.bytes[side]),
            flags: [less(0), less(1)],
            reason,
            community_id: community_id(&self.key),
            tunnel: self.tunnel(),
        }
    }
}

fn side(key: &FlowKey, side: usize) -> ([u8; 16], u16) {
    if side == 0 { (key.addr_a, key.port_a) } else { (key.addr_b, key.port_b) }
}

/// All flows, and which of them were active in the open window.
pub struct FlowTable {
    config: FlowConfig,
    flows: Slab<FlowKey, Flow>,
    touched: Vec<u32>,
    ended: Vec<FlowRecord>,
    created: u64,
    overflow: Count,
}

impl FlowTable {
    /// Empty.
    pub fn new(config: &FlowConfig) -> FlowTable {
        FlowTable {
            flows: Slab::new(config.max_flows),
            config: config.clone(),
            touched: Vec::new(),
            ended: Vec::new(),
            created: 0,
            overflow: Count::default(),
        }
    }

    /// Flows held.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Flows that entered the table so far.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Packets and bytes of flows the full table had no room for.
    pub fn overflow(&self) -> Count {
        self.overflow
    }

    /// Applies what a flow grew by. Returns the flow as a whole where the table had no room for it.
    pub fn apply(&mut self, key: &FlowKey, grown: &FlowStats) -> Option<Flow> {
        if grown.packets == [0, 0] {
            return None;
        }
        // The outer addresses outlive the flow: the source tells them once, and it knows of no reuse.
        let outer = self.flows.find(key).and_then(|slot| self.end_if_reused(slot, grown));
        let Some(slot) = self.flows.find_or_insert(*key, || Flow::new(*key, grown)) else {
            self.overflow.packets += grown.packets[0] + grown.packets[1];
            self.overflow.bytes += grown.bytes[0] + grown.bytes[1];
            let mut flow = Flow::new(*key, grown);
            flow.grow(grown);
            return Some(flow);
        };
        if let Some(flow) = self.flows.get_mut(slot) {
            self.created += u64::from(flow.total.packets == [0, 0]);
            flow.outer = outer.or_else(|| flow.outer.take());
            flow.grow(grown);
            if !flow.in_window {
                flow.in_window = true;
                self.touched.push(slot);
            }
        }
        None
    }

    /// A closed connection whose ports are used again is a new flow: scanners and load generators reuse ports.
    fn end_if_reused(&mut self, slot: u32, grown: &FlowStats) -> Option<Box<[[u8; 16]; 2]>> {
        let reused = self.flows.get(slot).is_some_and(|flow| {
            let opener = &FlagCounts::of(&grown.flags[flow.initiator]);
            let answered = u64::from(opener.ack) >= grown.packets[flow.initiator];
            flow.key.proto == proto::TCP
                && flow.total.closed()
                && !flow.in_window
                && opener.syn > 0
                && !answered
        });
        let (_, flow) = self.flows.remove(if reused { slot } else { return None })?;
        self.ended.push(flow.record(EndReason::Reused));
        flow.outer
    }

    /// Notes the outer addresses of a flow in a tunnel, on the sides `a` and `b`.
    pub fn note_outer(&mut self, key: &FlowKey, outer: [[u8; 16]; 2]) {
        if let Some(flow) = self.flows.find(key).and_then(|slot| self.flows.get_mut(slot)) {
            flow.outer = Some(Box::new(outer));
        }
    }

    /// What a flow is wrapped in, as far as that is known.
    pub fn tunnel(&self, key: &FlowKey) -> Option<TunnelRecord> {
        if key.tunnel == 0 {
            return None;
        }
        let held = self.flows.find(key).and_then(|slot| self.flows.get(slot));
        held.map_or_else(|| TunnelRecord::of(key, None, 0), Flow::tunnel)
    }

    /// Notes the entropy of a sampled payload, bits per byte.
    pub fn note_entropy(&mut self, key: &FlowKey, entropy: f32) {
        if let Some(flow) = self.flows.find(key).and_then(|slot| self.flows.get_mut(slot)) {
            flow.entropy = Some(flow.entropy.map_or(entropy, |old| old + (entropy - old) / 8.0));
        }
    }

    /// Ends what was silent for too long, as far as the work limit of a tick allows.
    pub fn expire(&mut self, now: u64) {
        let nanos = |d: Duration| d.as_nanos().min(u128::from(u64::MAX)) as u64;
        let (idle, active) = (nanos(self.config.idle_timeout), nanos(self.config.active_timeout));
        let (unanswered, closed) = (nanos(self.config.unanswered_timeout), nanos(self.config.closed_timeout));
        let ended = &mut self.ended;
        self.flows.sweep(self.config.expiry_per_tick, |_, flow| {
            // The open window still needs it.
            if flow.in_window {
                return false;
            }
            let silent = now.saturating_sub(flow.last);
            let reason = if flow.key.proto == proto::TCP && flow.total.closed() && silent >= closed {
                EndReason::Closed
            } else if flow.total.packets[1] == 0 && silent >= unanswered {
                EndReason::Unanswered
            } else if silent >= idle {
                EndReason::Idle
            } else {
                if now.saturating_sub(flow.record_start) >= active {
                    ended.push(flow.record(EndReason::Active));
                    flow.recorded = flow.total;
                    flow.record_start = now;
                }
                return false;
            };
            if flow.total.packets != flow.recorded.packets {
                ended.push(flow.record(reason));
            }
            true
        });
    }

    /// Flows that were active in the open window, oldest first: an order that no hashing can change.
    pub fn active(&self) -> Vec<&Flow> {
        let mut flows: Vec<&Flow> = self.touched.iter().filter_map(|&slot| self.flows.get(slot)).collect();
        flows.sort_unstable_by(|one, other| (one.start, &one.key).cmp(&(other.start, &other.key)));
        flows
    }

    /// Begins the next window.
    pub fn next_window(&mut self) {
        for slot in self.touched.drain(..) {
            if let Some(flow) = self.flows.get_mut(slot) {
                flow.window = Carried::default();
                (flow.began, flow.ended, flow.in_window, flow.contact) = (false, false, false, None);
            }
        }
    }

    /// Ends everything: the input ended.
    pub fn end_all(&mut self) {
        let ended = &mut self.ended;
        self.flows.sweep(usize::MAX, |_, flow| {
            if flow.total.packets != flow.recorded.packets {
                ended.push(flow.record(EndReason::EndOfInput));
            }
            true
        });
    }

    /// Records since the last call, in order of start, then of key.
    pub fn take_ended(&mut self) -> Vec<FlowRecord> {
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable_by(|one, other| {
            let order =
                |r: &FlowRecord| (r.start, r.end, r.src, r.dst, r.src_port, r.dst_port, r.proto, r.vlan);
            order(one).cmp(&order(other)).then_with(|| one.tunnel.cmp(&other.tunnel))
        });
        ended
    }
}
