//! Real resolver traffic, and two tunnels behind it in time. The false alarms are those of the normal traffic, the
//! tunnels are judged by the minute.

use std::path::Path;

use anyhow::Result;

use super::super::capture::{self, begin_at, end, merge, nanoseconds};
use super::super::case::Case;
use super::super::outcome::Event;
use super::addresses;

/// Of the half hour in which the first capture is busy.
const LEARN: f64 = 1200.0;
const CALIBRATE: f64 = 600.0;
const WARMUP: &str = "normal_00002_20230805155315.pcap.gz";
const NORMAL: &str = "normal_00025_20230805222942.pcap.gz";
const TUNNELS: [&str; 2] = ["tunnel_dns2tcp_key", "tunnel_dnscat2_txt"];

/// One capture of everything.
pub fn cases(data: &Path, folder: &Path) -> Result<Vec<Case>> {
    let folder_of_data = data.join("dns_tunnel");
    let first = capture::read(&folder_of_data.join(WARMUP))?;
    let start = first.iter().map(|packet| packet.time).min().unwrap_or(0);
    let first = begin_at(first, start);
    let second = begin_at(capture::read(&folder_of_data.join(NORMAL))?, end(&first) + nanoseconds(60.0));
    let mut packets = merge(first, second);
    let mut events = Vec::new();
    for name in TUNNELS {
        let tunnel = capture::read(&folder_of_data.join(format!("{name}.pcap.gz")))?;
        let tunnel = begin_at(tunnel, end(&packets) + nanoseconds(600.0));
        events.push(Event {
            start: tunnel.first().map_or(0, |packet| packet.time),
            end: end(&tunnel),
            name: name.to_owned(),
            types: ["Exfiltration", "Bot"].map(str::to_owned).to_vec(),
            hosts: addresses(&tunnel),
            in_warmup: false,
        });
        packets = merge(packets, tunnel);
    }
    let path = folder.join("dns.pcap");
    capture::write(&path, &packets)?;
    Ok(vec![Case::new("dns", "tunnels", path, &packets).warmup(LEARN, CALIBRATE).events(events)])
}
