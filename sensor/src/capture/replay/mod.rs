//! Capture files as a source: the offline twin of the interface.
//!
//! In: pcap and pcapng files, gzip of either, or standard input. Out: the same [`Event`]s as live capture, on the
//! capture's own clock. A file of any size is read in constant memory. A broken file gives its good records and a
//! warning; it never panics, never loops, and never stops the analysis of what came before.

mod ahead;

mod error;

mod facts;

mod format;

mod input;

mod link;

mod pcap;

mod pcapng;

mod plane;

mod record;

mod wheel;

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sensor_ebpf::control::{Control, mode};

use super::{Buffers, CaptureConfig, Event};
use crate::intel::Set;
pub use error::ReplayError;
use format::{Known, format};
use input::Input;
use pcap::Pcap;
use pcapng::Pcapng;
use plane::Plane;
use record::{AT_ONCE, Batch, Fault, Record};

/// Times later than this (year 2262) are moved here, so that no sum of times overflows.
const LATEST: u64 = i64::MAX as u64;
/// Warnings that are kept; more are counted.
const MAX_WARNINGS: usize = 64;
/// Unknown link types that are told apart.
const MAX_LINK_TYPES: usize = 16;

/// How the data plane behaves: the settings that the XDP program and the drain have when live.
#[derive(Clone, Debug)]
pub struct ReplayConfig {
    /// Which packets become samples.
    pub control: Control,
    /// Entries of the kernel's flow table.
    pub max_flows: usize,
    /// Time between ticks on the capture's clock, nanoseconds.
    pub drain_interval: u64,
    /// An entry of the kernel's flow table that saw no packet for so long is removed, nanoseconds.
    pub map_idle_timeout: u64,
    /// In a gap of the capture, ticks go on for so long, that later stages may end what is idle; nanoseconds.
    pub flow_idle_timeout: u64,
    /// Whether files are read and unpacked on a thread of their own.
    pub read_ahead: bool,
    /// Whether every packet is handed on, as [`Event::Packets`]; no live source does that.
    pub packets: bool,
    /// What new flows are looked up in.
    pub lists: Option<Arc<Set>>,
}

impl ReplayConfig {
    /// As the sensor would run live; `flow_idle_timeout` is the longest after which a flow ends.
    pub fn new(capture: &CaptureConfig, flow_idle_timeout: Duration) -> ReplayConfig {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        ReplayConfig {
            control: Control {
                mode: mode::MIRROR,
                first_packets: capture.sample.first_packets,
                one_in: capture.sample.one_in,
                flagged_per_second: capture.sample.flagged_per_second,
                other_per_second: capture.sample.other_per_second,
                ..Control::default()
            },
            max_flows: capture.flow_map_entries as usize,
            drain_interval: nanoseconds(capture.drain_interval),
            map_idle_timeout: nanoseconds(capture.map_idle_timeout),
            flow_idle_timeout: nanoseconds(flow_idle_timeout),
            read_ahead: false,
            packets: false,
            lists: None,
        }
    }
}

impl Default for ReplayConfig {
    fn default() -> ReplayConfig {
        ReplayConfig::new(&CaptureConfig::default(), Duration::from_secs(120))
    }
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Time of the first packet, nanoseconds since the Unix epoch; 0 without packets.
    pub first: u64,
    /// Time of the latest packet.
    pub last: u64,
    /// A file was cut off or broken; its good records were used.
    pub truncated: bool,
    /// For a person: what was odd, and what it means.
    pub warnings: Vec<String>,
}

/// Capture files, one after the other, as one stream of events.
pub struct Replay {
    waiting: VecDeque<Source>,
    current: Option<Reading>,
    plane: Plane,
    ready: VecDeque<Event>,
    read: Arc<AtomicU64>,
    read_ahead: bool,
    total: Option<u64>,
    clock: u64,
    summary: Summary,
    warnings_dropped: u64,
    back_in_time: u64,
    furthest_back: u64,
    unknown_links: Vec<(u32, u64)>,
    finished: bool,
}

