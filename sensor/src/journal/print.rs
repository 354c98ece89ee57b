//! `vesper journal`: what was seen, as lines for people or JSON for programs.
//!
//! Nothing here is text from packets: addresses, numbers, and names that this program wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value, json};

use super::reader::{Entry, Reader, Span};
use super::record::{KIND_NAMES, Key, Row, feature};
use super::writer::JournalError;
use crate::alert::report::protocol;
use crate::config::duration;
use crate::flow::ip;
use crate::status::rfc3339;
use crate::telemetry::printable;

/// Services of a host that are told apart in the closing table; the rest are one.
const MOST_SERVICES: usize = 10_000;
/// Of these, lines.
const SHOWN_SERVICES: usize = 20;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct JournalOptions {
    /// The journal.
    pub folder: PathBuf,
    /// Only rows in which this host takes part.
    pub host: Option<IpAddr>,
    /// Not before: a time, or how long before the latest window.
    pub since: Option<String>,
    /// Not after.
    pub until: Option<String>,
    /// Only unusual rows.
    pub unusual: bool,
    /// One JSON object a line.
    pub json: bool,
}

/// The journal cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// It cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nobody listens.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// A time that is none.
    #[error(
        "`{text}` is no time: write 2026-11-21T08:00:00Z, 2026-11-21, or 90m for so long before the latest window"
    )]
    Time {
        /// What was written.
        text: String,
    },
}

/// Writes the rows that are wanted to `out`, and what a person should know about the journal to `notes`.
pub fn print(
    options: &JournalOptions,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), PrintError> {
    let latest = Reader::latest(&options.folder)?.unwrap_or(0);
    let time = |text: &Option<String>, other| text.as_ref().map_or(Ok(other), |text| time(text, latest));
    let span = Span { since: time(&options.since, 0)?, until: time(&options.until, u64::MAX)? };
    let mut reader = Reader::open(&options.folder, span)?;
    let host = options.host.map(octets);
    let mut seen = Seen::default();
    for entry in reader.by_ref() {
        seen.windows += 1;
        for row in &entry.window.rows {
            let about = host.is_none_or(|host| row.key.is_about(&host));
            if !about || (options.unusual && !row.unusual) {
                continue;
            }
            if options.json {
                writeln!(out, "{}", object(&entry, row))?;
            } else {
                writeln!(out, "{}", Line(&entry, row))?;
            }
            seen.add(&entry, row);
        }
    }
    if host.is_some() && !options.json {
        seen.services(out)?;
    }
    out.flush()?;
    for note in &reader.notes {
        writeln!(notes, "{note}")?;
    }
    seen.close(notes)?;
    Ok(())
}

/// The time that `text` means.
fn time(text: &str, latest: u64) -> Result<u64, PrintError> {
    if let Ok(before) = duration::parse(text) {
        return Ok(latest.saturating_sub(u64::try_from(before.as_nanos()).unwrap_or(u64::MAX)));
    }
    let whole = if text.len() == "2026-11-21".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = humantime::parse_rfc3339_weak(&whole).ok();
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .ok_or_else(|| PrintError::Time { text: printable(text, 60) })
}

/// As the journal has it.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address).octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

struct Who<'a>(&'a Key);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Key::Flow { src, src_port, dst, dst_port, proto } => {
                write!(f, "{} {} > {} {} {}", ip(src), src_port, ip(dst), dst_port, protocol(*proto))
            }
            Key::Host { address } => write!(f, "{}", ip(address)),
            Key::Link { source, address: Some(address) } => write!(f, "{} {}", Mac(source), ip(address)),
            Key::Link { source, address: None } => write!(f, "{}", Mac(source)),
        }
    }
}

struct Mac<'a>(&'a [u8; 6]);

impl fmt::Display for Mac<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A row for people.
struct Line<'a>(&'a Entry, &'a Row);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line(entry, row) = self;
        let kind = row.key.kind();
        let [out, back] = row.packets;
        let [bytes_out, bytes_back] = row.bytes;
        write!(
            f,
            "{} {:<4} {} packets {out}/{back} bytes {bytes_out}/{bytes_back} score {:.2} of {:.2} stands for {:.0}",
            rfc3339(entry.window.start),
            KIND_NAMES[kind],
            Who(&row.key),
            row.score,
            entry.window.threshold,
            row.weight
        )?;
        match row.alert {
            Some(threat) => write!(f, " {threat:?}"),
            None if row.unusual => f.write_str(" unusual"),
            None => Ok(()),
        }
    }
}

