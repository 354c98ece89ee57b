//! AF_XDP: one socket, its rings and its frame memory for each receive queue; and the `bpf(2)` batch calls.
//!
//! The only folder of user space with `unsafe`. What leaves it is safe to use: bytes copied out of the frame
//! memory, counters, and file descriptors that close themselves.
//!
//! In: an interface index, a queue number, ring sizes. Out: [`Sample`]s. Never done here: parsing, waiting for
//! anything but packets, deciding what to do about loss.
#![expect(unsafe_code, reason = "rings and frame memory are shared with the kernel")]

mod batch;

mod queue;

mod socket;

pub use batch::{lookup_and_delete, lookup_batch};
pub use queue::{StatisticsReader, XskQueue};
pub use socket::Statistics;
