//! The one read of packet memory.
#![expect(unsafe_code, reason = "packet memory is raw; the bounds check is what the verifier asks for")]

use aya_ebpf::helpers::generated::bpf_xdp_load_bytes;
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
        let mut bytes = [0; N];
        let mut at = 0;
        // Whole words: the compiler would read a field that is not aligned byte by byte, though the verifier lets
        // programs read packets at any offset where the processor does (x86-64, aarch64).
        while at + 8 <= N {
            copy_word::<u64, N>(start, at, &mut bytes);
            at += 8;
        }
        if at + 4 <= N {
            copy_word::<u32, N>(start, at, &mut bytes);
            at += 4;
        }
        if at + 2 <= N {
            copy_word::<u16, N>(start, at, &mut bytes);
            at += 2;
        }
        if at < N {
            copy_word::<u8, N>(start, at, &mut bytes);
        }
        Some(bytes)
    }

    #[inline(always)]
    fn anywhere(&self, at: usize) -> usize {
        // Neither the compiler nor the verifier sees that the two lengths are the same. The mask changes nothing.
        let len = self.0.data_end() - self.0.data();
        at.wrapping_add(len).wrapping_sub(core::hint::black_box(len)) & MAX_OFFSET
    }
}

/// Copies a word of the packet into `bytes`, both at offset `at`.
#[inline(always)]
fn copy_word<T, const N: usize>(start: usize, at: usize, bytes: &mut [u8; N]) {
    // SAFETY: the caller checked that `start..start + N` lies inside the packet, and `at + size_of::<T>() <= N`. The
    // load may be unaligned: this is code for the eBPF machine alone, whose loads may be.
    unsafe { bytes.as_mut_ptr().add(at).cast::<T>().write_unaligned(((start + at) as *const T).read()) }
}

/// The packet of an XDP program, as the parser reads it.
pub(crate) struct Context<'a>(pub(crate) &'a XdpContext);

/// The same packet, read by a helper call each time: for what is rare and at an offset the verifier cannot follow.
pub(crate) struct Loaded<'a>(pub(crate) &'a XdpContext);

impl Frame for Loaded<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the context is the one the kernel gave, and the buffer is as long as is said.
        let failed =
            unsafe { bpf_xdp_load_bytes(self.0.ctx, at as u32, bytes.as_mut_ptr().cast(), N as u32) };
        if failed == 0 { Some(bytes) } else { None }
    }
}
