//! Ctrl-C, SIGTERM and SIGHUP set a flag; loops that wait look at it, return an error, and what they own is
//! taken down on the way out.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on an interrupt sets the flag instead of ending the process. A second one ends it.
pub fn catch() -> Result<()> {
    let asked = ASKED.get_or_init(Default::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(asked)).context("catch signals")?;
    }
    Ok(())
}

/// Whether somebody asked to stop.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}

/// Waits so long, or fails at once when somebody asks to stop.
pub fn pause(how_long: Duration) -> Result<()> {
    let end = Instant::now() + how_long;
    loop {
        if asked() {
            bail!("interrupted");
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}
