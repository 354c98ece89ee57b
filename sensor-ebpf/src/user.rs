//! Marks the map layouts as plain data for aya.
#![expect(unsafe_code, reason = "aya reads map values as bytes and asks for this promise")]

use crate::control::Control;
use crate::counter::Totals;
use crate::listed::Line;
use crate::sketch::Cell;
use crate::table::{Bucket, Entry, Lane, LogLine, Outer, RareFlags};

// SAFETY: `repr(C)`, integers only, no padding (the size is asserted beside the type): every bit pattern is valid.
unsafe impl aya::Pod for Control {}
// SAFETY: as above.
unsafe impl aya::Pod for Totals {}

/// Marks the elements of maps that user space maps into its memory.
///
/// # Safety
/// The type is `repr(C)`, any bytes are a valid value, and every field is a [`crate::shared::Shared`] word or an array
/// of them, so that it may change at any time.
pub unsafe trait SharedLayout {}

// SAFETY: `repr(C)`, `Shared` words only.
unsafe impl SharedLayout for Bucket {}
// SAFETY: as above.
unsafe impl SharedLayout for Entry {}
// SAFETY: as above.
unsafe impl SharedLayout for RareFlags {}
// SAFETY: as above.
unsafe impl SharedLayout for Outer {}
// SAFETY: as above.
unsafe impl SharedLayout for LogLine {}
// SAFETY: as above.
unsafe impl SharedLayout for Lane {}
// SAFETY: as above.
unsafe impl SharedLayout for Cell {}
// SAFETY: as above.
unsafe impl SharedLayout for Line {}
