//! Traffic that teaches what looks like what: the office and the plant, and attacks of every kind and many strengths,
//! each with its label.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::attack::{Kind, Strength, aimed};
use super::benign::{self, Work};
use super::inside;
use super::wire::Wire;
use crate::eval::capture;
use crate::random::Random;

/// Seconds of the warm-up: learning, calibrating.
pub const WARMUP: [f64; 2] = [1200.0, 600.0];
/// The first attack.
const TEST: f64 = 2000.0;
/// From one attack to the next. Slow ones are not over by then.
const STEP: f64 = 75.0;
/// Gaps between tries, at least and at most, for each of three strengths; and how long an attack goes on.
const GAPS: [[f64; 2]; 3] = [[0.03, 0.2], [0.3, 1.5], [3.0, 9.0]];
const LENGTHS: [f64; 3] = [30.0, 60.0, 300.0];
const NAMES: [&str; 3] = ["fast", "medium", "slow"];

/// Kinds, the type that each teaches, and by how much its tries are more frequent than others'.
const TAUGHT: [(Kind, &str, f64); 22] = [
    (Kind::PortScan, "PortScan", 4.0),
    (Kind::HorizontalScan, "PortScan", 2.0),
    (Kind::UdpScan, "PortScan", 2.0),
    (Kind::SynFlood, "DoS", 40.0),
    (Kind::UdpFlood, "DoS", 60.0),
    (Kind::PingFlood, "DoS", 30.0),
    (Kind::SlowRequests, "DoS", 1.5),
    (Kind::SpoofedFlood, "DDoS", 40.0),
    (Kind::Reflection, "DDoS", 40.0),
    (Kind::BruteForce, "BruteForce", 1.0),
    (Kind::PatientLogins, "BruteForce", 0.5),
    (Kind::FtpLogins, "BruteForce", 1.0),
    (Kind::FormLogins, "BruteForce", 1.0),
    (Kind::DesktopLogins, "BruteForce", 1.0),
    (Kind::PageProbes, "WebAttack", 1.0),
    (Kind::Lateral, "Infiltration", 0.15),
    (Kind::Admin, "Infiltration", 0.15),
    (Kind::Beacon, "Bot", 0.15),
    (Kind::PlainBeacon, "Bot", 0.15),
    (Kind::DnsTunnel, "Bot", 1.0),
    (Kind::Exfiltration, "Exfiltration", 0.5),
    (Kind::BulkExfiltration, "Exfiltration", 0.3),
];

/// A capture of a seed, and its labels as lines of CSV.
pub fn capture(folder: &Path, seed: u64) -> Result<(PathBuf, Vec<String>)> {
    let mut wire = Wire::new(Random::new(seed, "taught"));
    let attacks = TAUGHT.len();
    let length = TEST + attacks as f64 * STEP + 600.0;
    let work =
        Work { duration: length, calm: 1.0, daily: false, news: [TEST + length * 0.3, TEST + length * 0.4] };
    benign::work(&mut wire, &work);
    // A day for each, so that one file of labels is for all.
    let later = seed * 86_400_000_000_000;
    let mut labels = Vec::new();
    for number in 0..attacks {
        // In steps, so that neighbours in time are of different types.
        let (kind, name, often) = TAUGHT[number * 9 % TAUGHT.len()];
        let level = (number + seed as usize) % GAPS.len();
        let [least, most] = GAPS[level];
        let gap = least * (most / least).powf(wire.random.unit()) / often;
        let length = LENGTHS[level] * wire.random.between(0.6, 1.2);
        let strength = Strength { name: NAMES[level], tries: (length / gap).clamp(6.0, 5_000.0) as u32, gap };
        let who = match wire.random.below(3) {
            0 if !matches!(kind, Kind::Lateral | Kind::Admin) && name != "Bot" && name != "Exfiltration" => {
                Ipv4Addr::new(192, 0, 2, 1 + wire.random.below(250) as u8)
            }
            _ => inside(0, 11 + ((number * 7 + seed as usize) % 20) as u8),
        };
        let at = TEST + number as f64 * STEP + wire.random.between(0.0, 20.0);
        let (event, target) = aimed(&mut wire, kind, strength, at, who);
        let source = if kind.is_spoofed() { String::new() } else { who.to_string() };
        let target = target.map(|host| host.to_string()).unwrap_or_default();
        let [start, end] = [event.start, event.end].map(|time| (time + later) as f64 / 1e9);
        labels.push(format!("{start:.3},{end:.3},{source},{target},,{name}"));
    }
    wire.packets.iter_mut().for_each(|packet| packet.time += later);
    wire.packets.sort_by_key(|packet| packet.time);
    let path = folder.join(format!("taught-{seed}.pcap"));
    capture::write(&path, &wire.packets)?;
    Ok((path, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_has_a_label_after_the_warmup_and_types_are_those_of_the_sensor() {
        let folder = std::env::temp_dir();
        let (path, labels) = capture(&folder, 99).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(labels.len(), TAUGHT.len());
        assert!(TAUGHT.iter().all(|(_, name, _)| labels.iter().any(|label| label.ends_with(name))));
        for label in &labels {
            let cells: Vec<&str> = label.split(',').collect();
            let start: f64 = cells[0].parse().unwrap();
            assert!(start > super::super::wire::BEGIN + TEST, "{label}");
            assert!(cells[1].parse::<f64>().unwrap() > start, "{label}");
            assert!(!cells[2].is_empty() || !cells[3].is_empty(), "{label}");
        }
    }
}
