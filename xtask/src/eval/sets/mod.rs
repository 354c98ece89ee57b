//! The captures that detectors are judged on, with their labels.

mod dnp3;
mod dns;
mod modbus;
mod typed;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::Result;

use super::capture::Packet;
use super::case::Case;
use super::lab;

/// Some captures that are judged alike.
pub struct Set {
    /// As `--only` names it.
    pub name: &'static str,
    /// Where its captures come from: below the folder of data, or from code where there is none.
    pub folder: Option<&'static str>,
    /// Each seed has traffic of its own; otherwise it seeds the detectors only.
    pub traffic_per_seed: bool,
    /// At most so many seeds: for one of many captures.
    pub most_seeds: u64,
    /// Alarms an hour that are allowed.
    pub budgets: &'static [f64],
    /// Makes the captures of a seed: from the folder of data, in the folder for what is made.
    pub cases: fn(&Path, &Path, u64) -> Result<Vec<Case>>,
}

/// One an hour, and one a day.
pub const BUDGETS: [f64; 2] = [1.0, DAILY];
const DAILY: f64 = 0.0417;

/// A set that code makes anew for each seed.
const fn made(name: &'static str, cases: fn(&Path, &Path, u64) -> Result<Vec<Case>>) -> Set {
    Set { name, folder: None, traffic_per_seed: true, most_seeds: u64::MAX, budgets: &BUDGETS, cases }
}

/// All sets.
pub const SETS: [Set; 8] = [
    Set {
        name: "dnp3",
        folder: Some("dnp3"),
        traffic_per_seed: false,
        most_seeds: u64::MAX,
        budgets: &[1.0, DAILY, 0.5, 2.0],
        cases: |data, _, _| dnp3::cases(data),
    },
    Set {
        name: "modbus",
        folder: Some("modbus"),
        traffic_per_seed: false,
        most_seeds: u64::MAX,
        budgets: &BUDGETS,
        cases: |data, folder, _| modbus::cases(data, folder),
    },
    Set {
        name: "dns",
        folder: Some("dns_tunnel"),
        traffic_per_seed: false,
        most_seeds: u64::MAX,
        budgets: &BUDGETS,
        cases: |data, folder, _| dns::cases(data, folder),
    },
    Set {
        name: "typed",
        folder: Some("typed"),
        traffic_per_seed: false,
        most_seeds: 1,
        budgets: &[1.0],
        cases: |data, folder, _| typed::cases(data, folder),
    },
    made("lab-clean", |_, folder, seed| Ok(vec![lab::case("lab-clean", 0, folder, seed)?])),
    made("lab-dirty-10", |_, folder, seed| Ok(vec![lab::case("lab-dirty-10", 10, folder, seed)?])),
    made("lab-dirty-30", |_, folder, seed| Ok(vec![lab::case("lab-dirty-30", 30, folder, seed)?])),
    made("lab-calm", |_, folder, seed| Ok(vec![lab::calm("lab-calm", folder, seed)?])),
];

/// Of addresses that a flood makes up, so many are enough to know it by.
const MOST_ADDRESSES: usize = 1000;

/// Addresses in these packets, those in most packets first.
fn addresses(packets: &[Packet]) -> Vec<String> {
    let mut counts: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for address in packets.iter().flat_map(|packet| ends(&packet.data)).flatten() {
        *counts.entry(address).or_default() += 1;
    }
    let mut counts: Vec<(IpAddr, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|&(address, count)| (std::cmp::Reverse(count), address));
    counts.iter().take(MOST_ADDRESSES).map(|(address, _)| address.to_string()).collect()
}

/// The addresses of an Ethernet frame with IP in it, behind a VLAN tag or not.
fn ends(frame: &[u8]) -> [Option<IpAddr>; 2] {
    let tag = if frame.get(12..14) == Some(&[0x81, 0x00]) { 4 } else { 0 };
    if let Some([0x88, 0x64]) = frame.get(12 + tag..14 + tag) {
        // A PPPoE session, and the protocol field of PPP in front of the packet.
        let mut bare = frame.get(..12).unwrap_or_default().to_vec();
        bare.extend_from_slice(if frame.get(20 + tag..22 + tag) == Some(&[0, 0x57]) {
            &[0x86, 0xdd]
        } else {
            &[0x08, 0]
        });
        bare.extend_from_slice(frame.get(22 + tag..).unwrap_or_default());
        return ends(&bare);
    }
    let four = |at: usize| {
        let octets: [u8; 4] = frame.get(at + tag..at + tag + 4)?.try_into().ok()?;
        Some(IpAddr::from(Ipv4Addr::from(octets)))
    };
    let six = |at: usize| {
        let octets: [u8; 16] = frame.get(at + tag..at + tag + 16)?.try_into().ok()?;
        Some(IpAddr::from(Ipv6Addr::from(octets)))
    };
    match frame.get(12 + tag..14 + tag) {
        Some([0x08, 0x00]) => [four(26), four(30)],
        Some([0x86, 0xdd]) => [six(22), six(38)],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_behind_a_tag_too() {
        let mut plain = vec![0; 34];
        plain[12..14].copy_from_slice(&[0x08, 0x00]);
        plain[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let mut tagged = plain.clone();
        tagged.splice(12..12, [0x81, 0x00, 0, 7]);
        tagged[37] = 3;
        let packets: Vec<Packet> =
            [plain, tagged, vec![0; 60]].into_iter().map(|data| Packet { time: 0, wire: 60, data }).collect();
        assert_eq!(addresses(&packets), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    }
}
