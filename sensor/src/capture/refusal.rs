//! Why the kernel would not load or attach a program, in words with a remedy.

use std::io;

use aya::EbpfError;
use aya::programs::ProgramError;

use super::error::{CaptureError, PERMISSION_HINT};

pub(super) fn load_hint(error: &EbpfError) -> &'static str {
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
pub(super) fn refused(error: ProgramError) -> CaptureError {
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

pub(super) fn attach_hint(error: &ProgramError) -> String {
    match os_error(error) {
        Some(libc::EBUSY | libc::EEXIST) => "; another XDP program is there and is left alone: find it with \
            `ip link show` or `bpftool net`, and stop its owner first"
            .to_owned(),
        Some(libc::EPERM) => PERMISSION_HINT.to_owned(),
        Some(libc::EOPNOTSUPP) => {
            "; this driver has no XDP of that kind: set capture.xdp = \"generic\"".to_owned()
        }
        _ => String::new(),
    }
}

pub(super) fn is_busy(error: &ProgramError) -> bool {
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
