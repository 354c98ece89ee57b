//! What user space tells the program, at any time, through the control map.

/// What becomes of a packet after it was counted. 0 until user space is ready: everything passes.
pub mod mode {
    /// Count and pass; no samples.
    pub const PASS: u32 = 0;
    /// Samples are redirected to AF_XDP, the rest is dropped: for a port that receives copies only.
    pub const MIRROR: u32 = 1;
    /// Everything passes; samples are copied to a ring buffer.
    pub const HOST: u32 = 2;
}

/// Prefixes that a trie of listed addresses takes at most. The kernel takes no memory for those that are not there.
pub const MOST_LISTED: u32 = 16 << 20;

/// The one entry of the control map. All zero is safe: nothing is sampled, everything passes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// One of [`mode`].
    pub mode: u32,
    /// The first packets of each flow are samples.
    pub first_packets: u32,
    /// After those, one packet in so many, at random; 0 is none.
    pub one_in: u32,
    /// SYN, FIN and RST packets sampled per lane and second beyond the first packets.
    pub flagged_per_second: u32,
    /// New flows that each lane of the flow table takes in a second; 0 is no limit.
    pub admit_per_second: u32,
    /// The epoch of the flow table: moved on by each drain.
    pub epoch: u32,
    /// Prefixes in the map of steered sampling; 0 saves looking there.
    pub steered: u32,
    /// Frames that are not IP sampled per lane and second before sampling thins out; 0 is none at all.
    pub other_per_second: u32,
    /// Which of the two tries of listed addresses is looked at, 1 or 2; 0 is neither.
    pub listed: u32,
    /// Spelled-out padding.
    pub _pad: u32,
}

const _: () = assert!(size_of::<Control>() == 40);
