//! Labelled traffic made by code, from a seed: an office and a plant at work, and attacks of each kind.
//!
//! An hour of warm-up, then attacks of every kind, fast and slow. Where the warm-up is dirty, five of the kinds are
//! there from its first second on, as the stated part of its flows, and go on afterwards; the others are new.

mod attack;
mod benign;
#[cfg(test)]
mod calm_tests;
mod content;
mod more;
mod talk;
pub mod taught;
mod wire;

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use super::capture;
use super::case::Case;
use super::outcome::Event;
use crate::random::Random;
use attack::{Kind, Strength, attack};
use benign::Work;
use wire::Wire;

const ROUTER: Ipv4Addr = inside(0, 1);
const DNS: Ipv4Addr = inside(0, 2);
const FILES: Ipv4Addr = inside(0, 3);

/// Seconds of the warm-up of the lab.
const LEARN: f64 = 2400.0;
const CALIBRATE: f64 = 1200.0;
/// The first attack of the test, and the distance of starts: fast ones, then slow ones.
const TEST: f64 = LEARN + CALIBRATE + 300.0;
const FAST_STEP: f64 = 180.0;
const SLOW_STEP: f64 = 150.0;
/// Without an attack, between the fast and the slow ones; what is new and benign comes here.
const QUIET: f64 = 2400.0;
/// A day and four hours of warm-up.
const CALM_SECONDS: f64 = 28.0 * 3600.0;

/// An address of the lab.
const fn inside(network: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 20, network, host)
}

const fn fast(tries: u32, gap: f64) -> Strength {
    Strength { name: "fast", tries, gap }
}

const fn slow(tries: u32, gap: f64) -> Strength {
    Strength { name: "slow", tries, gap }
}

/// Attacks that are over within two minutes, one at a time.
const FAST: [(Kind, Strength); 16] = [
    (Kind::PortScan, fast(1000, 0.005)),
    (Kind::HorizontalScan, fast(400, 0.05)),
    (Kind::SynFlood, fast(10_000, 0.002)),
    (Kind::SpoofedFlood, fast(20_000, 0.001)),
    (Kind::UdpFlood, fast(20_000, 0.0007)),
    (Kind::BruteForce, fast(250, 0.2)),
    (Kind::Exfiltration, fast(150, 0.2)),
    (Kind::DnsTunnel, fast(600, 0.1)),
    (Kind::ArpSpoofing, fast(60, 1.0)),
    (Kind::Lateral, fast(12, 2.0)),
    (Kind::PortScan, Strength { name: "medium", tries: 200, gap: 0.2 }),
    (Kind::SynFlood, Strength { name: "medium", tries: 2000, gap: 0.02 }),
    (Kind::SpoofedFlood, Strength { name: "medium", tries: 3000, gap: 0.015 }),
    (Kind::UdpFlood, Strength { name: "medium", tries: 3000, gap: 0.015 }),
    (Kind::BruteForce, Strength { name: "medium", tries: 60, gap: 1.0 }),
    (Kind::DnsTunnel, Strength { name: "medium", tries: 90, gap: 0.8 }),
];

/// Attacks that take minutes, one beside the other.
const SLOW: [(Kind, Strength); 9] = [
    (Kind::Beacon, fast(60, 30.0)),
    (Kind::Beacon, slow(30, 60.0)),
    (Kind::PortScan, slow(120, 3.0)),
    (Kind::HorizontalScan, slow(150, 2.5)),
    (Kind::BruteForce, slow(60, 7.0)),
    (Kind::Exfiltration, slow(30, 20.0)),
    (Kind::DnsTunnel, slow(200, 2.0)),
    (Kind::ArpSpoofing, slow(40, 10.0)),
    (Kind::Lateral, slow(6, 70.0)),
];

/// Who makes the slow ones, each its own: they go on at the same time, and an alert must not count for another.
const SLOW_ATTACKERS: [u8; SLOW.len()] = [13, 16, 19, 22, 25, 28, 14, 17, 20];

/// Kinds that a dirty warm-up holds, and what one of their attacks is made of.
const KNOWN: [Kind; 5] = [Kind::PortScan, Kind::BruteForce, Kind::SynFlood, Kind::DnsTunnel, Kind::Beacon];

/// The network with a warm-up in which so many parts of a hundred flows belong to attacks.
pub fn case(set: &'static str, dirty: u32, folder: &Path, seed: u64) -> Result<Case> {
    let mut wire = Wire::new(Random::new(seed, "lab"));
    let quiet = TEST + FAST.len() as f64 * FAST_STEP;
    let length = quiet + QUIET + SLOW.len() as f64 * SLOW_STEP + 1500.0;
    let work = Work { duration: length, calm: 1.0, daily: false, news: [quiet + 300.0, quiet + 900.0] };
    benign::work(&mut wire, &work);
    let share = f64::from(dirty) / 100.0;
    let ready = wire.flows as f64 * (LEARN + CALIBRATE) / length;
    let mut events = warmup_attacks(&mut wire, ready * share / (1.0 - share));
    events.extend(test_attacks(&mut wire, dirty > 0));
    finish(set, format!("seed{seed}"), wire, folder).map(|case| case.warmup(LEARN, CALIBRATE).events(events))
}

/// A day without an attack, after four hours of warm-up.
pub fn calm(set: &'static str, folder: &Path, seed: u64) -> Result<Case> {
    let wire = calm_wire(seed, CALM_SECONDS, [CALM_SECONDS * 0.4, CALM_SECONDS * 0.6]);
    finish(set, format!("seed{seed}"), wire, folder).map(|case| case.warmup(3.0 * 3600.0, 3600.0))
}

