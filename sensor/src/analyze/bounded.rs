//! The analysis of a capture that a stranger uploaded: in limits of its own, and with a word about its progress.
//!
//! `--bounded`, which the API passes, is for that alone: the process lowers its priority, limits its memory and CPU time,
//! ends with its parent, and reads no more than so many bytes and packets.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flate2::bufread::MultiGzDecoder;
use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};

use super::AnalyzeError;
use crate::capture::replay::{Replay, ReplayConfig, ReplayError};

/// In front of a share of the work, on standard error.
pub const LINE_OF_PROGRESS: &str = "vesper-progress ";
/// Packets that are read.
const MOST_PACKETS: u64 = 10_000_000;
/// Bytes that are read, once unpacked.
const MOST_BYTES: u64 = 1 << 30;
/// Seconds of CPU time; the kernel warns at the first, and ends the process at the second.
const CPU_SECONDS: [u64; 2] = [60, 65];
/// Address space, bytes: some ten times what an analysis takes.
const MOST_MEMORY: u64 = 4 << 30;
/// Lower than anything that watches packets.
const NICE: i32 = 10;
/// The first bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How far the reading is.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Bytes that left the disk, unpacked or not.
    read: Arc<AtomicU64>,
    unpacked: Arc<AtomicU64>,
    total: u64,
    told: Option<u64>,
}

impl Bounds {
    /// Puts this process in its limits.
    pub(super) fn enter() -> Result<(), AnalyzeError> {
        let failed = |what: &'static str| {
            move |error: rustix::io::Errno| AnalyzeError::Limits { what, source: error.into() }
        };
        let limit = |soft: u64, hard: u64| Rlimit { current: Some(soft), maximum: Some(hard) };
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("ending with the parent"))?;
        nice(NICE).map_err(failed("priority"))?;
        setrlimit(Resource::As, limit(MOST_MEMORY, MOST_MEMORY)).map_err(failed("memory"))?;
        setrlimit(Resource::Cpu, limit(CPU_SECONDS[0], CPU_SECONDS[1])).map_err(failed("CPU time"))?;
        setrlimit(Resource::Core, limit(0, 0)).map_err(failed("core files"))
    }

    /// Opens a capture, of which no more than [`MOST_BYTES`] will be read.
    pub(super) fn open(path: &Path, settings: ReplayConfig) -> Result<(Replay, Bounds), AnalyzeError> {
        let name = "the capture";
        let failed = |source: io::Error| ReplayError::Open { file: name.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let bounds = Bounds { total: file.metadata().map_err(failed)?.len(), ..Bounds::default() };
        let mut reader = BufReader::with_capacity(128 << 10, Counted(file, bounds.read.clone()));
        let packed = io::BufRead::fill_buf(&mut reader).map_err(failed)?.starts_with(&GZIP);
        let reader: Box<dyn Read + Send> = if packed {
            let mut unpacked = BufReader::new(MultiGzDecoder::new(reader));
            // Each layer would multiply what a small file can become.
            let head = io::BufRead::fill_buf(&mut unpacked).map_err(failed)?;
            if head.starts_with(&GZIP) {
                return Err(failed(io::Error::other("gzip within gzip: unpack it")).into());
            }
            Box::new(unpacked)
        } else {
            Box::new(reader)
        };
        let limited = Counted(reader.take(MOST_BYTES), bounds.unpacked.clone());
        Ok((Replay::from_reader(name, limited, settings)?, bounds))
    }

    /// Says how far it is, where that is news; refuses what is too much.
    pub(super) fn look(&mut self, packets: u64) -> Result<(), AnalyzeError> {
        if packets > MOST_PACKETS {
            return Err(AnalyzeError::TooMuch { packets: MOST_PACKETS });
        }
        let share = self.read.load(Relaxed) * 100 / self.total.max(1);
        if self.told != Some(share) {
            self.told = Some(share);
            eprintln!("{LINE_OF_PROGRESS}{:.2}", share.min(99) as f64 / 100.0);
        }
        Ok(())
    }

    /// What a person should know at the end.
    pub(super) fn warning(&self) -> Option<String> {
        let all = self.unpacked.load(Relaxed) >= MOST_BYTES;
        all.then(|| format!("only the first {MOST_BYTES} bytes of the capture, unpacked, were read"))
    }
}

/// Counts what is read. Only a display and a limit read the count: no order is needed.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.0.read(buffer)?;
        self.1.fetch_add(got as u64, Relaxed);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_within_gzip_is_refused_and_progress_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcap.gz");
        let mut pcap = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        pcap.extend([0, 0, 4, 0, 1, 0, 0, 0]);
        std::fs::write(&path, packed(&packed(&pcap))).unwrap();
        let error = Bounds::open(&path, ReplayConfig::default()).err().unwrap().to_string();
        assert!(error.contains("gzip within gzip"), "{error}");

        std::fs::write(&path, packed(&pcap)).unwrap();
        let (mut replay, mut bounds) = Bounds::open(&path, ReplayConfig::default()).unwrap();
        while replay.next_event().unwrap().is_some() {}
        bounds.look(0).unwrap();
        assert_eq!(bounds.told, Some(100));
        assert!(bounds.look(MOST_PACKETS + 1).unwrap_err().to_string().contains("10000000"));
        assert_eq!(bounds.warning(), None);
    }
}
