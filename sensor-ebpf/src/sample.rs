//! Which packets are looked at closely, and what travels with them.

use crate::control::Control;
use crate::flow::tcp;

/// Sampling state of one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampler {
    /// Second in which `flagged` was counted.
    pub second: u64,
    /// Random state (xorshift64*), never 0 once used.
    pub random: u64,
    /// SYN, FIN and RST samples taken in `second`.
    pub flagged: u32,
    /// Spelled-out padding.
    pub _pad: u32,
}

const _: () = assert!(size_of::<Sampler>() == 24);

impl Sampler {
    /// Whether a packet is a sample: the `ordinal`-th of its flow (from 1), with these TCP flags, at `now` (ns).
    #[inline(always)]
    pub fn choose(&mut self, control: &Control, ordinal: u64, flags: u8, now: u64) -> bool {
        if ordinal <= u64::from(control.first_packets) {
            return true;
        }
        if flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0 {
            let second = now / 1_000_000_000;
            if second != self.second {
                self.second = second;
                self.flagged = 0;
            }
            if self.flagged < control.flagged_per_second {
                self.flagged += 1;
                return true;
            }
        }
        control.one_in != 0 && self.next_random().is_multiple_of(control.one_in)
    }

    /// xorshift64* (Vigna 2016): the same sequence in the kernel and in a replay.
    #[inline(always)]
    fn next_random(&mut self) -> u32 {
        let mut state = self.random | u64::from(self.random == 0);
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random = state;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

/// Written in front of a sampled frame: AF_XDP metadata in `mirror` mode, the head of a record in `host` mode.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleMeta {
    /// `bpf_ktime_get_ns` (CLOCK_MONOTONIC) when the program saw the packet.
    pub time: u64,
    /// Length of the frame on the wire, bytes; what follows may be shorter.
    pub wire_len: u32,
    /// Bytes of the frame that follow, in `host` mode.
    pub captured_len: u32,
}

const _: () = assert!(size_of::<SampleMeta>() == 16, "metadata must be a multiple of 4 and at most 32 bytes");

/// Bytes of a frame that `host` mode copies, a power of two.
pub const HOST_SNAP: usize = 512;

/// A record of the sample ring buffer of `host` mode.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HostSample {
    /// Time and lengths.
    pub meta: SampleMeta,
    /// The first bytes of the frame; `meta.captured_len` of them are meant.
    pub data: [u8; HOST_SNAP],
}
