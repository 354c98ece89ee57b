//! The contestants of `bench live`: how each is started on `rx0`, stopped, and asked what it counted.
//!
//! Measured traps: buffers of 64 MiB all round, or the default decides who loses packets; softflowd says what it
//! counted through its control socket only, and before it stops.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::net::Pair;
use crate::bench::offline::{SOFTFLOWD, nfpcapd_packets, number_after, racount_packets, sensor_packets};
use crate::program::output;

/// What contestants are given.
pub struct Place {
    /// Where they run and leave what they write.
    pub folder: PathBuf,
    /// `vesper`.
    pub sensor: PathBuf,
    /// Attaches an XDP program that only drops; `None` where there is none.
    pub dropper: Option<PathBuf>,
    /// The interfaces.
    pub pair: Pair,
}

/// A program that listens on `rx0`.
pub struct Listener {
    /// As it stands in the table.
    pub name: &'static str,
    /// `None`: there is nothing to start.
    pub command: fn(&Place) -> Option<Command>,
    /// What it needs before it sees every packet.
    pub starts_within: Duration,
    /// Ends it in order.
    pub signal: Signal,
    /// What it counted, where it must be asked while it runs.
    pub before: Option<fn(&Place) -> Result<u64>>,
    /// Packets it accounted for, given what it printed; `None` where it keeps no count.
    pub after: fn(&Place, &str) -> Result<Option<u64>>,
}

/// Nobody: what sending itself costs.
pub const BARE: &str = "bare sender";

/// Packets cost the least where a program only drops them.
pub const DROP: &str = "XDP drop";

/// It parses, hashes and adds to one entry of a table besides: what any flow table in memory costs at least.
pub const ENTRY: &str = "XDP entry";

/// All of them. The bare sender is first: the others are compared with it.
pub const LISTENERS: [Listener; 7] = [
    Listener {
        name: BARE,
        command: |_| None,
        starts_within: Duration::ZERO,
        signal: Signal::TERM,
        before: None,
        after: |_, _| Ok(None),
    },
    Listener {
        name: DROP,
        command: |place| program(place, "drop"),
        starts_within: Duration::from_secs(1),
        signal: Signal::TERM,
        // Its own counter of packets is that of the interface: the program runs before anything can be lost.
        before: None,
        after: |_, _| Ok(None),
    },
    Listener {
        name: ENTRY,
        command: |place| program(place, "entry"),
        starts_within: Duration::from_secs(1),
        signal: Signal::TERM,
        before: None,
        after: |_, _| Ok(None),
    },
    Listener {
        name: "nfpcapd",
        command: |place| {
            let mut command = place.pair.listener("nfpcapd");
            command.args(["-i", "rx0", "-b", "64", "-w", "nf"]);
            Some(command)
        },
        starts_within: Duration::from_millis(1500),
        signal: Signal::TERM,
        before: None,
        after: |place, _| nfpcapd_packets(&place.folder).map(Some),
    },
    Listener {
        name: "softflowd",
        command: |place| {
            let mut command = place.pair.listener("softflowd");
            command.args(["-i", "rx0"]).args(SOFTFLOWD).args(["-c", "softflowd.ctl", "-B", "67108864"]);
            Some(command)
        },
        starts_within: Duration::from_millis(1500),
        signal: Signal::TERM,
        before: Some(|place| {
            let mut control = Command::new("softflowctl");
            let said =
                output(control.args(["-c", "softflowd.ctl", "statistics"]).current_dir(&place.folder))?;
            number_after(&said, "Packets processed:")
        }),
        after: |_, _| Ok(None),
    },
    Listener {
        name: "argus",
        command: |place| {
            let mut command = place.pair.listener("argus");
            command.args(["-F", "/dev/null", "-i", "rx0", "-w", "argus.out"]);
            Some(command)
        },
        starts_within: Duration::from_millis(1500),
        signal: Signal::TERM,
        before: None,
        after: |place, _| racount_packets(&place.folder).map(Some),
    },
    Listener {
        name: "vesper",
        command: |place| Some(vesper(place)),
        starts_within: Duration::from_secs(2),
        signal: Signal::TERM,
        before: None,
        after: |_, said| sensor_packets(said).map(Some),
    },
];

/// An XDP program and nothing else.
fn program(place: &Place, name: &str) -> Option<Command> {
    let mut command = place.pair.listener(place.dropper.as_ref()?);
    command.args([name, "rx0"]);
    Some(command)
}

/// The sensor in mirror mode, with scoring and everything else as it comes; only its receive thread is not allowed
/// to leave the CPU that contestants share.
pub fn vesper(place: &Place) -> Command {
    let mut command = place.pair.listener(&place.sensor);
    command.args(["run", "--interface", "rx0", "--mode", "mirror", "--json", "--config", "vesper.toml"]);
    command
}

/// All flows of the traffic begin at once, which is no flood here.
pub const ALL_ADMITTED: &str = "new_flows_per_second = 1000000\n";

/// Empties the folder and writes what contestants read; `capture` are settings of the sensor.
pub fn prepare(place: &Place, capture: &str) -> Result<()> {
    let folder = &place.folder;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder.join("nf")).with_context(|| format!("make {}", folder.display()))?;
    let settings = format!(
        "state_dir = {:?}\n[capture]\npin_cpus = false\n{capture}",
        folder.join("state").display().to_string()
    );
    fs::write(folder.join("vesper.toml"), settings).context("write the sensor's settings")
}
