//! The order in which a packet meets the rest.

#![expect(unsafe_code, reason = "kernel helpers, and two symbols the loader looks for")]

mod account;

pub(crate) mod frame;

mod maps;

mod steer;

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use sensor_ebpf::parse::parse_ethernet;

/// Counts the packet, then passes, drops, redirects or copies it as the control map says. `FRAGS`: the frame may be
/// longer than one buffer, so its length must be asked for.
#[inline(always)]
pub(crate) fn run<const FRAGS: bool>(ctx: &XdpContext) -> u32 {
    let (Some(totals), Some(control)) = (maps::totals(), maps::control()) else {
        return XDP_PASS;
    };
    let bytes = if FRAGS {
        // SAFETY: the context is the one the kernel gave.
        unsafe { bpf_xdp_get_buff_len(ctx.ctx) }
    } else {
        (ctx.data_end() - ctx.data()) as u64
    };
    totals.seen.add(bytes);

    let weight = match parse_ethernet(&frame::Context(ctx)) {
        Ok(packet) => {
            totals.counted.add(bytes);
            let counted = account::count(ctx, totals, control, &packet, bytes);
            steer::weight(control, counted)
        }
        Err(reason) => {
            if let Some(count) = totals.not_counted.get_mut(reason as usize) {
                count.add(bytes);
            }
            match reason.link_class() {
                Some(class) => account::link_weight(ctx, class),
                None => 0,
            }
        }
    };
    steer::verdict(ctx, totals, control, bytes as u32, weight)
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
