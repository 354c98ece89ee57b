//! Loading the XDP program, attaching it to an interface, and its maps by name.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf, XskMap};
use aya::programs::links::FdLink;
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::counter::Totals;

use super::error::CaptureError;
use super::listed::{Lister, Turning};
use super::nic::{Nic, mtu};
use super::pins::{self, About, Carried, Generation, Place};
use super::refusal::{load_hint, refused};
use super::steering::Target;
use super::table::{self, Table, TableSize};
use super::xsk::GracePeriod;

/// The program as committed, so that a build needs no eBPF toolchain; `cargo xtask tidy` checks its source hash.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../sensor-ebpf/sensor-xdp.o");

/// Names a file with the object to load instead of the built-in one, for tests of a program just built.
pub const OBJECT_VARIABLE: &str = "VESPER_XDP_OBJECT";

/// How the kernel runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpAttached {
    /// In the driver, before the kernel allocates a packet.
    Native,
    /// In the network stack: works with every driver, slower.
    Generic,
}

/// The program in the kernel, with the maps that belong to it.
pub struct Program {
    ebpf: Ebpf,
    name: &'static str,
    link: Option<FdLink>,
    /// Log lines of the program, where it has any.
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    /// The flow table.
    pub table: Table,
    /// The maps' place, if they are pinned.
    pub(super) generation: Option<Generation>,
    /// What is kept beside the table.
    pub(super) about: About,
    /// What was counted in maps that are gone, or about to be.
    pub(super) carried: Carried,
    grace: GracePeriod,
    totals: PerCpuArray<MapData, Totals>,
    controls: Array<MapData, Control>,
    steered: LpmTrie<MapData, [u8; 16], u32>,
    /// What the program was told last.
    control: Control,
    /// AF_XDP sockets by queue.
    pub sockets: XskMap<MapData>,
}

/// What the interface's frames need of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// Each frame fits into one buffer.
    Single,
    /// The MTU needs several buffers a frame.
    Multiple,
}

impl Frames {
    pub(super) fn of(nic: &Nic) -> Frames {
        if mtu::needs_frags(nic) { Frames::Multiple } else { Frames::Single }
    }

    pub(super) fn program(self) -> &'static str {
        match self {
            Frames::Single => "vesper",
            Frames::Multiple => "vesper_frags",
        }
    }
}

impl Program {
    /// Loads the program with a flow table of this size. It is not attached yet.
    pub fn load(size: TableSize, frames: Frames) -> Result<Program, CaptureError> {
        Program::load_from(&object()?, frames.program(), size)
    }

    /// Loads the program `name` of another object that has the same maps, for benchmarks.
    pub fn load_from(object: &[u8], name: &'static str, size: TableSize) -> Result<Program, CaptureError> {
        Program::load_into(object, name, size, None)
    }

    /// Loads a program that uses these maps, where a place is given.
    pub(super) fn load_into(
        object: &[u8],
        name: &'static str,
        size: TableSize,
        place: Option<Place>,
    ) -> Result<Program, CaptureError> {
        let inherited = place.as_ref().and_then(|place| place.seed);
        let generation = place.map(|place| place.generation);
        let seed = inherited.unwrap_or_else(table::seed);
        let (mask, by_cpu) = (size.bucket_mask(), u32::from(size.by_cpu));
        let mut loader = EbpfLoader::new();
        loader
            .override_global("BUCKET_MASK", &mask, true)
            .override_global("LANE_BY_CPU", &by_cpu, true)
            .override_global("SEED", &seed, true);
        for (map, elements) in size.maps() {
            loader.map_max_entries(map, elements);
        }
        if let Some(generation) = &generation {
            if inherited.is_none() {
                let failed = |source| CaptureError::Pin { path: generation.folder.clone(), source };
                std::fs::create_dir(&generation.folder).map_err(failed)?;
            }
            for map in pins::MAPS {
                loader.map_pin_path(map, generation.path(map));
            }
        }
        let mut ebpf = loader
            .load(object)
            .map_err(|source| CaptureError::Load { hint: load_hint(&source), source: Box::new(source) })?;
        let logger = EbpfLogger::init(&mut ebpf)
            .inspect_err(|error| tracing::debug!(%error, "no log lines from the XDP program"))
            .ok();
        let program: &mut Xdp = xdp(&mut ebpf, name)?;
        program.load().map_err(refused)?;

        let (about, read) = pins::kept(generation.as_ref(), inherited.is_some(), size)
            .map_err(|source| CaptureError::Mapping { map: pins::READ, source })?;
        let table = Table::map(&ebpf, size, &read, inherited.is_some())?;
        if inherited.is_none() {
            about.begin(size, &seed);
        }
        let grace = GracePeriod::new().map_err(|source| CaptureError::Drain { source })?;
        let totals = PerCpuArray::try_from(take(&mut ebpf, "TOTALS")?)
            .map_err(|source| CaptureError::Map { map: "TOTALS", source })?;
        let controls = Array::try_from(take(&mut ebpf, "CONTROL")?)
            .map_err(|source| CaptureError::Map { map: "CONTROL", source })?;
        let sockets = XskMap::try_from(take(&mut ebpf, "XSKS")?)
            .map_err(|source| CaptureError::Map { map: "XSKS", source })?;
        let steered = LpmTrie::try_from(take(&mut ebpf, "STEERED")?)
            .map_err(|source| CaptureError::Map { map: "STEERED", source })?;
        // Of the program before, where its table goes on: the epoch is in the entries.
        let control = controls.get(&0, 0).map_err(|source| CaptureError::Map { map: "CONTROL", source })?;
        Ok(Program {
            ebpf,
            name,
            link: None,
            generation,
            about,
            carried: Carried::default(),
            logger,
            table,
            grace,
            totals,
            controls,
            steered,
            control,
            sockets,
        })
    }

