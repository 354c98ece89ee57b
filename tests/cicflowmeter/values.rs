//! What columns are made of: plain passes over lists of packets, nothing of the code under test.

use sensor_tests::frames::proto;

use crate::construction::Segment;
use crate::conversation::Packet;

pub fn list(segment: &Segment, side: Option<bool>, of: fn(&Packet) -> usize) -> Vec<f64> {
    segment.of(side).map(|packet| of(packet) as f64).collect()
}

pub fn payloads(segment: &Segment, side: Option<bool>) -> Vec<f64> {
    list(segment, side, |packet| packet.payload)
}

pub fn frames(segment: &Segment, side: Option<bool>) -> Vec<f64> {
    list(segment, side, Packet::frame)
}

pub fn headers(segment: &Segment, side: Option<bool>) -> Vec<f64> {
    list(segment, side, Packet::header)
}

pub fn ip_headers(segment: &Segment, side: Option<bool>) -> Vec<f64> {
    list(segment, side, |packet| if packet.proto == proto::TCP { packet.ip_header() } else { 8 })
}

pub fn padded(packet: &Packet) -> usize {
    packet.payload + packet.padding()
}

/// Microseconds between packets.
pub fn gaps(segment: &Segment, side: Option<bool>) -> Vec<f64> {
    let times: Vec<u64> = segment.of(side).map(|packet| packet.time).collect();
    times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e3).collect()
}

/// A list of one has no statistics.
pub fn two(list: Vec<f64>) -> Vec<f64> {
    if list.len() < 2 { Vec::new() } else { list }
}

pub fn sum(list: &[f64]) -> f64 {
    list.iter().sum()
}

pub fn mean(list: &[f64]) -> f64 {
    sum(list) / list.len().max(1) as f64
}

pub fn max(list: &[f64]) -> f64 {
    list.iter().copied().reduce(f64::max).unwrap_or(0.0)
}

pub fn min(list: &[f64]) -> f64 {
    list.iter().copied().reduce(f64::min).unwrap_or(0.0)
}

pub fn squares(list: &[f64]) -> f64 {
    let mean = mean(list);
    list.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Of a sample.
pub fn std(list: &[f64]) -> f64 {
    (squares(list) / list.len().saturating_sub(1).max(1) as f64).sqrt()
}

/// Of a population.
pub fn std_n(list: &[f64]) -> f64 {
    (squares(list) / list.len().max(1) as f64).sqrt()
}

pub fn rate(segment: &Segment, count: f64) -> f64 {
    if segment.duration() == 0 { 0.0 } else { count / (segment.duration() as f64 / 1e9) }
}

pub fn flags(segment: &Segment, side: Option<bool>, flag: u8) -> f64 {
    segment.of(side).filter(|packet| packet.flags & flag != 0).count() as f64
}

pub fn window(segment: &Segment, side: Option<bool>) -> f64 {
    let first = segment.of(side).next().filter(|packet| packet.proto == proto::TCP);
    first.map_or(-1.0, |packet| f64::from(packet.window))
}

pub fn subflows(segment: &Segment) -> f64 {
    1.0 + gaps(segment, None).iter().filter(|gap| **gap > 1e6).count() as f64
}

/// Runs of packets with payload, of one side, with no payload of the other between them and no long pause.
pub fn in_bulk(segment: &Segment, forward: bool, size: fn(&Packet) -> usize, pause: u64) -> [f64; 3] {
    let mut runs: Vec<Vec<&Packet>> = Vec::new();
    let mut others = true;
    for (packet, side) in segment.packets.iter().filter(|(packet, _)| size(packet) > 0) {
        if *side != forward {
            others = true;
            continue;
        }
        let last = runs.last().and_then(|run| run.last());
        if others || last.is_none_or(|last| packet.time - last.time > pause) {
            runs.push(Vec::new());
        }
        others = false;
        runs.last_mut().unwrap().push(packet);
    }
    runs.retain(|run| run.len() >= 4);
    let bulks = runs.len().max(1) as f64;
    let bytes: usize = runs.iter().flatten().map(|packet| size(packet)).sum();
    let packets: usize = runs.iter().map(Vec::len).sum();
    let time: u64 = runs.iter().map(|run| run[run.len() - 1].time - run[0].time).sum();
    let rate = if time == 0 { 0.0 } else { bytes as f64 / (time as f64 / 1e9) };
    [bytes as f64 / bulks, packets as f64 / bulks, rate]
}

pub fn ours_in_bulk(segment: &Segment, forward: bool) -> [f64; 3] {
    in_bulk(segment, forward, |packet| packet.payload, 1_000_000_000)
}

pub fn theirs_in_bulk(segment: &Segment, forward: bool) -> [f64; 3] {
    in_bulk(segment, forward, padded, 1_000_000)
}

/// Active and idle stretches: a silence of more than 5 s ends one and is the other.
pub fn ours_active(segment: &Segment) -> [Vec<f64>; 2] {
    let (mut active, mut idle, mut since) = (Vec::new(), Vec::new(), 0.0);
    for gap in gaps(segment, None) {
        if gap > 5e6 {
            active.extend((since > 0.0).then_some(since));
            idle.push(gap);
            since = 0.0;
        } else {
            since += gap;
        }
    }
    [active, idle]
}

/// CICFlowMeter's `update_active_idle` is given a silence where it expects a time, and compares it in seconds with
/// 0.005; of one stretch there are no statistics.
pub fn theirs_active(segment: &Segment) -> [Vec<f64>; 2] {
    let (mut active, mut idle, mut start, mut last) = (Vec::new(), Vec::new(), 0.0f64, 0.0f64);
    for gap in gaps(segment, None).into_iter().filter(|gap| *gap > 1e3) {
        if gap - last > 5e3 {
            active.extend((last != start).then_some((last - start).abs()));
            idle.push(gap - last);
            start = gap;
        }
        last = gap;
    }
    [two(active), two(idle)]
}
