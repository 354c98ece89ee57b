//! The one read of packet memory.
#![expect(unsafe_code, reason = "packet memory is raw; the bounds check is what the verifier asks for")]

use aya_ebpf::programs::XdpContext;
use sensor_ebpf::frame::Frame;

/// Offsets above this are refused, so that the verifier knows their range: longer than any header chain, which
/// in a tunnel is twice that of a packet.
const MAX_OFFSET: usize = 0x7fff;

impl Frame for Context<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if at > MAX_OFFSET {
            return None;
        }
        let start = self.0.data() + at;
        if start + N > self.0.data_end() {
            return None;
        }
        // SAFETY: `start..start + N` lies inside the packet by the check above; the array has alignment 1.
        Some(unsafe { *(start as *const [u8; N]) })
    }

    #[inline(always)]
    fn anywhere(&self, at: usize) -> usize {
        // Neither the compiler nor the verifier sees that the two lengths are the same. The mask changes nothing.
        let len = self.0.data_end() - self.0.data();
        at.wrapping_add(len).wrapping_sub(core::hint::black_box(len)) & MAX_OFFSET
    }
}

/// The packet of an XDP program, as the parser reads it.
pub(super) struct Context<'a>(pub(super) &'a XdpContext);
