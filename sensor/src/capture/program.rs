//! Loading the XDP program, attaching it to an interface, and its maps by name.

use std::borrow::Cow;
use std::io;

use aya::maps::{Array, Map, MapData, PerCpuArray, RingBuf, XskMap};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfError, EbpfLoader};
use aya_log::EbpfLogger;
use sensor_ebpf::control::Control;
use sensor_ebpf::counter::Totals;

use super::config;
use super::error::{CaptureError, PERMISSION_HINT};

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
    link: Option<FdLink>,
    /// Log lines of the program, where it has any.
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    /// The flow map.
    pub flows: MapData,
    totals: PerCpuArray<MapData, Totals>,
    control: Array<MapData, Control>,
    /// AF_XDP sockets by queue.
    pub sockets: XskMap<MapData>,
}

impl Program {
    /// Loads the program with room for `flow_entries` conversations. It is not attached yet.
    pub fn load(flow_entries: u32) -> Result<Program, CaptureError> {
        let object = object()?;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("FLOWS", flow_entries)
            .load(&object)
            .map_err(|source| CaptureError::Load { hint: load_hint(&source), source: Box::new(source) })?;
        let logger = EbpfLogger::init(&mut ebpf)
            .inspect_err(|error| tracing::debug!(%error, "no log lines from the XDP program"))
            .ok();
        let program: &mut Xdp = xdp(&mut ebpf)?;
        program.load().map_err(refused)?;

        let Some(Map::HashMap(flows)) = ebpf.take_map("FLOWS") else {
            return Err(CaptureError::Object { name: "the map FLOWS" });
        };
        let totals = PerCpuArray::try_from(take(&mut ebpf, "TOTALS")?)
            .map_err(|source| CaptureError::Map { map: "TOTALS", source })?;
        let control = Array::try_from(take(&mut ebpf, "CONTROL")?)
            .map_err(|source| CaptureError::Map { map: "CONTROL", source })?;
        let sockets = XskMap::try_from(take(&mut ebpf, "XSKS")?)
            .map_err(|source| CaptureError::Map { map: "XSKS", source })?;
        Ok(Program { ebpf, link: None, logger, flows, totals, control, sockets })
    }

    /// Attaches to an interface by bpf_link: native mode if the driver has it, else generic, as `choice` allows.
    /// The link goes with this process: if it dies, the interface is as before.
    pub fn attach(
        &mut self,
        interface: &str,
        ifindex: u32,
        choice: config::XdpMode,
    ) -> Result<XdpAttached, CaptureError> {
        let failed = |tried, source: ProgramError| CaptureError::Attach {
            interface: interface.to_owned(),
            tried,
            hint: attach_hint(&source),
            source: Box::new(source),
        };
        match choice {
            config::XdpMode::Native => {
                self.attach_in(ifindex, XdpMode::Driver).map_err(|e| failed("native mode", e))?
            }
            config::XdpMode::Generic => {
                self.attach_in(ifindex, XdpMode::Skb).map_err(|e| failed("generic mode", e))?
            }
            config::XdpMode::Auto => match self.attach_in(ifindex, XdpMode::Driver) {
                Ok(()) => return Ok(XdpAttached::Native),
                Err(error) if is_busy(&error) => return Err(failed("native mode", error)),
                Err(error) => {
                    tracing::warn!(interface, %error, "no native XDP here, trying generic: slower, counts the same");
                    self.attach_in(ifindex, XdpMode::Skb).map_err(|e| failed("generic mode", e))?;
                    return Ok(XdpAttached::Generic);
                }
            },
        }
        Ok(if choice == config::XdpMode::Native { XdpAttached::Native } else { XdpAttached::Generic })
    }

    fn attach_in(&mut self, ifindex: u32, mode: XdpMode) -> Result<(), ProgramError> {
        let program: &mut Xdp = self.ebpf.program_mut(NAME).ok_or(ProgramError::NotLoaded)?.try_into()?;
        let id = program.attach_to_if_index(ifindex, mode)?;
        let link = program.take_link(id)?;
        // aya falls back to netlink where the kernel has no XDP links. Such an attachment outlives a crash and can
        // be replaced by anyone; `try_into` drops it, which detaches.
        self.link = Some(link.try_into().map_err(|_not_a_link| ProgramError::NotAttached)?);
        Ok(())
    }