/// A file that is still to come.
enum Source {
    Path(PathBuf),
    Opened(String, Box<Input>),
}

/// The file that is being read.
struct Reading {
    name: String,
    input: Box<Input>,
    format: Format,
}

/// How it is read.
enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl Replay {
    /// Opens capture files, which are read in this order; `-` is standard input. Files that are missing or no
    /// captures are refused here, before anything is analysed.
    pub fn open(files: &[PathBuf], config: ReplayConfig) -> Result<Replay, ReplayError> {
        let mut total = Some(0);
        for file in files {
            match std::fs::metadata(file) {
                Ok(meta) if meta.is_file() => {
                    let mut input = Input::open(file, &Arc::default(), false)?;
                    format(&file.display().to_string(), &mut input)?;
                    total = total.map(|sum: u64| sum + meta.len());
                }
                // A pipe can be opened once only.
                Ok(_) => total = None,
                Err(_) if file == Path::new("-") => total = None,
                Err(source) => {
                    return Err(ReplayError::Open { file: file.display().to_string(), source });
                }
            }
        }
        let waiting = files.iter().cloned().map(Source::Path).collect();
        Replay::new(waiting, Arc::default(), total, config)
    }

    /// Reads a capture from any reader, such as an upload; `name` stands in messages.
    pub fn from_reader(
        name: &str,
        reader: impl Read + Send + 'static,
        config: ReplayConfig,
    ) -> Result<Replay, ReplayError> {
        let read = Arc::default();
        let input = Input::new(reader, &read, config.read_ahead)
            .map_err(|source| ReplayError::Open { file: name.to_owned(), source })?;
        let waiting = VecDeque::from([Source::Opened(name.to_owned(), Box::new(input))]);
        let mut replay = Replay::new(waiting, read, None, config)?;
        replay.open_next()?;
        Ok(replay)
    }

    fn new(
        waiting: VecDeque<Source>,
        read: Arc<AtomicU64>,
        total: Option<u64>,
        config: ReplayConfig,
    ) -> Result<Replay, ReplayError> {
        for (name, value) in
            [("max_flows", config.max_flows as u64), ("drain_interval", config.drain_interval)]
        {
            if value == 0 {
                return Err(ReplayError::Setting { name, value });
            }
        }
        Ok(Replay {
            waiting,
            current: None,
            read_ahead: config.read_ahead,
            plane: Plane::new(config),
            ready: VecDeque::new(),
            read,
            total,
            clock: 0,
            summary: Summary::default(),
            warnings_dropped: 0,
            back_in_time: 0,
            furthest_back: 0,
            unknown_links: Vec::new(),
            finished: false,
        })
    }

    /// The next event; `None` once every file is read. After an error there are no more events.
    pub fn next_event(&mut self) -> Result<Option<Event>, ReplayError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.finished {
                return Ok(None);
            }
            if let Err(error) = self.read_on() {
                self.finished = true;
                return Err(error);
            }
        }
    }

    /// Where events are given back once they were read, so that reading on allocates nothing.
    pub fn buffers(&self) -> &Buffers {
        self.plane.buffers()
    }

    /// Bytes read from the files so far (compressed where they are), and their sum where it is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        // Relaxed: as where it is counted.
        (self.read.load(Ordering::Relaxed), self.total)
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.summary.packets
    }

    /// What the replay has come to so far.
    pub fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        if self.warnings_dropped > 0 {
            summary.warnings.push(format!("{} more files are broken or cut off", self.warnings_dropped));
        }
        if self.back_in_time > 0 {
            summary.warnings.push(format!(
                "{} packets are older than the packet before them, by up to {:.6} s; they count at the time of \
                 that packet. Give several files in order of time; `reordercap` sorts one file",
                self.back_in_time,
                self.furthest_back as f64 / 1e9
            ));
        }
        for (link_type, packets) in &self.unknown_links {
            let which = if *link_type == u32::MAX { "other types".to_owned() } else { link_type.to_string() };
            summary.warnings.push(format!(
                "{packets} packets have link type {which}, which is not understood: they are counted, not analysed"
            ));
        }
        summary
    }

    /// Reads until there is an event, or nothing more to read.
    fn read_on(&mut self) -> Result<(), ReplayError> {
        while self.ready.is_empty() && !self.finished {
            let Some(reading) = &mut self.current else {
                if !self.open_next()? {
                    self.plane.finish(&mut self.ready);
                    self.finished = true;
                }
                continue;
            };
            let mut batch = Batch::new();
            let read = match &mut reading.format {
                Format::Pcap(pcap) => pcap.read(&mut reading.input, &mut batch),
                Format::Pcapng(pcapng) => pcapng
                    .next(&mut reading.input)
                    .map(|record| record.into_iter().for_each(|one| batch.push(one))),
            };
            match read {
                Ok(()) if batch.records().is_empty() => self.current = None,
                Ok(()) => {
                    let mut times = [0; AT_ONCE];
                    for (record, now) in batch.records().iter().zip(&mut times) {
                        let time = record.time.unwrap_or(self.clock).min(LATEST);
                        if time < self.clock {
                            self.back_in_time += 1;
                            self.furthest_back = self.furthest_back.max(self.clock - time);
                        }
                        self.clock = self.clock.max(time);
                        *now = self.clock;
                        count(&mut self.summary, record, self.clock);
                        if !link::supported(record.link_type) {
                            note_link(&mut self.unknown_links, record.link_type);
                        }
                    }
                    self.plane.packets(batch.records(), &times, &mut self.ready);
                }
                Err(fault) => self.stop_reading(fault)?,
            }
        }
        Ok(())
    }

    /// Opens the next file; `false` when there is none.
    fn open_next(&mut self) -> Result<bool, ReplayError> {
        let (name, mut input) = match self.waiting.pop_front() {
            None => return Ok(false),
            Some(Source::Path(path)) => {
                (path.display().to_string(), Box::new(Input::open(&path, &self.read, self.read_ahead)?))
            }
            Some(Source::Opened(name, input)) => (name, input),
        };
        let known = format(&name, &mut input)?;
        let format = match known {
            Known::Pcapng => Format::Pcapng(Pcapng::new()),
            Known::Pcap => match Pcap::open(&mut input) {
                Ok(pcap) => Format::Pcap(pcap),
                Err(fault) => return self.damaged(&name, fault).map(|()| true),
            },
        };
        self.current = Some(Reading { name, input, format });
        Ok(true)
    }

    fn stop_reading(&mut self, fault: Fault) -> Result<(), ReplayError> {
        let name = self.current.take().map(|reading| reading.name).unwrap_or_default();
        self.damaged(&name, fault)
    }

    /// Notes where a file broke off; an error only where the system failed.
    fn damaged(&mut self, name: &str, fault: Fault) -> Result<(), ReplayError> {
        let (at, what) = match fault {
            Fault::Io(source) => {
                return Err(ReplayError::Read { file: name.to_owned(), source });
            }
            Fault::Damaged { at, what } => (at, what),
        };
        self.summary.truncated = true;
        if self.summary.warnings.len() < MAX_WARNINGS {
            self.summary.warnings.push(format!(
                "{name}: truncated/corrupt at byte {at}: {what}; the packets before it were used, the rest of \
                 this file was not"
            ));
        } else {
            self.warnings_dropped += 1;
        }
        Ok(())
    }
}

fn count(summary: &mut Summary, record: &Record<'_>, time: u64) {
    if summary.packets == 0 {
        summary.first = time;
    }
    summary.last = time;
    summary.packets += 1;
    summary.bytes += u64::from(record.wire_len);
}

fn note_link(seen: &mut Vec<(u32, u64)>, link_type: u32) {
    let room = seen.len() < MAX_LINK_TYPES;
    match seen.iter_mut().find(|(known, _)| *known == link_type) {
        Some((_, packets)) => *packets += 1,
        None if room => seen.push((link_type, 1)),
        None => {
            if let Some((other, packets)) = seen.last_mut() {
                *other = u32::MAX;
                *packets += 1;
            }
        }
    }
}
