//! Labels: which attack was when, by whom, on whom. A CSV file with the columns `start,end,source,destination,port,type`;
//! times are seconds since the Unix epoch or RFC 3339; an empty source, destination or port is any.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Deserialize;

use crate::alert::ThreatType;
use crate::analysis::Exemplar;
use crate::flow::SECOND;
use crate::telemetry::printable;
use sensor_ebpf::parse::mapped;

/// More lines are no labels that a person made, nor a lab.
const MOST: usize = 100_000;
/// An attack shows until so long after its last packet: connections time out.
const GRACE: u64 = 10 * SECOND;
/// And its hosts are not quite themselves for this long.
const AFTERMATH: u64 = 60 * SECOND;

/// Labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: csv::Error,
    },
    /// A line.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong and what is right.
        what: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    start: String,
    end: String,
    source: String,
    destination: String,
    port: String,
    r#type: ThreatType,
}

/// A labelled attack.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    start: u64,
    end: u64,
    source: Option<[u8; 16]>,
    destination: Option<[u8; 16]>,
    port: Option<u16>,
    /// What it is.
    pub kind: ThreatType,
}

/// What the labels say of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is part of the attack of this number.
    Attack(usize),
    /// It has to do with an attack, but is not it: teaches nothing.
    Touched,
    /// It has to do with no attack.
    Ordinary,
}

/// Reads and checks the labels.
pub fn read(path: &Path) -> Result<Vec<Label>, LabelError> {
    let failed = |source| LabelError::File { path: path.to_owned(), source };
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_path(path).map_err(failed)?;
    let mut labels = Vec::new();
    for (number, line) in reader.deserialize::<Line>().enumerate() {
        let wrong = |what: String| LabelError::Line { path: path.to_owned(), line: number + 2, what };
        if number >= MOST {
            return Err(wrong(format!("more than {MOST} labels: split the file")));
        }
        labels.push(label(&line.map_err(failed)?).map_err(wrong)?);
    }
    Ok(labels)
}

fn label(line: &Line) -> Result<Label, String> {
    let [start, end] = [&line.start, &line.end].map(|text| time(text));
    let (start, end) = (start?, end?);
    if end < start {
        return Err("it ends before it starts".to_owned());
    }
    let port = match line.port.as_str() {
        "" => None,
        text => {
            let wrong = |_| format!("port {:?} is not 0 to 65535, nor empty", printable(text, 20));
            Some(text.parse().map_err(wrong)?)
        }
    };
    let (source, destination) = (address(&line.source)?, address(&line.destination)?);
    Ok(Label { start, end, source, destination, port, kind: line.r#type })
}

fn time(text: &str) -> Result<u64, String> {
    let wrong = || format!("time {:?} is neither seconds since 1970 nor RFC 3339", printable(text, 40));
    if let Ok(seconds) = text.parse::<f64>() {
        // As a float a time of this century is exact to a microsecond.
        return if (0.0..1.8e10).contains(&seconds) { Ok((seconds * 1e9) as u64) } else { Err(wrong()) };
    }
    let time = humantime::parse_rfc3339_weak(text).map_err(|_unfit| wrong())?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_unfit| wrong())?;
    u64::try_from(since.as_nanos()).map_err(|_unfit| wrong())
}

fn address(text: &str) -> Result<Option<[u8; 16]>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(IpAddr::V4(address)) => Ok(Some(mapped(address.octets()))),
        Ok(IpAddr::V6(address)) => Ok(Some(address.octets())),
        Err(_) => Err(format!("{:?} is no IP address, nor empty", printable(text, 60))),
    }
}

impl Label {
    fn fits(&self, row: &Exemplar) -> bool {
        let is = |wanted: Option<[u8; 16]>, seen: &[u8; 16]| wanted.is_none_or(|wanted| wanted == *seen);
        let (one, Some(other)) = (&row.source, &row.destination) else {
            // A host shows the attack whether it makes or suffers it.
            let named = [self.source, self.destination];
            return named.contains(&Some(row.source)) || named == [None, None];
        };
        let ends = is(self.source, one) && is(self.destination, other);
        let turned = is(self.source, other) && is(self.destination, one);
        (ends || turned) && self.port.is_none_or(|port| port == row.port || turned)
    }

    fn touches(&self, row: &Exemplar) -> bool {
        let ends = [Some(row.source), row.destination];
        [self.source, self.destination].iter().any(|named| named.is_some() && ends.contains(named))
    }
}

/// What the labels say of a row.
pub fn said(labels: &[Label], row: &Exemplar) -> Said {
    let during =
        |label: &Label, more: u64| (label.start..=label.end.saturating_add(more)).contains(&row.time);
    if let Some(number) = labels.iter().position(|label| during(label, GRACE) && label.fits(row)) {
        return Said::Attack(number);
    }
    match labels.iter().any(|label| during(label, AFTERMATH) && label.touches(row)) {
        true => Said::Touched,
        false => Said::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::scorer::Kind;

    fn row(source: [u8; 4], destination: Option<[u8; 4]>, second: u64) -> Exemplar {
        Exemplar {
            kind: if destination.is_some() { Kind::Flow } else { Kind::Host },
            time: second * SECOND,
            source: mapped(source),
            destination: destination.map(mapped),
            port: 22,
            inputs: Vec::new(),
            unusual: true,
            named: false,
        }
    }

    #[test]
    fn a_row_belongs_to_the_attack_of_its_hosts_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        let text = "start,end,source,destination,port,type\n100,120.5,10.0.0.9,10.0.0.2,22,BruteForce\n\
                    1970-01-01T00:05:00Z,1970-01-01T00:05:10Z,,10.0.0.3,,DDoS\n";
        std::fs::write(&path, text).unwrap();
        let labels = read(&path).unwrap();
        let (attacker, victim, other) = ([10, 0, 0, 9], [10, 0, 0, 2], [10, 0, 0, 7]);
        for (row, wanted) in [
            (row(attacker, Some(victim), 110), Said::Attack(0)),
            (row(victim, Some(attacker), 130), Said::Attack(0)),
            (row(attacker, None, 110), Said::Attack(0)),
            (row(attacker, Some(other), 110), Said::Touched),
            (row(victim, Some(attacker), 150), Said::Touched),
            (row(attacker, Some(victim), 99), Said::Ordinary),
            (row(other, Some([10, 0, 0, 3]), 305), Said::Attack(1)),
            (row(other, None, 305), Said::Ordinary),
        ] {
            assert_eq!(said(&labels, &row), wanted, "{row:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        for (line, wanted) in [
            ("9,8,,,,DoS", "line 2: it ends before it starts"),
            ("1,2,10.0.0.256,,,DoS", "is no IP address"),
            ("1,2,,,70000,DoS", "is not 0 to 65535"),
            ("soon,2,,,,DoS", "is neither seconds since 1970 nor RFC 3339"),
            ("1,2,,,,Wickedness", "unknown variant"),
            ("1,2,,DoS", "found record with 4 fields"),
        ] {
            std::fs::write(&path, format!("start,end,source,destination,port,type\n{line}\n")).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(wanted), "{line}: {error}");
        }
    }
}
