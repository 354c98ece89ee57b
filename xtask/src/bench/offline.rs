//! `bench offline`: the same capture through the sensor and through what a user would take instead.
//!
//! Measured traps: softflowd waits for a control socket for ever unless told `-c none`, and its table holds 8192
//! flows unless told more; NFStream is a process for each core, and its peak is that of the largest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::child::{Running, contestant};
use super::input::Input;
use super::table::Table;
use super::{Options, folder, sensor};
use crate::program::output;
use crate::setup;

/// Longer than the slowest needs on a slow machine.
const LIMIT: Duration = Duration::from_secs(300);
const NFSTREAM: &str = "nfstream";
/// Counts what NFStream says, and nothing else.
const NFSTREAM_SCRIPT: &str = "\
import sys
from nfstream import NFStreamer

if __name__ == '__main__':
    flows = packets = 0
    for flow in NFStreamer(source=sys.argv[1]):
        flows += 1
        packets += flow.bidirectional_packets
    print('flows:', flows, 'packets:', packets)
";

/// What contestants are given.
struct Place {
    folder: PathBuf,
    capture: PathBuf,
    sensor: PathBuf,
}

/// A program that reads a capture and accounts for its packets in flows.
struct Contestant {
    name: &'static str,
    command: fn(&Place) -> Command,
    /// Packets in its records, given what it printed.
    accounted: fn(&Place, &str) -> Result<u64>,
    /// At most so many rounds: for one that takes long and varies little.
    most_rounds: usize,
}

const CONTESTANTS: [Contestant; 5] = [
    Contestant { name: "vesper", command: vesper, accounted: vesper_packets, most_rounds: usize::MAX },
    Contestant {
        name: "softflowd",
        command: softflowd,
        accounted: |_, said| number_after(said, "Packets processed:"),
        most_rounds: usize::MAX,
    },
    Contestant { name: "nfpcapd", command: nfpcapd, accounted: nfdump_packets, most_rounds: usize::MAX },
    Contestant { name: "argus", command: argus, accounted: argus_packets, most_rounds: usize::MAX },
    Contestant {
        name: NFSTREAM,
        command: nfstream,
        accounted: |_, said| number_after(said, "packets:"),
        most_rounds: 2,
    },
];

/// `cargo xtask bench offline`.
pub fn run(options: &Options) -> Result<()> {
    setup::for_offline_bench()?;
    let with_nfstream = options.wants(NFSTREAM) && setup::for_nfstream();
    let input = options.input()?;
    let place = Place { folder: scratch("offline")?, capture: input.path.clone(), sensor: sensor()? };
    fs::write(place.folder.join("count_flows.py"), NFSTREAM_SCRIPT)
        .context("write the script for NFStream")?;
    // Not the settings of this machine.
    fs::write(place.folder.join("vesper.toml"), "").context("write the sensor's settings")?;

    let mut table = table(options, &input);
    let chosen = |one: &&Contestant| options.wants(one.name) && (one.name != NFSTREAM || with_nfstream);
    for round in 0..options.rounds {
        for contestant in CONTESTANTS.iter().filter(chosen).filter(|one| round < one.most_rounds) {
            measure(contestant, &place, &input, &mut table)
                .with_context(|| format!("{} in round {}", contestant.name, round + 1))?;
        }
        println!("round {} of {} done", round + 1, options.rounds);
    }
    if with_nfstream {
        table.note(format!("{NFSTREAM}: two rounds at most, for it takes long"));
    }
    table.publish()
}

fn table(options: &Options, input: &Input) -> Table {
    let title = format!("offline: {}, rounds: {}", input.described, options.rounds);
    let mut table = Table::new("offline", title);
    for (column, decimals) in
        [(SPEED, 3), ("CPU s", 2), ("wall s", 2), ("peak MiB", 0), ("packets accounted", 4)]
    {
        table.column(column, decimals);
    }
    table.ratio(SPEED, "softflowd");
    table.ratio(SPEED, NFSTREAM);
    table
}

const SPEED: &str = "M packets/CPU-s";

