//! Which packets make a flow, here and there.

use std::collections::HashMap;
use std::net::IpAddr;

use sensor_tests::frames::{flag, proto};

use crate::conversation::Packet;

const SECOND: u64 = 1_000_000_000;

/// Where the two differ, as `docs/flows.md` names it.
pub const REASONS: [&str; 4] = ["flow-timeout", "fin-ignored", "garbage-collection", "no-ipv6"];

/// The packets of a flow, each with whether it goes forward.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    pub packets: Vec<(Packet, bool)>,
}

type Tuple = ((IpAddr, u16), (IpAddr, u16), u8);

impl Segment {
    pub fn first(&self) -> &Packet {
        &self.packets[0].0
    }

    /// From the side that began it.
    pub fn flow_id(&self) -> String {
        let (packet, forward) = &self.packets[0];
        let (src, dst) = if *forward { (packet.src, packet.dst) } else { (packet.dst, packet.src) };
        format!("{}-{}-{}-{}-{}", src.0, dst.0, src.1, dst.1, packet.proto)
    }

    /// One direction, or all.
    pub fn of(&self, forward: Option<bool>) -> impl Iterator<Item = &Packet> {
        let is = move |direction: bool| forward.is_none_or(|wanted| wanted == direction);
        self.packets.iter().filter(move |(_, direction)| is(*direction)).map(|(packet, _)| packet)
    }

    pub fn duration(&self) -> u64 {
        let last = &self.packets[self.packets.len() - 1].0;
        last.time - self.first().time
    }

    fn latest(&self) -> u64 {
        self.first().time + self.duration()
    }

    fn closed(&self) -> bool {
        let has = |forward, flag| self.of(forward).any(|packet| packet.flags & flag != 0);
        has(None, flag::R) || (has(Some(true), flag::F) && has(Some(false), flag::F))
    }
}

/// TCP and UDP over IPv4 only.
pub fn known_to_cicflowmeter(packet: &Packet) -> bool {
    packet.src.0.is_ipv4() && matches!(packet.proto, proto::TCP | proto::UDP)
}

/// Vesper's: by handshake after a close, 5 s after a close, and 120 s after the start.
pub fn vesper(packets: &[Packet]) -> Vec<Segment> {
    struct Open {
        client: (IpAddr, u16),
        segment: Segment,
        closed: Option<u64>,
    }
    let mut open: HashMap<Tuple, Open> = HashMap::new();
    let mut done = Vec::new();
    for packet in packets {
        let opens = packet.flags & (flag::S | flag::A) == flag::S;
        let tuple = (packet.src.min(packet.dst), packet.src.max(packet.dst), packet.proto);
        let new = || Open { client: packet.src, segment: Segment::default(), closed: None };
        let flow = open.entry(tuple).or_insert_with(new);
        let over = flow.closed.is_some_and(|at| opens || packet.time - at > 5 * SECOND);
        let old = !flow.segment.packets.is_empty() && packet.time - flow.segment.first().time > 120 * SECOND;
        if over || old {
            let next = Open { client: if over || opens { packet.src } else { flow.client }, ..new() };
            done.push(std::mem::replace(flow, next).segment);
        }
        flow.segment.packets.push((packet.clone(), packet.src == flow.client));
        if flow.closed.is_none() && flow.segment.closed() {
            flow.closed = Some(packet.time);
        }
    }
    done.extend(open.into_values().map(|flow| flow.segment));
    done
}

/// CICFlowMeter's `FlowSession`: silences of more than 240 s; and whenever a thousandth packet comes, or one of a flow
/// that is older than 120 s, every flow that is silent for 240 s or 90 s old.
pub fn cicflowmeter(packets: &[Packet]) -> Vec<Segment> {
    let mut flows: HashMap<(Tuple, u64), Segment> = HashMap::new();
    let mut done = Vec::new();
    for (number, packet) in packets.iter().enumerate() {
        let there = ((packet.src, packet.dst, packet.proto), (packet.dst, packet.src, packet.proto));
        let (tuple, forward) = if !flows.contains_key(&(there.0, 0)) && flows.contains_key(&(there.1, 0)) {
            (there.1, false)
        } else {
            (there.0, true)
        };
        let mut count = 0;
        let mut expired = 240 * SECOND;
        while flows.get(&(tuple, count)).is_some_and(|flow| packet.time - flow.latest() > expired) {
            (count, expired) = (count + 1, expired + 240 * SECOND);
        }
        let flow = flows.entry((tuple, count)).or_default();
        flow.packets.push((packet.clone(), forward));
        if (number + 1) % 1000 == 0 || flow.duration() > 120 * SECOND {
            let over = |flow: &Segment| {
                packet.time - flow.latest() >= 240 * SECOND || flow.duration() >= 90 * SECOND
            };
            let (collected, rest) = flows.into_iter().partition(|(_, flow)| over(flow));
            let collected: HashMap<_, _> = collected;
            done.extend(collected.into_values());
            flows = rest;
        }
    }
    done.extend(flows.into_values());
    done
}

/// Seconds since 1970 as date and time of day in UTC; days of this traffic only.
pub fn timestamp(seconds: u64, date: &str) -> String {
    assert_eq!(seconds / 86_400, DAY, "the traffic is of one day");
    let rest = seconds % 86_400;
    let date = date.replace("%d", "01").replace("%m", "01").replace("%Y", "2026");
    format!("{date} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The other way, from CICFlowMeter's form.
pub fn seconds(timestamp: &str) -> u64 {
    let (date, time) = timestamp.split_once(' ').unwrap();
    assert_eq!(date, "2026-01-01");
    let parts: Vec<u64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    DAY * 86_400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
}

/// 2026-01-01.
const DAY: u64 = 20_454;
