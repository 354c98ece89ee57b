//! Why capture could not start.

use std::io;
use std::path::PathBuf;

use aya::programs::ProgramError;

/// Why capture could not start. The messages name the remedy.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its description")]
pub enum CaptureError {
    #[error(
        "refusing mirror mode on {name}: it holds this machine's default route, and mirror mode drops every packet \
         it does not sample, so the machine would lose its network; use --mode host, or give the mirror port"
    )]
    DefaultRoute { name: String },
    #[error(
        "refusing mirror mode on {name}: it is the loopback, and mirror mode drops every packet it does not sample, so \
         programs of this machine could no longer talk to each other; use --mode host, or give the mirror port"
    )]
    Loopback { name: String },
    #[error(
        "the XDP program object {path} cannot be read: {source}; unset VESPER_XDP_OBJECT to use the built-in one"
    )]
    ObjectFile { path: String, source: io::Error },
    #[error("the XDP program could not be loaded: {source}{hint}")]
    Load { source: Box<aya::EbpfError>, hint: &'static str },
    #[error("the kernel refused the XDP program: {reason}{hint}")]
    Program { reason: String, hint: &'static str },
    #[error("the XDP object lacks {name}: it belongs to another version; rebuild it with `cargo xtask ebpf`")]
    Object { name: &'static str },
    #[error("attaching to {interface} ({tried}): {source}{hint}")]
    Attach { interface: String, tried: &'static str, source: Box<ProgramError>, hint: String },
    #[error("AF_XDP socket on {interface} queue {queue}: {source}{hint}")]
    Socket { interface: String, queue: u32, source: io::Error, hint: &'static str },
    #[error(
        "a sensor with process id {pid} runs on {interface} already: stop it first, or watch another interface (it holds \
         {})", folder.display()
    )]
    Running { interface: String, pid: u64, folder: PathBuf },
    #[error(
        "{} cannot be used to pin program and maps: {source}; remove it with `vesper detach`, or set capture.pin_dir = \"\" \
         to go without", path.display()
    )]
    Pin { path: PathBuf, source: io::Error },
    #[error("map {map}: {source}")]
    Map { map: &'static str, source: aya::maps::MapError },
    #[error("mapping the map {map} into memory: {source}; lower capture.flow_map_entries if memory is short")]
    Mapping { map: &'static str, source: io::Error },
    #[error("reading the flow table: {source}")]
    Drain { source: io::Error },
    #[error("starting the thread {name}: {source}")]
    Thread { name: String, source: io::Error },
}

/// What an EPERM while loading or binding means.
pub(super) const PERMISSION_HINT: &str = "; the process lacks a capability: run as root, or grant \
    cap_bpf,cap_net_admin,cap_net_raw,cap_perfmon (`vesper check` names the missing one and the command)";
