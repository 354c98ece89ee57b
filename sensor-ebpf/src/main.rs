//! The XDP program: parse, account, steer. Everything that can be done later is done in user space.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(core_intrinsics), allow(internal_features))]

#[cfg(target_arch = "bpf")]
mod kernel;

/// The program only means something to the kernel; this keeps `cargo build --workspace` working.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
