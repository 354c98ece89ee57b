//! Steady polling in a SCADA lab (CSET 2016), an SMB exploit, and an intruder who charts the network.
//!
//! Neither capture has a prefix without the attack, so the warm-up is the packets of the second that are labelled
//! benign; they come again, with the attack, at the end.

use std::path::Path;

use anyhow::{Context, Result};

use super::super::capture::{self, Packet, begin_at, end, merge, nanoseconds};
use super::super::case::Case;
use super::super::outcome::Event;
use super::addresses;

const LEARN: f64 = 200.0;
const CALIBRATE: f64 = 100.0;
const CHARTING: &str = "characterization_modbus_6RTU_with_operate";
const EXPLOIT: &str = "exploit_ms08_netapi_modbus_6RTU_with_operate";
/// Malicious packets that are closer belong to one event, nanoseconds.
const CLOSE: u64 = 10_000_000_000;

/// One capture of everything.
pub fn cases(data: &Path, folder: &Path) -> Result<Vec<Case>> {
    let (charting, charted) = labelled(data, CHARTING)?;
    let (exploit, exploited) = labelled(data, EXPLOIT)?;
    let benign = charting.iter().zip(&charted).filter(|(_, bad)| !**bad).map(|(packet, _)| packet.clone());
    let mut packets: Vec<Packet> = benign.collect();
    let mut events = Vec::new();
    for (name, attack, bad) in [("SMB exploit", exploit, exploited), ("charting", charting, charted)] {
        let attack = begin_at(attack, end(&packets) + nanoseconds(60.0));
        events.extend(merged(name, &attack, &bad));
        packets = merge(packets, attack);
    }
    let path = folder.join("modbus.pcap");
    capture::write(&path, &packets)?;
    Ok(vec![Case::new("modbus", "both", path, &packets).warmup(LEARN, CALIBRATE).events(events)])
}

/// A capture and whether each of its packets is malicious, in time order.
fn labelled(data: &Path, name: &str) -> Result<(Vec<Packet>, Vec<bool>)> {
    let folder = data.join("modbus");
    let packets = capture::read(&folder.join(format!("{name}.pcap.gz")))?;
    let text = capture::text(&folder.join(format!("{name}_labeled.csv.gz")))?;
    let label = |line: &str| line.split_once(';').map(|(_, label)| label.trim() == "1");
    let labels: Option<Vec<bool>> = text.lines().map(label).collect();
    let labels = labels.with_context(|| format!("labels of {name}"))?;
    anyhow::ensure!(
        labels.len() == packets.len(),
        "{name}: {} labels, {} packets",
        labels.len(),
        packets.len()
    );
    let mut both: Vec<(Packet, bool)> = packets.into_iter().zip(labels).collect();
    both.sort_by_key(|(packet, _)| packet.time);
    Ok(both.into_iter().unzip())
}

/// Events of packets that are malicious.
fn merged(name: &str, packets: &[Packet], bad: &[bool]) -> Vec<Event> {
    let chosen: Vec<&Packet> =
        packets.iter().zip(bad).filter(|(_, bad)| **bad).map(|(packet, _)| packet).collect();
    let apart = |one: &&Packet, next: &&Packet| next.time - one.time < CLOSE;
    let runs = chosen.chunk_by(apart);
    runs.map(|run| {
        let own: Vec<Packet> = run.iter().map(|packet| (*packet).clone()).collect();
        Event {
            start: own.first().map_or(0, |packet| packet.time),
            end: end(&own),
            name: name.to_owned(),
            types: Vec::new(),
            hosts: addresses(&own),
            in_warmup: false,
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malicious_packets_become_events_where_they_are_close() {
        let seconds = [0, 1, 5, 14, 25, 26];
        let packets: Vec<Packet> =
            seconds.iter().map(|s| Packet { time: s * 1_000_000_000, wire: 60, data: Vec::new() }).collect();
        let events = merged("x", &packets, &[false, true, true, true, true, false]);
        let times: Vec<(u64, u64)> =
            events.iter().map(|event| (event.start / 1_000_000_000, event.end / 1_000_000_000)).collect();
        assert_eq!(times, [(1, 14), (25, 25)]);
    }
}
