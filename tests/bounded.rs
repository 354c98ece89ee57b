//! A million distinct peers through the whole analysis: invented addresses, DNS names and MAC addresses. The tables hold
//! what they may, the process grows no more once they are full, and a window takes no longer than the one before.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the time that a window takes is measured")]

use std::time::{Duration, Instant};

use sensor::analysis::{Analysis, AnalysisConfig};
use sensor::capture::{FLOW_BATCH, FlowDelta, Link, Sample, Tick};
use sensor_ebpf::flow::{FlowKey, FlowStats, proto, tcp};
use sensor_ebpf::parse::mapped;

const SECOND: u64 = 1_000_000_000;
const EPOCH: u64 = 1_700_000_000 * SECOND;
/// New peers a second, and so many seconds.
const PEERS: u64 = 25_000;
const SECONDS: u64 = 48;
/// Growth is measured from here on: the tables are full, and the score is active.
const FULL: u64 = 12;

/// SplitMix64 (Steele, Lea and Flood 2014).
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A peer that was never seen speaks to a server; every other one is answered.
fn delta(peer: u64, time: u64) -> FlowDelta {
    let bits = mix(peer).to_be_bytes();
    // A bijection of the number's low bits: no address comes twice.
    let address = [11 + (peer >> 24) as u8, (peer >> 16) as u8, (peer >> 8) as u8, peer as u8];
    let from = (mapped(address), 1024 | u16::from_be_bytes([bits[0], bits[1]]));
    let service = [80, 443, 53, 22][usize::from(bits[2] % 4)];
    let to = (mapped([10, 0, 0, 1 + bits[3] % 200]), service);
    let (key, reverse) = FlowKey::canonical(from, to, [0; 3], proto::TCP);
    let direction = usize::from(reverse);
    let mut grown = FlowStats { first: time, initiator: direction as u64, ..FlowStats::default() };
    grown.add_packet(direction, 60, tcp::SYN, time);
    if peer.is_multiple_of(2) {
        grown.add_packet(1 - direction, 60, tcp::SYN | tcp::ACK, time);
    }
    FlowDelta { key, grown }
}

/// A DNS question for a name under a domain of its own.
fn question(peer: u64, time: u64) -> Sample {
    let (label, domain) = (format!("{:08x}", mix(peer) as u32), format!("d{peer:x}"));
    let mut dns = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for part in [&label[..], &domain[..], "com"] {
        dns.push(part.len() as u8);
        dns.extend_from_slice(part.as_bytes());
    }
    dns.extend_from_slice(&[0, 0, 1, 0, 1]);
    let mut frame = ethernet(peer, 0x0800);
    let udp = 8 + dns.len() as u16;
    let [total, udp] = [(20 + udp).to_be_bytes(), udp.to_be_bytes()];
    frame.extend_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend_from_slice(&[12, (peer >> 16) as u8, (peer >> 8) as u8, peer as u8, 10, 0, 0, 53]);
    frame.extend_from_slice(&[0xc0, 0, 0, 53, udp[0], udp[1], 0, 0]);
    frame.extend_from_slice(&dns);
    sample(frame, time)
}

/// An ARP request from a MAC address and for an address that were never seen.
fn arp(peer: u64, time: u64) -> Sample {
    let mut frame = ethernet(peer, 0x0806);
    let mac: [u8; 6] = frame[6..12].try_into().unwrap();
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[13, (peer >> 16) as u8, (peer >> 8) as u8, peer as u8]);
    frame.extend_from_slice(&[0, 0, 0, 0, 0, 0, 14, (peer >> 16) as u8, (peer >> 8) as u8, peer as u8]);
    sample(frame, time)
}

fn ethernet(peer: u64, ethertype: u16) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.push(2);
    frame.extend_from_slice(&(peer as u32).to_be_bytes());
    frame.push(7);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame
}

fn sample(frame: Vec<u8>, time: u64) -> Sample {
    Sample { time, wire_len: frame.len() as u32, weight: 1, link: Link::Ethernet, frame: frame.into() }
}

/// Bytes of this process that are in memory (proc_pid_statm(5), in pages of 4 KiB on the machines we build for).
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn a_million_peers_take_no_more_room_and_no_more_time() {
    let mut config = AnalysisConfig::default();
    config.flow.max_flows = 50_000;
    config.features.max_rows = 20_000;
    config.features.max_hosts = 20_000;
    config.features.max_pairs = 40_000;
    config.features.max_services = 5_000;
    config.features.max_macs = 4_000;
    config.features.max_app_flows = 4_000;
    config.features.max_domains = 4_000;
    config.score.warmup_time = Duration::from_secs(4);
    config.score.calibration_time = Duration::from_secs(4);
    let mut analysis = Analysis::new(&config).unwrap();
    let (mut grown, mut times) = (Vec::new(), Vec::new());
    for second in 0..SECONDS {
        let now = EPOCH + second * SECOND;
        let peers = second * PEERS..(second + 1) * PEERS;
        let time = |peer: u64| now + (peer % PEERS) * (SECOND / PEERS);
        let deltas: Vec<FlowDelta> = peers.clone().map(|peer| delta(peer, time(peer))).collect();
        let samples: Vec<Sample> =
            peers.flat_map(|peer| [question(peer, time(peer)), arp(peer, time(peer))]).collect();
        let started = Instant::now();
        for batch in deltas.chunks(FLOW_BATCH) {
            analysis.flows(batch);
        }
        for batch in samples.chunks(256) {
            analysis.samples(batch);
        }
        analysis.tick(&Tick { time: now + SECOND, ..Tick::default() }).unwrap();
        times.push(started.elapsed().as_secs_f64());
        drop((deltas, samples));
        grown.push(resident());
    }
    let tables = analysis.tables();
    println!("{tables:?}\nresident MB: {:?}", grown.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>());
    println!("seconds a window: {times:.2?}");
    const { assert!(PEERS * SECONDS >= 1_000_000) };
    assert_eq!(analysis.state().name(), "active");
    assert!(tables.flows <= 50_000 && tables.hosts <= 20_000 && tables.pairs <= 40_000, "{tables:?}");
    assert!(tables.links.macs <= 4_000 && tables.links.streams <= 16_000 && tables.links.owners <= 16_000);
    assert!(tables.app.flows <= 4_000 && tables.app.domains <= 4_000, "{tables:?}");
    // Nothing is dropped without a count.
    assert!(tables.host_overflow > 0 && tables.memory_overflow > 0 && tables.links.overflow > 0);
    assert!(tables.flow_overflow_packets > 0 && tables.app.overflow > 0, "{tables:?}");
    let (samples, rows, _) = analysis.bins();
    assert_eq!(samples.parsed + samples.shed_not_in_flow, 2 * PEERS * SECONDS);
    assert_eq!(rows.made, rows.scored + rows.shed_limit);
    // A full second's input is about 13 MB, which the allocator may or may not give back.
    let (full, end) = (grown[FULL as usize], grown[SECONDS as usize - 1]);
    assert!(end.saturating_sub(full) < 32 << 20, "grew from {} to {} MB", full >> 20, end >> 20);
    let median = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let (early, late) = (median(&times[FULL as usize..24]), median(&times[36..]));
    assert!(late < 3.0 * early + 0.1, "a window took {early:.2} s, and {late:.2} s in the end");
}
