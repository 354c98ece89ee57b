//! `vesper detach`: takes away what a sensor left on an interface when it was stopped.

use std::path::Path;

use super::super::attach::release;
use super::super::config::CaptureConfig;
use super::super::error::CaptureError;
use super::super::nic::{self, Nic, prepare};
use super::{Leftover, Pins, base};

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    /// There was something.
    pub found: bool,
    /// A program was on the interface.
    pub program: bool,
    /// Packets that it had counted, over all its time.
    pub counted: u64,
    /// Packets of these in flows that no sensor has drained.
    pub not_analysed: u64,
}

/// Takes the program of a sensor that does not run off its interface, frees its maps, and puts the interface's settings
/// back. Refused while a sensor runs there.
pub fn detach(config: &CaptureConfig, interface: &str, state_dir: &Path) -> Result<Detached, CaptureError> {
    let mut detached = Detached::default();
    let nic =
        nic::find(interface).unwrap_or_else(|_gone| Nic { name: interface.to_owned(), ..Nic::default() });
    if let Some(base) = base(&config.pin_dir, false)
        && base.join(super::file_name(interface)).exists()
    {
        let pins = Pins::open_in(&base, interface)?;
        detached.program = pins.held(&nic);
        detached.found = detached.program;
        release(&pins, &nic);
        for generation in pins.generations() {
            detached.found = true;
            if let Ok(leftover) = Leftover::open(generation) {
                let (totals, drained) = (leftover.carried().totals, leftover.carried().drained.packets);
                let counted = totals.counted.packets;
                detached.counted += totals.seen.packets;
                detached.not_analysed += counted.saturating_sub(totals.overflow_total().packets + drained);
            }
        }
        pins.clear();
    }
    prepare::put_back(state_dir);
    Ok(detached)
}
