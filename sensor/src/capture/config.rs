//! The section `capture` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::xsk::ZeroCopy;

/// Whether the interface receives copies only, or is a host's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A mirror port (SPAN, TAP): samples are taken off the wire, every other packet is dropped after counting.
    #[default]
    Mirror,
    /// A host's own interface: every packet passes, samples are copies.
    Host,
}

/// Where in the network stack the XDP program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver, else in the network stack; which one it became is reported.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the network stack: any driver, slower.
    Generic,
}

/// Sizes of the interface's own rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NicRings {
    /// As they are.
    #[default]
    Keep,
    /// As large as the driver allows, for as long as the sensor runs.
    Max,
}

/// Memory that samples are received into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HugePages {
    /// Huge pages of 2 MiB where enough are reserved (`vm.nr_hugepages`), else normal pages.
    #[default]
    Auto,
    /// Normal pages.
    Off,
}

/// How packets are counted and which are looked at closely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureConfig {
    /// The interface to watch. There is no default: the wrong one is worse than none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// What the interface is.
    pub mode: Mode,
    /// How often the flow table is drained into user space, 10ms to 10s.
    #[serde(with = "crate::config::duration")]
    pub drain_interval: Duration,
    /// Flows the kernel's table holds, in buckets of 32: from about two thirds on some are full. Packets of further flows
    /// are counted as overflow. The number is split between receive queues, and rounded up to powers of two.
    pub flow_map_entries: u32,
    /// New flows the kernel's table takes in a second; with more, as in a spoofed flood, the packets of further ones
    /// are counted in total and by source prefix. 0 is a sixteenth of `flow_map_entries`: with more, and entries that stay
    /// for [`CaptureConfig::map_idle_timeout`], the table fills. Four times as many may begin at once.
    pub new_flows_per_second: u32,
    /// How long a flow may be silent before its entry leaves the kernel's flow table; it ends later, see `flow.idle_timeout`.
    #[serde(with = "crate::config::duration")]
    pub map_idle_timeout: Duration,
    /// Which packets are looked at closely.
    pub sample: SampleConfig,
    /// Where the XDP program runs.
    pub xdp: XdpMode,
    /// Entries of each queue's RX ring, a power of two. There are twice as many frames of 4096 bytes to receive into.
    pub ring_entries: u32,
    /// One CPU for each capture thread, on the interface's NUMA node, so that its caches stay warm.
    pub pin_cpus: bool,
    /// Whether the interface is made fit to be watched in `mirror` mode (promiscuous mode, offloads that hide packets
    /// off, symmetric RSS) and put back at the end. `host` mode never changes anything.
    pub prepare_nic: bool,
    /// Size of the interface's receive ring, with `prepare_nic`. Many drivers restart the link for a change.
    pub nic_rings: NicRings,
    /// Whether the driver writes samples into the sensor's memory itself.
    pub zero_copy: ZeroCopy,
    /// The receive threads run the driver's receive loop themselves: lower latency, and a busy CPU for each queue.
    pub busy_poll: bool,
    /// Memory that samples are received into.
    pub huge_pages: HugePages,
    /// Folder of a BPF file system where program and maps are pinned, so that counting goes on while the sensor restarts
    /// (docs/restart.md). Empty, or where there is no such folder: the program goes with the sensor.
    pub pin_dir: PathBuf,
    /// Batches of samples that wait for the analysis; when it is full, samples are shed and counted.
    pub queue_batches: u32,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        CaptureConfig {
            interface: None,
            mode: Mode::Mirror,
            drain_interval: Duration::from_millis(100),
            flow_map_entries: 262_144,
            new_flows_per_second: 0,
            map_idle_timeout: Duration::from_secs(15),
            sample: SampleConfig::default(),
            xdp: XdpMode::Auto,
            ring_entries: 2048,
            pin_cpus: true,
            prepare_nic: true,
            nic_rings: NicRings::Keep,
            zero_copy: ZeroCopy::Auto,
            busy_poll: false,
            huge_pages: HugePages::Auto,
            pin_dir: PathBuf::from("/sys/fs/bpf/vesper"),
            queue_batches: 256,
        }
    }
}

/// Which packets are samples: the first of each flow, then TCP connections opening and closing, then some at random.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleConfig {
    /// The first packets of every flow are samples.
    pub first_packets: u32,
    /// After those, one packet in so many, at random, and a sixteenth of that where the flow has no entry; 0 is none.
    pub one_in: u32,
    /// Packets with SYN, FIN or RST that are samples beyond that, per receive queue and second.
    pub flagged_per_second: u32,
    /// Frames that are not IP, ARP and the others apart, that all are samples per receive queue and second; of more, one in
    /// two, then one in four and so on. 0 is none: then nobody looks at ARP.
    pub other_per_second: u32,
    /// Like `one_in`, for the flows of hosts that an alert or a high score points at.
    pub raised_one_in: u32,
    /// How long after.
    #[serde(with = "crate::config::duration")]
    pub raised_for: Duration,
}

impl Default for SampleConfig {
    fn default() -> Self {
        SampleConfig {
            first_packets: 8,
            one_in: 64,
            flagged_per_second: 1000,
            other_per_second: 256,
            raised_one_in: 4,
            raised_for: Duration::from_secs(60),
        }
    }
}

impl CaptureConfig {
    /// New flows that are admitted in a second.
    pub fn admitted(&self) -> u32 {
        if self.new_flows_per_second == 0 { self.flow_map_entries / 16 } else { self.new_flows_per_second }
    }

    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut range = |key: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                problems.push(format!("{key} = {value} is out of range: choose {least} to {most}"));
            }
        };
        range("flow_map_entries", self.flow_map_entries, 1024, 16_777_216);
        range("new_flows_per_second", self.new_flows_per_second, 0, 100_000_000);
        range("sample.raised_one_in", self.sample.raised_one_in, 1, u32::MAX);
        range("ring_entries", self.ring_entries, 64, 65_536);
        range("queue_batches", self.queue_batches, 1, 65_536);
        if !self.ring_entries.is_power_of_two() {
            problems.push(format!(
                "ring_entries = {} is not a power of two: use {}",
                self.ring_entries,
                self.ring_entries.clamp(64, 65_536).next_power_of_two()
            ));
        }
        if self.map_idle_timeout < Duration::from_secs(1) {
            let value = crate::config::duration::format(self.map_idle_timeout);
            problems.push(format!("map_idle_timeout = {value} is too short: choose 1s or more"));
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(10)).contains(&self.drain_interval) {
            let value = crate::config::duration::format(self.drain_interval);
            problems.push(format!("drain_interval = {value} is out of range: choose 10ms to 10s"));
        }
        if let Some(name) = &self.interface
            && (name.is_empty() || name.len() > 15 || name.contains(|c: char| c == '/' || c.is_whitespace()))
        {
            problems.push(format!(
                "interface = {name:?} cannot be an interface: names have 1 to 15 characters; `ip link` lists them"
            ));
        }
        problems
    }
}