    /// Whether the link still has an interface: it loses it when the interface is deleted.
    pub fn attached(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.info().is_ok())
    }

    /// Takes the program off the interface; the maps stay readable.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// Tells the program what to do with packets, from the next one on.
    pub fn set_control(&mut self, control: Control) -> Result<(), CaptureError> {
        self.control.set(0, control, 0).map_err(|source| CaptureError::Map { map: "CONTROL", source })
    }

    /// The totals of all CPUs.
    pub fn totals(&self) -> Result<Totals, CaptureError> {
        let values = self.totals.get(&0, 0).map_err(|source| CaptureError::Map { map: "TOTALS", source })?;
        let mut sum = Totals::default();
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

    /// Passes on what the program logged.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// The program itself, for BPF_PROG_TEST_RUN.
    pub fn xdp(&mut self) -> Result<&mut Xdp, CaptureError> {
        xdp(&mut self.ebpf)
    }
}

/// Name of the program in the object.
const NAME: &str = "vesper";

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, CaptureError> {
    ebpf.program_mut(NAME)
        .and_then(|program| program.try_into().ok())
        .ok_or(CaptureError::Object { name: "the program vesper" })
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, CaptureError> {
    ebpf.take_map(name).ok_or(CaptureError::Object { name })
}

fn object() -> Result<Cow<'static, [u8]>, CaptureError> {
    let Some(path) = std::env::var_os(OBJECT_VARIABLE) else {
        return Ok(Cow::Borrowed(OBJECT));
    };
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Cow::Owned(bytes)),
        Err(source) => Err(CaptureError::ObjectFile { path: path.to_string_lossy().into_owned(), source }),
    }
}

fn load_hint(error: &EbpfError) -> &'static str {
    let EbpfError::MapError(aya::maps::MapError::CreateError { io_error, .. }) = error else {
        return "";
    };
    match io_error.raw_os_error() {
        Some(libc::EPERM) => PERMISSION_HINT,
        Some(libc::ENOMEM | libc::E2BIG) => "; lower capture.flow_map_entries",
        _ => "",
    }
}

/// The verifier's log is thousands of lines: it goes to the debug log, its last lines into the error.
fn refused(error: ProgramError) -> CaptureError {
    let hint = match os_error(&error) {
        Some(libc::EPERM) => PERMISSION_HINT,
        Some(libc::EACCES | libc::EINVAL) => {
            "; Linux 5.18 or newer is needed (`vesper check`); the verifier's whole \
            log comes with RUST_LOG=debug"
        }
        _ => "",
    };
    let reason = match &error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            tracing::debug!(log, "verifier");
            let mut last: Vec<&str> =
                log.lines().rev().filter(|line| !line.trim().is_empty()).take(5).collect();
            last.reverse();
            format!("{io_error}: {}", last.join(" | "))
        }
        other => other.to_string(),
    };
    CaptureError::Program { reason, hint }
}

fn attach_hint(error: &ProgramError) -> String {
    match os_error(error) {
        Some(libc::EBUSY | libc::EEXIST) => "; another XDP program is there and is left alone: find it with \
            `ip link show` or `bpftool net`, and stop its owner first"
            .to_owned(),
        Some(libc::EPERM) => PERMISSION_HINT.to_owned(),
        Some(libc::EOPNOTSUPP) => {
            "; this driver has no XDP of that kind: set capture.xdp = \"generic\"".to_owned()
        }
        Some(libc::EINVAL | libc::ERANGE) => {
            "; the MTU may be too large for native XDP (about 3,500 bytes on most \
            drivers): lower it, or set capture.xdp = \"generic\""
                .to_owned()
        }
        _ => String::new(),
    }
}

fn is_busy(error: &ProgramError) -> bool {
    matches!(os_error(error), Some(libc::EBUSY | libc::EEXIST))
}

/// The system call error behind aya's, wherever it keeps it.
fn os_error(error: &ProgramError) -> Option<i32> {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(current) = source {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return io.raw_os_error();
        }
        if let ProgramError::LoadError { io_error, .. } = error {
            return io_error.raw_os_error();
        }
        if let Some(call) = current.downcast_ref::<aya::sys::SyscallError>() {
            return call.io_error.raw_os_error();
        }
        source = current.source();
    }
    None
}
