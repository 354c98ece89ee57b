//! One attack a file, each in the midst of ordinary traffic of another source: is it found, and called by its name?

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::capture::{self, Packet, begin_at, end, merge, nanoseconds};
use super::super::case::Case;
use super::super::outcome::Event;
use super::addresses;

const LEARN: f64 = 1200.0;
const CALIBRATE: f64 = 600.0;
/// When the attack begins, seconds after the ordinary traffic.
const ATTACK: f64 = 2100.0;
/// What follows the attack is cut here.
const LENGTH: f64 = 3600.0;
const NORMAL: &str = "dns_tunnel/normal_00002_20230805155315.pcap.gz";
const DEVICES: &str = "benign/iot_sentinel.tar.gz";
/// From the end of one device's set-up to the beginning of the next, seconds.
const BETWEEN: f64 = 2.0;
const CLASSES: [(&str, &[&str]); 4] = [
    ("DoS", &["DoS", "DDoS"]),
    ("PortScan", &["PortScan"]),
    ("BruteForce", &["BruteForce"]),
    ("WebAttack", &["WebAttack"]),
];

/// Each attack in each kind of ordinary traffic.
pub fn cases(data: &Path, folder: &Path) -> Result<Vec<Case>> {
    let normal = capture::read(&data.join(NORMAL))?;
    let backgrounds = [("dns", normal), ("iot", devices(data, folder)?)];
    let mut cases = Vec::new();
    for (background, packets) in backgrounds {
        let start = packets.iter().map(|packet| packet.time).min().unwrap_or(0);
        let mut packets = begin_at(packets, start);
        packets.retain(|packet| packet.time < start + nanoseconds(LENGTH));
        for (class, right) in CLASSES {
            for path in files(&data.join("typed").join(class), "gz")? {
                cases.push(spliced(&packets, background, class, right, &path, folder)?);
            }
        }
    }
    Ok(cases)
}

fn spliced(
    base: &[Packet],
    background: &str,
    class: &str,
    right: &[&str],
    path: &Path,
    folder: &Path,
) -> Result<Case> {
    let start = base.first().map_or(0, |packet| packet.time);
    let attack = begin_at(capture::read(path)?, start + nanoseconds(ATTACK));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let event = Event {
        start: attack.first().map_or(0, |packet| packet.time),
        end: end(&attack),
        name: format!("{class} ({}) in {background}", source(&file)),
        types: right.iter().map(|name| (*name).to_owned()).collect(),
        hosts: addresses(&attack),
        in_warmup: false,
    };
    let packets = merge(base.to_vec(), attack);
    let file = file.split_once(".pcap").map_or(&*file, |(name, _)| name).replace('.', "-");
    let name = format!("{background}-{class}-{file}");
    let path = folder.join(format!("typed-{name}.pcap"));
    capture::write(&path, &packets)?;
    Ok(Case::new("typed", name, path, &packets).warmup(LEARN, CALIBRATE).events(vec![event]))
}

/// Who made the capture.
fn source(file: &str) -> &str {
    ["markofu", "stopddos", "log4j"].into_iter().find(|source| file.starts_with(source)).unwrap_or("others")
}

/// Household devices being set up, one after the other.
fn devices(data: &Path, folder: &Path) -> Result<Vec<Packet>> {
    let unpacked = folder.join("iot");
    capture::unpack(&data.join(DEVICES), &unpacked)?;
    let mut packets: Vec<Packet> = Vec::new();
    let mut start = nanoseconds(1_470_000_000.0);
    // Round by round, so that every device is there in the warm-up.
    let mut left: Vec<Vec<PathBuf>> = Vec::new();
    for device in folders(&unpacked)? {
        left.push(files(&device, "pcap")?);
    }
    let rounds = left.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..rounds {
        for path in left.iter().filter_map(|files| files.get(round)) {
            let one = begin_at(capture::read(path)?, start);
            start = end(&one).max(start) + nanoseconds(BETWEEN);
            packets.extend(one);
        }
    }
    Ok(packets)
}

/// Folders below this one that hold captures, by name.
fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "pcap") && !found.contains(&folder) {
                found.push(folder.clone());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Files of a folder with this ending, by name.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files: Vec<PathBuf> = listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == ending));
    files.sort();
    Ok(files)
}
