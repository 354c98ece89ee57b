//! The XDP program: parse, account, steer. Everything that can be done later is done in user space.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod kernel;

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;

    use crate::kernel::run;

    /// For frames that fit into one buffer.
    #[xdp]
    pub fn vesper(ctx: XdpContext) -> u32 {
        run::<false>(&ctx)
    }

    /// For interfaces whose MTU needs several buffers a frame; asking for the length costs a call a packet.
    #[xdp(frags)]
    pub fn vesper_frags(ctx: XdpContext) -> u32 {
        run::<true>(&ctx)
    }
}

/// The program only means something to the kernel; this keeps `cargo build --workspace` working.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
