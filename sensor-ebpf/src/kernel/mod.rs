//! The entry point, and the order in which a packet meets the rest.

#![expect(unsafe_code, reason = "kernel helpers, and two symbols the loader looks for")]

mod account;

mod frame;

mod maps;

mod steer;

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use sensor_ebpf::parse::parse_ethernet;

/// Counts the packet, then passes, drops, redirects or copies it as the control map says.
#[xdp]
pub fn vesper(ctx: XdpContext) -> u32 {
    let (Some(totals), Some(control)) = (maps::totals(), maps::control()) else {
        return XDP_PASS;
    };
    // A coarse clock: reading the fine one costs more than parsing and looking up the flow together.
    // SAFETY: the helper takes no argument and is available to every program type (Linux 5.11).
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let bytes = (ctx.data_end() - ctx.data()) as u64;
    totals.seen.add(bytes);

    let sampled = match parse_ethernet(&frame::Context(&ctx)) {
        Ok(packet) => {
            totals.counted.add(bytes);
            let ordinal = account::count(&ctx, totals, &packet, bytes, now);
            steer::wanted(control, ordinal, packet.tcp_flags, now)
        }
        Err(reason) => {
            if let Some(count) = totals.not_counted.get_mut(reason as usize) {
                count.add(bytes);
            }
            false
        }
    };
    steer::verdict(&ctx, totals, control, sampled)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // Nothing here can panic: the linker would keep this loop and the verifier refuse it.
    loop {}
}

/// Some helpers may only be called from programs under a licence the kernel calls GPL-compatible.
// SAFETY: the loader reads this section and nothing else defines it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