    pub(super) fn attach_in(&mut self, ifindex: u32, mode: XdpMode) -> Result<(), ProgramError> {
        let program: &mut Xdp =
            self.ebpf.program_mut(self.name).ok_or(ProgramError::NotLoaded)?.try_into()?;
        let id = program.attach_to_if_index(ifindex, mode)?;
        let link = program.take_link(id)?;
        // aya falls back to netlink where the kernel has no XDP links. Such an attachment outlives a crash and can
        // be replaced by anyone; `try_into` drops it, which detaches.
        self.link = Some(link.try_into().map_err(|_not_a_link| ProgramError::NotAttached)?);
        Ok(())
    }

    /// Has the link hold this program from now on. A packet meets the one or the other.
    pub(super) fn replace(&mut self, link: FdLink) -> Result<(), ProgramError> {
        let link = XdpLink::try_from(link).map_err(|_not_xdp| ProgramError::NotAttached)?;
        let program: &mut Xdp =
            self.ebpf.program_mut(self.name).ok_or(ProgramError::NotLoaded)?.try_into()?;
        let id = program.attach_to_link(link)?;
        let link = program.take_link(id)?;
        self.link = Some(link.try_into().map_err(|_not_a_link| ProgramError::NotAttached)?);
        Ok(())
    }

    /// Has the link stay when this process ends.
    pub(super) fn pin_link(&mut self, path: &Path) -> Result<(), ProgramError> {
        let link = self.link.take().ok_or(ProgramError::NotAttached)?;
        let failed = |error| MapError::PinError { name: Some("link".into()), error };
        self.link = Some(link.pin(path).map_err(failed)?.into());
        Ok(())
    }

