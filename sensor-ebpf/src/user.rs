//! Marks the map layouts as plain data for aya.
#![expect(unsafe_code, reason = "aya reads map values as bytes and asks for this promise")]

use crate::{control::Control, counter::Totals, flow::FlowKey, flow::FlowStats, sample::Sampler};

// SAFETY: `repr(C)`, integers only, no padding (each size is asserted beside its type): every bit pattern is valid.
unsafe impl aya::Pod for FlowKey {}
// SAFETY: as above.
unsafe impl aya::Pod for FlowStats {}
// SAFETY: as above.
unsafe impl aya::Pod for Control {}
// SAFETY: as above.
unsafe impl aya::Pod for Totals {}
// SAFETY: as above.
unsafe impl aya::Pod for Sampler {}
