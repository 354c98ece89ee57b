//! Bounds-checked reads at an offset: all that the parser asks of a packet.

/// A received frame, as bytes that may end anywhere.
pub trait Frame {
    /// The `N` bytes at offset `at`, or `None` where the frame ends before.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// The same offset. In the kernel it is one of which the verifier knows nothing, so that it walks what follows
    /// once, and not again for every way that leads there.
    #[inline(always)]
    fn anywhere(&self, at: usize) -> usize {
        at
    }
}

impl Frame for [u8] {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk().copied()
    }
}
