//! The capture that contestants read or are sent: made from a seed, the same on every machine.
//!
//! 100,000 flows in 30 s, about 1.09 million frames of the least size: 60 % TCP and 25 % UDP over IPv4, 10 % IPv6
//! and 5 % behind a VLAN tag, half of these TCP. Connections are opened and mostly closed, lengths have a heavy
//! tail, checksums are right: no contestant may skip work because a frame is broken.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::frame::{Endpoints, Frame, Segment};
use crate::random::Random;

const FLOWS: usize = 100_000;
/// Packets aimed at; the tail of lengths makes it a few more or less.
const PACKETS: f64 = 1_090_000.0;
/// Packets of an average flow that open and close it.
const OVERHEAD: f64 = 3.53;
const SECONDS: f64 = 30.0;
const LONGEST_FLOW: f64 = 2_000.0;
/// Any day will do, but always the same: seconds since the Unix epoch.
const BEGIN: f64 = 1_780_000_000.0;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Ports that are tried, and by which host.
const SCANNED: u16 = 3000;
const SCANNER: u32 = 0x3f_fffe;

/// A capture file.
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// Packets in it.
    pub packets: u64,
    /// In words.
    pub described: String,
}

/// A packet to be.
struct Event {
    time: f64,
    flow: u32,
    segment: Segment,
}

/// Makes the capture in `folder`.
pub fn make(folder: &Path) -> Result<Input> {
    let (flows, events) = plan(&mut Random::new(1, "bench"));
    save(folder.join("flows.pcap"), &flows, &events)
}

/// The same, and near its end one host tries the ports of another: there is something to be alerted about.
pub fn make_with_scan(folder: &Path) -> Result<Input> {
    let (mut flows, mut events) = plan(&mut Random::new(1, "bench"));
    for port in 1..=SCANNED {
        let flow = flows.len() as u32;
        flows.push(Endpoints { six: false, tcp: true, vlan: 0, hosts: [SCANNER, 1], ports: [40_000, port] });
        let time = BEGIN + 26.0 + f64::from(port) / 1e3;
        events.push(Event {
            time,
            flow,
            segment: Segment { side: 0, flags: SYN, data: false, seq: 1, ack: 0 },
        });
    }
    events.sort_by(|one, other| one.time.total_cmp(&other.time));
    save(folder.join("scan.pcap"), &flows, &events)
}

fn save(path: PathBuf, flows: &[Endpoints], events: &[Event]) -> Result<Input> {
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    write(&mut out, flows, events)
        .and_then(|()| out.flush())
        .with_context(|| format!("write {}", path.display()))?;
    let packets = events.len() as u64;
    let described = format!("{packets} frames of 60 to 80 bytes (without FCS), {FLOWS} flows, {SECONDS} s");
    Ok(Input { path, packets, described })
}

/// A capture of the user's.
pub fn given(path: &Path) -> Result<Input> {
    let path = path.canonicalize().with_context(|| format!("find {}", path.display()))?;
    let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let packets = count(&bytes).with_context(|| format!("{}", path.display()))?;
    let described = format!("{packets} frames of {}", path.display());
    Ok(Input { path, packets, described })
}

/// Packets of a classic pcap file.
fn count(bytes: &[u8]) -> Result<u64> {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    let big = match word(0).map(u32::from_le_bytes) {
        Some(0xa1b2_c3d4 | 0xa1b2_3c4d) => false,
        Some(0xd4c3_b2a1 | 0x4d3c_b2a1) => true,
        _ => bail!("is no classic pcap file, which every contestant reads: `editcap -F pcap` makes one"),
    };
    let (mut at, mut packets) = (24, 0);
    while let Some(length) = word(at + 8) {
        let length = if big { u32::from_be_bytes(length) } else { u32::from_le_bytes(length) };
        at += 16 + length as usize;
        if at > bytes.len() {
            bail!("is cut off after {packets} packets: not every contestant would read it");
        }
        packets += 1;
    }
    Ok(packets)
}

fn plan(random: &mut Random) -> (Vec<Endpoints>, Vec<Event>) {
    let weights: Vec<f64> = (0..FLOWS).map(|_| heavy_tailed(random)).collect();
    let scale = (PACKETS - OVERHEAD * FLOWS as f64) / weights.iter().sum::<f64>();
    let mut flows = Vec::with_capacity(FLOWS);
    let mut events = Vec::with_capacity(PACKETS as usize);
    for (number, weight) in weights.iter().enumerate() {
        let ends = endpoints(random, number as u32);
        let packets = ((weight * scale + random.unit()) as u64).max(1);
        let start = BEGIN + random.between(0.0, SECONDS * 0.8);
        let gap = (SECONDS * 0.19 / (packets + 6) as f64).min(0.02);
        let mut time = start;
        for segment in if ends.tcp { connection(random, packets) } else { exchange(random, packets) } {
            events.push(Event { time, flow: number as u32, segment });
            time += random.exponential(gap);
        }
        flows.push(ends);
    }
    // Stable: what falls on one instant stays in order.
    events.sort_by(|one, other| one.time.total_cmp(&other.time));
    (flows, events)
}