fn calm_wire(seed: u64, seconds: f64, news: [f64; 2]) -> Wire {
    let mut wire = Wire::new(Random::new(seed, "calm"));
    benign::work(&mut wire, &Work { duration: seconds, calm: 5.0, daily: true, news });
    wire
}

fn finish(set: &'static str, name: String, mut wire: Wire, folder: &Path) -> Result<Case> {
    wire.packets.sort_by_key(|packet| packet.time);
    let path = folder.join(format!("{set}-{name}.pcap"));
    capture::write(&path, &wire.packets)?;
    Ok(Case::new(set, name, path, &wire.packets))
}

/// Hosts that attack: two clients, and two hosts outside.
fn attacker(number: usize, kind: Kind) -> Ipv4Addr {
    let outsider = matches!(kind, Kind::SynFlood | Kind::SpoofedFlood | Kind::UdpFlood);
    match (outsider, number % 2) {
        (true, 0) => Ipv4Addr::new(192, 0, 2, 66),
        (true, _) => Ipv4Addr::new(192, 0, 2, 77),
        (false, 0) => inside(0, 13),
        (false, _) => inside(0, 16),
    }
}

/// From the first second to the end of the warm-up, so many flows of the kinds that are known.
fn warmup_attacks(wire: &mut Wire, flows: f64) -> Vec<Event> {
    const ATTACKS: usize = 20;
    let length = LEARN + CALIBRATE;
    if flows < 1.0 {
        return Vec::new();
    }
    let mut events = Vec::new();
    let step = length / ATTACKS as f64;
    for number in 0..ATTACKS {
        let kind = KNOWN[number % 4];
        // The tunnel's every name is two flows: to the resolver, and from it.
        let each = if kind == Kind::DnsTunnel { 2.0 } else { 1.0 };
        let tries = (flows / ATTACKS as f64 / each).max(1.0) as u32;
        let strength = Strength { name: "warm-up", tries, gap: (step * 0.9 / f64::from(tries)).min(1.0) };
        events.push(attack(wire, kind, strength, 0.5 + number as f64 * step, attacker(number, kind)));
    }
    let beacon = Strength { name: "warm-up", tries: (length / 30.0) as u32, gap: 30.0 };
    events.push(attack(wire, Kind::Beacon, beacon, 0.8, attacker(0, Kind::Beacon)));
    events
}

fn test_attacks(wire: &mut Wire, dirty: bool) -> Vec<Event> {
    let slow_from = TEST + FAST.len() as f64 * FAST_STEP + QUIET;
    let fast = FAST.iter().enumerate().map(|(number, one)| (one, TEST + number as f64 * FAST_STEP));
    let slow = SLOW.iter().enumerate().map(|(number, one)| (one, slow_from + number as f64 * SLOW_STEP));
    let planned: Vec<(&(Kind, Strength), f64)> = fast.chain(slow).collect();
    let put = |(number, (&(kind, strength), at)): (usize, (&(Kind, Strength), f64))| {
        let jitter = wire.random.between(0.0, 40.0);
        let who = match number.checked_sub(FAST.len()) {
            Some(slow) => inside(0, SLOW_ATTACKERS[slow]),
            None => attacker(number / 3, kind),
        };
        let mut event = attack(wire, kind, strength, at + jitter, who);
        event.in_warmup = dirty && KNOWN.contains(&kind);
        event
    };
    planned.into_iter().enumerate().map(put).collect()
}

#[cfg(test)]
mod tests {
    use super::wire::BEGIN;
    use super::*;
    use crate::eval::capture::nanoseconds;

    #[test]
    fn a_dirty_warmup_has_attacks_from_its_first_second_as_the_part_of_flows_that_was_asked_for() {
        for share in [0.1, 0.3] {
            let mut wire = Wire::new(Random::new(1, "test"));
            let benign = 9000.0;
            let events = warmup_attacks(&mut wire, benign * share / (1.0 - share));
            let part = wire.flows as f64 / (wire.flows as f64 + benign);
            assert!((part - share).abs() < 0.03, "{part} is not {share}");
            let first = events.iter().map(|event| event.start).min().unwrap();
            let last = events.iter().map(|event| event.end).max().unwrap();
            assert!(first < nanoseconds(BEGIN + 1.0));
            assert!(last > nanoseconds(BEGIN + LEARN + CALIBRATE * 0.8));
        }
        assert!(warmup_attacks(&mut Wire::new(Random::new(1, "test")), 0.0).is_empty());
    }

    #[test]
    fn attacks_of_the_test_come_after_the_warmup_name_their_hosts_and_repeat_with_the_seed() {
        let make = |seed| {
            let mut wire = Wire::new(Random::new(seed, "test"));
            let events = test_attacks(&mut wire, true);
            (events, wire.packets)
        };
        let (events, packets) = make(3);
        assert_eq!(events.len(), FAST.len() + SLOW.len());
        for event in &events {
            assert!(event.start > nanoseconds(BEGIN + LEARN + CALIBRATE), "{event:?}");
            assert!(event.start < event.end && !event.hosts.is_empty(), "{event:?}");
        }
        assert!(events.iter().any(|event| event.in_warmup) && events.iter().any(|event| !event.in_warmup));
        assert_eq!((&events, &packets), (&make(3).0, &make(3).1));
        assert_ne!(packets, make(4).1);
        // Fast ones are over before the next begins.
        for pair in events[..FAST.len()].windows(2) {
            assert!(pair[0].end < pair[1].start, "{pair:?}");
        }
    }
}
