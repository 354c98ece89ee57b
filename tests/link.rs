//! The rules of the link layer on real captures, from a folder outside of the repository: `VESPER_DATA`, or
//! `../shared/data` beside the workspace. Every ARP attack of a substation's day is told within two seconds, and the day
//! without attacks, homes and offices are silent.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor::alert::link_rules::judge_link;
use sensor::alert::rules::Verdict;
use sensor::alert::{AlertConfig, ThreatType};
use sensor::capture::Event;
use sensor::capture::replay::{Replay, ReplayConfig, ReplayError};
use sensor::features::FeaturesConfig;
use sensor::features::link::{LinkTables, Links};
use sensor::features::rows::Window;

const SECOND: u64 = 1_000_000_000;
/// Until a window of the attack is closed.
const IN_TIME: f64 = 2.0;
/// A verdict this long after an event still belongs to it: contests are remembered for half a minute.
const GRACE: f64 = 60.0;

/// What was said at the end of a window, seconds.
struct Said {
    time: f64,
    verdict: Verdict,
}

fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("VESPER_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("SKIPPED: no capture data at {}; set VESPER_DATA to a folder of captures", path.display());
        return None;
    }
    Some(path)
}

/// All verdicts on a capture, windows of a second; `None` where the file is no capture.
fn judge(path: &Path) -> Option<(Vec<Said>, LinkTables, u64)> {
    let mut replay = match Replay::open(&[path.to_owned()], ReplayConfig::default()) {
        Ok(replay) => replay,
        Err(ReplayError::NotCapture { .. }) => return None,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let (mut links, config) = (Links::new(&FeaturesConfig::default()), AlertConfig::default());
    let (mut said, mut rows, mut made) = (Vec::new(), Vec::new(), 0);
    let mut start = None;
    let mut latest = 0;
    let mut close = |links: &mut Links, start: u64, end: u64| {
        links.close(Window { start, end }, &mut rows);
        made += rows.len() as u64;
        let verdicts = rows.iter().filter_map(|facts| judge_link(facts, &config));
        said.extend(verdicts.map(|verdict| Said { time: end as f64 / 1e9, verdict }));
    };
    while let Some(event) = replay.next_event().unwrap() {
        match event {
            Event::Samples(samples) => {
                for sample in &samples {
                    match sample.link.parse(&sample.frame) {
                        Ok(_) => links.note_ip(sample),
                        Err(_) => drop(links.note(sample)),
                    }
                }
            }
            Event::Tick(tick) => {
                let begun = *start.get_or_insert(tick.time);
                latest = tick.time;
                if latest / SECOND > begun / SECOND {
                    close(&mut links, begun, latest);
                    start = Some(latest);
                }
            }
            _ => {}
        }
    }
    if let Some(start) = start {
        close(&mut links, start, latest);
    }
    Some((said, links.tables(), made))
}

/// The first of each kind in each group of verdicts less than a minute apart.
fn print(said: &[Said]) {
    let mut latest: BTreeMap<ThreatType, f64> = BTreeMap::new();
    for Said { time, verdict } in said {
        if latest.insert(verdict.kind, *time).is_none_or(|before| time - before > 60.0) {
            println!("{time:.3} {:?} {:.1} {}", verdict.kind, verdict.strength, verdict.narrative);
        }
    }
}

#[test]
fn every_arp_attack_on_a_substation_is_told_in_time_and_nothing_else() {
    let (Some(capture), Some(events)) = (
        data("dnp3/attacks_training_infrequent.pcap.gz"),
        data("dnp3/attacks_training_infrequent.events.csv"),
    ) else {
        return;
    };
    let (said, tables, rows) = judge(&capture).unwrap();
    print(&said);
    println!("{rows} rows, {tables:?}");
    let mut events = csv::Reader::from_path(events).unwrap();
    let events: Vec<(f64, f64, String)> = events
        .records()
        .map(Result::unwrap)
        .map(|event| (event[0].parse().unwrap(), event[1].parse().unwrap(), event[2].to_owned()))
        .collect();
    let mut told = 0;
    for (start, end, name) in &events {
        let expected = match name.as_str() {
            "nmap" => ThreatType::PortScan,
            name if name.starts_with("MITM") => ThreatType::Infiltration,
            _ => continue,
        };
        let first = said.iter().find(|said| said.verdict.kind == expected && said.time >= *start);
        let delay = first.map_or(f64::INFINITY, |said| said.time - start);
        println!("{name}: {delay:.2} s of {:.1} s", end - start);
        assert!(delay <= IN_TIME, "{name} at {start}: told after {delay:.2} s");
        told += 1;
    }
    assert_eq!(told, 4, "three times a man in the middle, and a sweep");
    for Said { time, verdict } in &said {
        let within = events.iter().any(|(start, end, _)| (*start..=end + GRACE).contains(time));
        assert!(within, "{time}: {verdict:?}");
    }
}

#[test]
fn a_day_without_attacks_is_silent() {
    let Some(capture) = data("dnp3/control_training_infrequent.pcap.gz") else {
        return;
    };
    let (said, tables, rows) = judge(&capture).unwrap();
    print(&said);
    println!("{rows} rows, {tables:?}");
    assert!(said.is_empty());
}

/// Devices that join a network: probes, announcements, leases.
#[test]
fn devices_being_set_up_are_silent() {
    let Some((captures, rows, said)) = judge_archive("benign/iot_sentinel.tar.gz") else {
        return;
    };
    assert!(captures > 100 && rows > 0);
    assert_eq!(said, 0);
}

/// Odd and broken ones: whatever is in them, nothing panics.
#[test]
fn odd_captures_are_judged_too() {
    let Some((captures, rows, _)) = judge_archive("parser/captures.tar.gz") else {
        return;
    };
    assert!(captures > 1000 && rows > 0);
}

/// Captures, rows and verdicts of an archive.
fn judge_archive(name: &str) -> Option<(u64, u64, usize)> {
    let archive = data(name)?;
    let into = tempfile::tempdir().unwrap();
    let done = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(into.path()).status().unwrap();
    assert!(done.success());
    let mut folders = vec![into.path().to_owned()];
    let (mut captures, mut rows, mut verdicts) = (0, 0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some((said, _, made)) = judge(&path) {
                if !said.is_empty() {
                    println!("{}:", path.file_name().unwrap_or_default().display());
                }
                print(&said);
                (captures, rows, verdicts) = (captures + 1, rows + made, verdicts + said.len());
            }
        }
    }
    println!("{captures} captures, {rows} rows");
    Some((captures, rows, verdicts))
}