/// Pareto with shape 1.2, from 1 on. Not [`Random::heavy_tailed`]: a fraction of a packet counts here.
fn heavy_tailed(random: &mut Random) -> f64 {
    (1.0 - random.unit()).powf(-1.0 / 1.2).min(LONGEST_FLOW)
}

fn endpoints(random: &mut Random, number: u32) -> Endpoints {
    let kind = random.unit();
    let (six, vlan) = ((0.85..0.95).contains(&kind), kind >= 0.95);
    let tcp = if kind < 0.85 { kind < 0.60 } else { random.below(2) == 0 };
    let vlan = if vlan { 10 * (1 + random.below(3) as u16) } else { 0 };
    // Few servers; a client for each flow: an odd factor scatters their numbers and keeps them apart.
    let client = number.wrapping_mul(0x9e37_79b1) & 0x3f_ffff;
    let server = random.below(16 * 256) as u32;
    let ports: &[u16] = if tcp { &[80, 443, 8443, 22, 25, 3306] } else { &[123, 443, 4500, 5353, 1194] };
    let service = ports[random.below(ports.len() as u64) as usize];
    let port = 1024 + random.below(64_000) as u16;
    Endpoints { six, tcp, vlan, hosts: [client, server], ports: [port, service] }
}

/// A TCP connection that carries so many segments of data.
fn connection(random: &mut Random, packets: u64) -> Vec<Segment> {
    let mut next = [random.bits() as u32, random.bits() as u32];
    let mut segments = Vec::with_capacity(packets as usize + 6);
    let mut add = |side: usize, flags: u8, data: bool| {
        let acked = if flags & ACK != 0 { next[1 - side] } else { 0 };
        segments.push(Segment { side, flags, data, seq: next[side], ack: acked });
        let length = if data { Frame::TCP_DATA as u32 } else { u32::from(flags & (SYN | FIN) != 0) };
        next[side] = next[side].wrapping_add(length);
    };
    add(0, SYN, false);
    add(1, SYN | ACK, false);
    add(0, ACK, false);
    for _ in 0..packets {
        let side = usize::from(random.unit() < 0.6);
        add(side, PSH | ACK, true);
    }
    let end = random.unit();
    if end < 0.7 {
        add(0, FIN | ACK, false);
        add(1, FIN | ACK, false);
        add(0, ACK, false);
    } else if end < 0.8 {
        add(1, RST | ACK, false);
    }
    segments
}

/// So many datagrams, the first from the client.
fn exchange(random: &mut Random, packets: u64) -> Vec<Segment> {
    let side = |number: u64, random: &mut Random| if number == 0 { 0 } else { random.below(2) as usize };
    (0..packets)
        .map(|number| Segment { side: side(number, random), flags: 0, data: true, seq: 0, ack: 0 })
        .collect()
}

fn write(out: &mut impl Write, flows: &[Endpoints], events: &[Event]) -> std::io::Result<()> {
    // Classic pcap, microseconds, Ethernet (pcap-savefile(5)).
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut frame = Frame::default();
    for (number, event) in events.iter().enumerate() {
        frame.build(&flows[event.flow as usize], &event.segment, number as u16);
        let bytes = frame.bytes();
        let (seconds, part) = (event.time.trunc(), event.time.fract());
        for word in [seconds as u32, (part * 1e6) as u32, bytes.len() as u32, bytes.len() as u32] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_mix_is_as_described_and_no_two_flows_are_one() {
        let (flows, events) = plan(&mut Random::new(1, "bench"));
        let share =
            |chosen: fn(&&Endpoints) -> bool| flows.iter().filter(chosen).count() as f64 / FLOWS as f64;
        let four = |tcp: bool| flows.iter().filter(|f| !f.six && f.vlan == 0 && f.tcp == tcp).count() as f64;
        for (found, wanted) in [
            (four(true) / FLOWS as f64, 0.60),
            (four(false) / FLOWS as f64, 0.25),
            (share(|f| f.six), 0.10),
            (share(|f| f.vlan != 0), 0.05),
            (events.len() as f64 / PACKETS, 1.0),
        ] {
            assert!((found - wanted).abs() < 0.02, "{found} is not {wanted}");
        }
        let distinct: HashSet<_> = flows.iter().map(|f| f.hosts[0]).collect();
        assert_eq!(distinct.len(), FLOWS);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_every_packet_is_counted() {
        let bytes = |seed| {
            let (flows, mut events) = plan(&mut Random::new(seed, "bench"));
            events.truncate(1000);
            let mut out = Vec::new();
            write(&mut out, &flows, &events).unwrap();
            out
        };
        let one = bytes(7);
        assert_eq!(one, bytes(7));
        assert_ne!(one, bytes(8));
        assert_eq!(count(&one).unwrap(), 1000);
        assert!(count(&one[..one.len() - 1]).is_err());
        assert!(count(b"\x0a\x0d\x0d\x0a pcapng").is_err());
    }
}