    /// Has nothing sampled any more, until somebody sets the control values again; a mirror port goes on dropping what
    /// it is sent. What was chosen before is in the rings, or lost and counted, when this returns.
    pub(super) fn quiet(&mut self, queues: u32) -> Result<(), CaptureError> {
        let mode = if self.control.mode == mode::HOST { mode::PASS } else { self.control.mode };
        self.tell(Control {
            mode,
            first_packets: 0,
            one_in: 0,
            flagged_per_second: 0,
            other_per_second: 0,
            steered: 0,
            listed: 0,
            ..self.control
        })?;
        for queue in 0..queues {
            match self.sockets.unset(queue) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(source) => return Err(CaptureError::Map { map: "XSKS", source }),
            }
        }
        self.wait()
    }

    /// Whether the link still has an interface: it loses it when the interface is deleted.
    pub fn attached(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.info().is_ok())
    }

    /// What frames it takes.
    pub fn frames(&self) -> Frames {
        if self.name == Frames::Multiple.program() { Frames::Multiple } else { Frames::Single }
    }

    /// Takes the program off the interface; the maps stay readable.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// What the program was told last.
    pub fn control(&self) -> Control {
        self.control
    }

    /// Tells the program what to do with packets, from the next one on. Epoch and trie are not the caller's.
    pub fn set_control(&mut self, control: Control) -> Result<(), CaptureError> {
        self.tell(Control { epoch: self.control.epoch, listed: self.control.listed, ..control })
    }

    /// Has new flows looked up in this trie of listed addresses, 1 or 2; 0 is neither.
    pub fn set_listed(&mut self, trie: u32) -> Result<(), CaptureError> {
        self.tell(Control { listed: trie, ..self.control })
    }

    fn tell(&mut self, control: Control) -> Result<(), CaptureError> {
        self.controls.set(0, control, 0).map_err(|source| CaptureError::Map { map: "CONTROL", source })?;
        self.control = control;
        Ok(())
    }

    /// Samples these flows one packet in `one_in`, those there are and, of hosts and networks, those to come; what is
    /// over as everybody's. Looks at every entry, so once a second at most.
    pub(super) fn steer<'a>(
        &mut self,
        raised: impl Iterator<Item = &'a Target>,
        over: &[Target],
        one_in: u32,
    ) -> Result<(), CaptureError> {
        let failed = |source| CaptureError::Map { map: "STEERED", source };
        for key in over.iter().filter_map(steered_key) {
            match self.steered.remove(&key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        let (mut hosts, mut flows, mut networks) = (HashSet::new(), HashSet::new(), Vec::new());
        for target in raised {
            if let Some(key) = steered_key(target) {
                self.steered.insert(&key, one_in, 0).map_err(failed)?;
            }
            match *target {
                Target::Flow(key) => drop(flows.insert(key)),
                Target::Host(address) => drop(hosts.insert(address)),
                Target::Network(address, len) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                    networks.push((u128::from_be_bytes(address) & mask, mask));
                }
            }
        }
        for entry in self.table.entries.iter().filter(|entry| entry.mark.get() != 0) {
            let key = entry.key();
            let within = |address: [u8; 16]| {
                networks.iter().any(|(network, mask)| u128::from_be_bytes(address) & mask == *network)
            };
            let wanted = hosts.contains(&key.addr_a)
                || hosts.contains(&key.addr_b)
                || flows.contains(&key)
                || within(key.addr_a)
                || within(key.addr_b);
            entry.one_in.set(if wanted { one_in } else { 0 });
        }
        Ok(())
    }

    /// Begins the next epoch of the flow table and returns the one that ended.
    pub(super) fn next_epoch(&mut self) -> Result<u32, CaptureError> {
        let ended = self.control.epoch;
        self.tell(Control { epoch: ended.wrapping_add(1), ..self.control })?;
        Ok(ended)
    }

    /// Returns when every run of the program that had begun has ended: what it counted is there to be read.
    pub(super) fn wait(&self) -> Result<(), CaptureError> {
        self.grace.wait().map_err(|source| CaptureError::Drain { source })
    }

    /// The totals of all CPUs, since the program was first attached.
    pub fn totals(&self) -> Result<Totals, CaptureError> {
        let values = self.totals.get(&0, 0).map_err(|source| CaptureError::Map { map: "TOTALS", source })?;
        let mut sum = self.carried.totals;
        for value in values.iter() {
            sum.merge(value);
        }
        Ok(sum)
    }

    /// The ring buffer with the samples of `host` mode. Can be taken once.
    pub fn take_samples(&mut self) -> Result<RingBuf<MapData>, CaptureError> {
        RingBuf::try_from(take(&mut self.ebpf, "SAMPLES")?)
            .map_err(|source| CaptureError::Map { map: "SAMPLES", source })
    }

    /// What fills the tries of listed addresses. Can be taken once.
    pub fn take_lister(&mut self, turning: Turning) -> Result<Lister, CaptureError> {
        let mut map = |name| match take(&mut self.ebpf, name)? {
            Map::LpmTrie(map) => Ok(map),
            _ => Err(CaptureError::Object { name }),
        };
        let maps = [map("LISTED_1")?, map("LISTED_2")?];
        let Map::Array(bits) = take(&mut self.ebpf, "LISTED_BITS")? else {
            return Err(CaptureError::Object { name: "LISTED_BITS" });
        };
        Lister::new(maps, &bits, turning)
            .map_err(|source| CaptureError::Mapping { map: "LISTED_BITS", source })
    }

    /// Passes on what the program logged.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// The object, for maps that only a benchmark's has.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// The program itself, for BPF_PROG_TEST_RUN.
    pub fn xdp(&mut self) -> Result<&mut Xdp, CaptureError> {
        xdp(&mut self.ebpf, self.name)
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, CaptureError> {
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or(CaptureError::Object { name })
}

/// The key of a host or network in the map of steered sampling; flows are not there.
fn steered_key(target: &Target) -> Option<Key<[u8; 16]>> {
    match *target {
        Target::Flow(_) => None,
        Target::Host(address) => Some(Key::new(128, address)),
        Target::Network(address, len) => Some(Key::new(u32::from(len), address)),
    }
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, CaptureError> {
    ebpf.take_map(name).ok_or(CaptureError::Object { name })
}

pub(super) fn object() -> Result<Cow<'static, [u8]>, CaptureError> {
    let Some(path) = std::env::var_os(OBJECT_VARIABLE) else {
        return Ok(Cow::Borrowed(OBJECT));
    };
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Cow::Owned(bytes)),
        Err(source) => Err(CaptureError::ObjectFile { path: path.to_string_lossy().into_owned(), source }),
    }
}
