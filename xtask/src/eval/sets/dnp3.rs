//! A substation lab of QUT (2017): a day with attacks, and a day without.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::super::capture::{self, nanoseconds};
use super::super::case::Case;
use super::super::outcome::Event;

/// The first attack comes 96 minutes after the first packet.
const LEARN: f64 = 3600.0;
const CALIBRATE: f64 = 1800.0;

/// The day with attacks, and the day without.
pub fn cases(data: &Path) -> Result<Vec<Case>> {
    let of = |set: &'static str, name: &str| -> Result<Case> {
        let path = data.join("dnp3").join(format!("{name}.pcap.gz"));
        let packets = capture::read(&path)?;
        let labels = data.join("dnp3").join(format!("{name}.events.csv"));
        let text = fs::read_to_string(&labels).with_context(|| format!("read {}", labels.display()))?;
        let events = events(&text).with_context(|| format!("read {}", labels.display()))?;
        Ok(Case::new(set, name, path, &packets).warmup(LEARN, CALIBRATE).events(events))
    };
    Ok(vec![
        of("dnp3-attacks", "attacks_training_infrequent")?,
        of("dnp3-control", "control_training_infrequent")?,
    ])
}

/// Lines of `start,end,type,detail`; the detail names hosts.
fn events(text: &str) -> Result<Vec<Event>> {
    let event = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let [start, end, name, detail] = cells[..] else { anyhow::bail!("not four cells: {line}") };
        let time = |cell: &str| cell.parse().map(nanoseconds).with_context(|| format!("no time: {cell}"));
        Ok(Event {
            start: time(start)?,
            end: time(end)?,
            name: name.to_owned(),
            types: Vec::new(),
            hosts: detail.split_whitespace().map(str::to_owned).collect(),
            in_warmup: false,
        })
    };
    text.lines().skip(1).filter(|line| !line.is_empty()).map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read() {
        let found = events("start,end,type,detail\n1.5,2.25,scan,\n3,4,replay,10.0.0.1 10.0.0.2\n").unwrap();
        assert_eq!((found[0].start, found[0].end, found[0].hosts.len()), (1_500_000_000, 2_250_000_000, 0));
        assert_eq!((found[1].name.as_str(), found[1].hosts.len()), ("replay", 2));
        assert!(events("head\n1;2;x;y\n").is_err());
    }
}