fn measure(one: &Contestant, place: &Place, input: &Input, table: &mut Table) -> Result<()> {
    for leftover in ["nf", "argus.out"] {
        let path = place.folder.join(leftover);
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    fs::create_dir_all(place.folder.join("nf")).context("make a folder for nfpcapd")?;
    let running = Running::start(one.name, &mut (one.command)(place), &place.folder)?;
    let done = running.finish(LIMIT)?.ok(one.name, None)?;
    let accounted = (one.accounted)(place, &done.said)?;
    table.add(one.name, SPEED, input.packets as f64 / done.cpu / 1e6);
    table.add(one.name, "CPU s", done.cpu);
    table.add(one.name, "wall s", done.wall);
    table.add(one.name, "peak MiB", done.peak_mib);
    table.add(one.name, "packets accounted", accounted as f64 / input.packets as f64);
    Ok(())
}

fn vesper(place: &Place) -> Command {
    let mut command = contestant(&place.sensor);
    command.args(["analyze", "--json", "--config", "vesper.toml"]).arg(&place.capture);
    command
}

fn vesper_packets(_: &Place, said: &str) -> Result<u64> {
    sensor_packets(said)
}

/// Packets that the sensor's summary accounts for; an error where its ledger does not balance.
pub fn sensor_packets(said: &str) -> Result<u64> {
    let line = said.lines().find(|line| line.starts_with('{')).context("the sensor gave no summary")?;
    let summary: Value = serde_json::from_str(line).context("read the sensor's summary")?;
    let residue = summary["residue"].as_object().context("the summary has no residues")?;
    if let Some((equation, left)) = residue.iter().find(|(_, left)| left.as_i64() != Some(0)) {
        bail!("the ledger does not balance: {equation} {left}; this is a fault of the sensor");
    }
    summary["packets"].as_u64().context("the summary has no packets")
}

fn softflowd(place: &Place) -> Command {
    let mut command = contestant("softflowd");
    command.arg("-r").arg(&place.capture).args(SOFTFLOWD).args(["-c", "none"]);
    command
}

/// Records go to a port where nobody listens. Its table is as large as the sensor's, IPv6 and VLANs are looked into.
pub const SOFTFLOWD: [&str; 12] =
    ["-d", "-n", "127.0.0.1:9995", "-v", "9", "-m", "262144", "-T", "vlan", "-6", "-p", "softflowd.pid"];

fn nfpcapd(place: &Place) -> Command {
    let mut command = contestant("nfpcapd");
    command.arg("-r").arg(&place.capture).args(["-w", "nf"]);
    command
}

fn nfdump_packets(place: &Place, _: &str) -> Result<u64> {
    nfpcapd_packets(&place.folder)
}

/// Packets in the records that nfpcapd left in `folder`.
pub fn nfpcapd_packets(folder: &Path) -> Result<u64> {
    number_after(&output(Command::new("nfdump").args(["-R", "nf", "-I"]).current_dir(folder))?, "Packets:")
}

fn argus(place: &Place) -> Command {
    let mut command = contestant("argus");
    command.args(["-F", "/dev/null", "-r"]).arg(&place.capture).args(["-w", "argus.out"]);
    command
}

fn argus_packets(place: &Place, _: &str) -> Result<u64> {
    racount_packets(&place.folder)
}

/// Packets in the records that argus left in `folder`: the second figure of the line `sum`.
pub fn racount_packets(folder: &Path) -> Result<u64> {
    let said = output(Command::new("racount").args(["-r", "argus.out"]).current_dir(folder))?;
    let words = said.lines().find_map(|line| line.trim_start().strip_prefix("sum")).unwrap_or_default();
    let packets = words.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    packets.with_context(|| format!("racount gave no sum: {said}"))
}

fn nfstream(place: &Place) -> Command {
    let mut command = contestant(setup::nfstream_python());
    command.arg("count_flows.py").arg(&place.capture);
    command
}

/// The number behind the last `label`.
pub fn number_after(text: &str, label: &str) -> Result<u64> {
    let (_, rest) = text.rsplit_once(label).with_context(|| format!("no `{label}` in: {text}"))?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("no number behind `{label}`"))
}

/// An empty folder for this bench.
pub fn scratch(name: &str) -> Result<PathBuf> {
    let folder = folder()?.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_each_says() {
        assert_eq!(
            number_after("Packets processed: 12\nPackets processed: 34 ", "Packets processed:").unwrap(),
            34
        );
        assert!(number_after("none", "Packets:").is_err());
        let summary =
            |residue: i64| format!("log\n{{\"packets\":5,\"residue\":{{\"wire\":0,\"flows\":{residue}}}}}");
        assert_eq!(sensor_packets(&summary(0)).unwrap(), 5);
        assert!(sensor_packets(&summary(2)).unwrap_err().to_string().contains("flows 2"));
    }
}
