//! Which packets are looked at closely, and what travels with them.

use crate::control::Control;
use crate::flow::tcp;
use crate::table::Lane;

/// Frames that are not IP: one in 2^16 at least is a sample, about a thousand a second at 100 Gbit/s of the smallest.
const MOST_HALVINGS: u64 = 16;

/// How many times rarer samples are of packets without an entry: there may be millions a second, and each sample costs more
/// than all else that is done with such a packet.
const RARER: u32 = 16;

impl Lane {
    /// Whether a packet is a sample: the `ordinal`-th of its flow (from 1; `u64::MAX` without an entry), with these TCP
    /// flags, at `now` (ns), of a flow sampled beyond its first packets one in `one_in` (0: as the control map says).
    ///
    /// Returns the weight: how many packets the sample stands for, the inverse of the chance it had (Horvitz and
    /// Thompson, 1952), so that the weights of a flow's samples add up to its packets on average. 0 is no sample.
    #[inline(always)]
    pub fn weight(&self, control: &Control, ordinal: u64, flags: u8, now: u64, one_in: u32) -> u32 {
        if ordinal <= control.first_packets as u64 {
            return 1;
        }
        if flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0 {
            let second = now / 1_000_000_000;
            if second != self.second.get() {
                self.second.set(second);
                self.flagged.set(0);
            }
            if self.flagged.get() < control.flagged_per_second as u64 {
                self.flagged.grow(1);
                return 1;
            }
        }
        let one_in = if one_in == 0 { control.one_in } else { one_in };
        let one_in = if ordinal == u64::MAX { one_in.saturating_mul(RARER) } else { one_in };
        // One in `one_in` without a division (Lemire 2019): the high half of the product is 0 for that share of numbers.
        if one_in != 0 && (self.next_random() as u64 * one_in as u64) >> 32 == 0 { one_in } else { 0 }
    }

    /// Whether a frame that is not IP is a sample, at `now` (ns), of a class that
    /// [`Reason::link_class`](crate::counter::Reason::link_class) gives: ARP has a budget of its own, so that no other
    /// protocol keeps it out.
    ///
    /// A second's first frames all are, up to the budget; so many samples later one in two is, then one in four, and so
    /// on: samples grow with the logarithm of the frames. The weight is again the inverse of the chance, which depends
    /// on earlier frames only, so the weights of any stream's samples add up to its frames on average. 0 is no sample.
    #[inline(always)]
    pub fn link_weight(&self, control: &Control, class: u32, now: u64) -> u32 {
        let class = class as usize & 1;
        let budget = control.other_per_second as u64;
        if budget == 0 {
            return 0;
        }
        let second = now / 1_000_000_000;
        if second != self.other_second.get() {
            self.other_second.set(second);
            self.others[0].set(0);
            self.others[1].set(0);
        }
        let halvings = self.others[class].get() / budget;
        let one_in = 1u64 << if halvings < MOST_HALVINGS { halvings } else { MOST_HALVINGS };
        if one_in > 1 && (self.next_random() as u64 * one_in) >> 32 != 0 {
            return 0;
        }
        self.others[class].grow(1);
        one_in as u32
    }

    /// xorshift64* (Vigna 2016): the same sequence in the kernel and in a replay.
    #[inline(always)]
    fn next_random(&self) -> u32 {
        let mut state = self.random.get();
        state |= (state == 0) as u64;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
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
    /// Packets the sample stands for.
    pub weight: u32,
    /// Spelled-out padding.
    pub _pad: u32,
}

const _: () = assert!(size_of::<SampleMeta>() == 24, "metadata must be a multiple of 4 and at most 32 bytes");

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

#[cfg(test)]
mod tests {
    use super::*;

    /// A flood is looked at less closely, and its samples' weights still tell its size.
    #[test]
    fn packets_without_an_entry_are_rare_samples_of_more_weight() {
        const PACKETS: u64 = 1_000_000;
        let control = Control { first_packets: 8, one_in: 64, ..Control::default() };
        for (ordinal, one_in) in [(100, 64), (u64::MAX, 64 * RARER)] {
            let lane = Lane::default();
            let weights = (0..PACKETS).map(|_| lane.weight(&control, ordinal, 0, 0, 0));
            let taken: Vec<u32> = weights.filter(|&weight| weight != 0).collect();
            assert!(taken.iter().all(|&weight| weight == one_in));
            // Six standard deviations of a binomial distribution.
            let (told, one_in) = (taken.len() as f64 * f64::from(one_in), f64::from(one_in));
            let within = 6.0 * (PACKETS as f64 * one_in).sqrt();
            assert!((told - PACKETS as f64).abs() < within, "{told}: {within} is allowed");
        }
    }
}
