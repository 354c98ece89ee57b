//! The rules on content against real captures: `../shared/data`, or where `VESPER_DATA` points. Without it, these tests say
//! so and show nothing.

use super::app_rules::judge_app;
use super::config::AlertConfig;
use super::rules::Verdict;
use crate::capture::{CaptureConfig, Event, Tick};

use crate::capture::replay::{Replay, ReplayConfig};
use crate::features::config::FeaturesConfig;
use crate::features::rows::{Active, Features, Rows, Window};
use crate::flow::SECOND;
use crate::flow::config::FlowConfig;
use crate::flow::table::FlowTable;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("VESPER_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    if !folder.is_dir() {
        eprintln!("SKIPPED: no captures at {}; set VESPER_DATA", folder.display());
        return None;
    }
    Some(folder)
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Rows of all windows of a capture, judged; the first argument is the second since its first packet.
fn judged(file: &Path, mut each: impl FnMut(u64, Option<Verdict>)) {
    let (flow, alert) = (FlowConfig::default(), AlertConfig::default());
    let settings = ReplayConfig::new(&CaptureConfig::default(), flow.idle_timeout);
    let mut replay = Replay::open(&[file.to_path_buf()], settings).unwrap();
    let mut table = FlowTable::new(&flow);
    let mut features = Features::new(&FeaturesConfig::default());
    let mut rows = Rows::new();
    let (mut first, mut start) = (None, 0);
    let mut last = 0;
    loop {
        // The end closes the open window.
        let end = Event::Tick(Tick { time: last + SECOND, ..Tick::default() });
        let read = replay.next_event().unwrap();
        let ended = read.is_none();
        match read.unwrap_or(end) {
            Event::Samples(samples) => {
                for sample in &samples {
                    first.get_or_insert(sample.time);
                    if let Ok(packet) = sample.link.parse(&sample.frame) {
                        let payload = sample.frame.get(usize::from(packet.payload_at)..).unwrap_or_default();
                        features.app.sample(&packet, payload, sample.time, sample.weight);
                    }
                }
            }
            Event::Flows(deltas) => table.apply(&deltas, |_, _| ()),
            Event::Tunnels(_) | Event::Listed(_) | Event::Lists(_) | Event::Packets(_) => (),
            Event::Tick(tick) => {
                last = tick.time;
                if tick.time / SECOND > start / SECOND {
                    let mut active = Active { table: &mut table, beyond: &mut [] };
                    features.close(Window { start, end: tick.time }, &mut active, &mut rows);
                    for &place in &rows.flows {
                        let facts = features.flow_facts(&rows, active.get(place));
                        let since = facts.last.saturating_sub(first.unwrap_or(facts.last));
                        each(since / SECOND, judge_app(&facts, &alert));
                    }
                    table.next_window();
                    start = tick.time;
                }
                table.expire(tick.time);
            }
        }
        if ended {
            return;
        }
    }
}

#[test]
fn tunnels_over_dns_are_told_from_ordinary_names() {
    let Some(folder) = data() else { return };
    let (mut found, mut bins, mut false_bins, mut ordinary) = (0, 0, 0, 0);
    for file in captures(&folder.join("dns_tunnel")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut minutes: BTreeMap<u64, Option<Verdict>> = BTreeMap::new();
        judged(&file, |second, verdict| {
            let minute = minutes.entry(second / 60).or_default();
            if verdict.is_some() {
                *minute = verdict;
            }
        });
        let alerted = minutes.values().flatten().count();
        println!("{name}: {alerted} of {} minutes", minutes.len());
        if let Some(verdict) = minutes.values().flatten().next() {
            println!("  {:.1} {}", verdict.strength, verdict.narrative);
        }
        let missed: Vec<u64> =
            minutes.iter().filter(|(_, verdict)| verdict.is_none()).map(|(minute, _)| *minute).collect();
        if name.starts_with("tunnel") {
            println!("  missed: {missed:?}");
            (found, bins) = (found + alerted, bins + minutes.len());
        } else {
            (false_bins, ordinary) = (false_bins + alerted, ordinary + minutes.len());
        }
    }
    println!("tunnels: {found} of {bins} minutes; ordinary: {false_bins} of {ordinary} minutes");
    assert!(bins > 0 && found as f64 >= 0.95 * bins as f64, "{found} of {bins}");
    assert!(ordinary > 0 && false_bins as f64 * 60.0 <= ordinary as f64, "{false_bins} of {ordinary}");
}

#[test]
fn attacks_on_web_applications_are_marked() {
    let Some(folder) = data() else { return };
    let (mut found, mut all) = (0, 0);
    for file in captures(&folder.join("typed/WebAttack")) {
        let mut verdicts = Vec::new();
        judged(&file, |_, verdict| verdicts.extend(verdict));
        println!("{}: {}", file.file_name().unwrap().to_string_lossy(), verdicts.len());
        verdicts
            .iter()
            .take(3)
            .for_each(|verdict| println!("  {:.1} {}", verdict.strength, verdict.narrative));
        (found, all) = (found + usize::from(!verdicts.is_empty()), all + 1);
    }
    println!("{found} of {all}");
    assert!(found >= 6, "{found} of {all}");
}

#[test]
fn ordinary_captures_have_neither() {
    let Some(folder) = data() else { return };
    let mut verdicts = Vec::new();
    for file in captures(&folder.join("dnp3")).into_iter().chain(captures(&folder.join("typed/PortScan"))) {
        if file.extension().is_some_and(|extension| extension == "gz") {
            judged(&file, |_, verdict| verdicts.extend(verdict));
        }
    }
    verdicts
        .iter()
        .for_each(|verdict| println!("{:?} {:.1} {}", verdict.kind, verdict.strength, verdict.narrative));
    assert!(verdicts.is_empty());
}