/// A row for programs.
fn object(entry: &Entry, row: &Row) -> Value {
    let (window, kind) = (&entry.window, row.key.kind());
    let names = &entry.layout.features[kind];
    let features: Map<String, Value> = names
        .iter()
        .zip(&row.features)
        .map(|(name, value)| (printable(name, 100), json!(feature(*value))))
        .collect();
    let members: Map<String, Value> = entry.layout.members[kind]
        .iter()
        .zip(&row.members)
        .map(|(name, value)| (printable(name, 100), json!(value)))
        .collect();
    let mut object = json!({
        "window_start": rfc3339(window.start),
        "window_end": rfc3339(window.end),
        "kind": KIND_NAMES[kind],
        "packets": row.packets,
        "bytes": row.bytes,
        "score": row.score,
        "threshold": window.threshold,
        "state": window.state,
        "generation": window.generation,
        "weight": row.weight,
        "unusual": row.unusual,
        "suspect": row.suspect,
        "alert": row.alert,
        "members": members,
        "features": features,
    });
    let who = match &row.key {
        Key::Flow { src, src_port, dst, dst_port, proto } => json!({
            "src_ip": ip(src), "src_port": src_port, "dst_ip": ip(dst), "dst_port": dst_port,
            "proto": protocol(*proto),
        }),
        Key::Host { address } => json!({ "ip": ip(address) }),
        Key::Link { source, address } => {
            json!({ "mac": Mac(source).to_string(), "ip": address.as_ref().map(ip) })
        }
    };
    if let (Value::Object(object), Value::Object(who)) = (&mut object, who) {
        object.extend(who);
    }
    object
}

/// What went by.
#[derive(Default)]
struct Seen {
    windows: u64,
    rows: u64,
    stands_for: f64,
    unusual: u64,
    first: Option<u64>,
    last: u64,
    services: BTreeMap<Service, (f64, u64)>,
    beyond: u64,
}

/// From, to, port, protocol.
type Service = ([u8; 16], [u8; 16], u16, u8);

impl Seen {
    fn add(&mut self, entry: &Entry, row: &Row) {
        self.rows += 1;
        self.stands_for += f64::from(row.weight);
        self.unusual += u64::from(row.unusual);
        self.first.get_or_insert(entry.window.start);
        self.last = self.last.max(entry.window.end);
        let Key::Flow { src, dst, dst_port, proto, .. } = row.key else { return };
        let service = (src, dst, dst_port, proto);
        if self.services.len() >= MOST_SERVICES && !self.services.contains_key(&service) {
            self.beyond += 1;
            return;
        }
        let (weight, unusual) = self.services.entry(service).or_default();
        *weight += f64::from(row.weight);
        *unusual += u64::from(row.unusual);
    }

    /// Who used which service of whom, the most first.
    fn services(&self, out: &mut impl Write) -> io::Result<()> {
        let mut services: Vec<_> = self.services.iter().collect();
        services.sort_by(|(_, one), (_, other)| other.0.total_cmp(&one.0));
        if !services.is_empty() {
            writeln!(out, "\nabout so many windows of flows, of them unusual (all are known):")?;
        }
        for ((src, dst, port, proto), (weight, unusual)) in services.iter().take(SHOWN_SERVICES) {
            let (src, dst, proto) = (ip(src), ip(dst), protocol(*proto));
            writeln!(out, "{weight:>10.0} {unusual:>8}  {src} > {dst} {port} {proto}")?;
        }
        let more = services.len().saturating_sub(SHOWN_SERVICES) as u64 + self.beyond;
        if more > 0 {
            writeln!(out, "and {more} more")?;
        }
        Ok(())
    }

    fn close(&self, notes: &mut impl Write) -> io::Result<()> {
        let Some(first) = self.first else {
            return writeln!(notes, "no such rows in {} windows", self.windows);
        };
        writeln!(
            notes,
            "{} rows, {} of them unusual, standing for {:.0}, in {} windows from {} to {}",
            self.rows,
            self.unusual,
            self.stands_for,
            self.windows,
            rfc3339(first),
            rfc3339(self.last)
        )
    }
}
