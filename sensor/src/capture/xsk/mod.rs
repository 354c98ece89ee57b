//! AF_XDP: one socket, its rings and its frame memory for each receive queue; the mapped flow table, and the few calls
//! on maps and interfaces that have no safe wrapper.
//!
//! The only folder of user space with `unsafe`. What leaves it is safe to use: bytes copied out of the frame
//! memory, counters, and file descriptors that close themselves.
//!
//! In: an interface index, a queue number, ring sizes. Out: [`Sample`]s. Never done here: parsing, waiting for
//! anything but packets, deciding what to do about loss.
#![expect(unsafe_code, reason = "rings and frame memory are shared with the kernel")]

mod batch;

mod grace;

mod mapped;

pub mod ioctl;

mod join;

mod promiscuous;

mod queue;

mod record;

mod socket;

mod umem;

pub use batch::Batched;
pub use grace::GracePeriod;
pub use mapped::Mapped;
pub use promiscuous::promiscuous;
pub use queue::{QueueOptions, StatisticsReader, XskQueue};
pub use record::{Record, per_cpu};
pub use socket::{Statistics, ZeroCopy};
pub use umem::HUGE_PAGE;
