//! What becomes of the packet: the sample is handed to user space, the rest dropped or passed.
#![expect(unsafe_code, reason = "kernel helpers take raw pointers")]

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT};
use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_xdp_adjust_meta, bpf_xdp_load_bytes};
use aya_ebpf::programs::XdpContext;
use sensor_ebpf::control::{Control, mode};
use sensor_ebpf::counter::Totals;
use sensor_ebpf::sample::{HOST_SNAP, HostSample, SampleMeta};

use super::account::Counted;
use super::maps::{SAMPLES, XSKS};

/// How many packets the sample stands for; 0 where the packet is none.
#[inline(always)]
pub(super) fn weight(control: &Control, counted: Option<Counted>) -> u32 {
    match counted {
        Some(Counted { ordinal, one_in, tcp_flags, lane, now }) if control.mode != mode::PASS => {
            lane.weight(control, ordinal, tcp_flags, now, one_in)
        }
        _ => 0,
    }
}

/// Hands the sample over, and says what the kernel does with the packet.
#[inline(always)]
pub(super) fn verdict(
    ctx: &XdpContext,
    totals: &mut Totals,
    control: &Control,
    wire_len: u32,
    weight: u32,
) -> u32 {
    if weight != 0 {
        totals.sampled += 1;
    }
    match control.mode {
        mode::MIRROR if weight != 0 => redirect(ctx, totals, wire_len, weight),
        mode::MIRROR => XDP_DROP,
        mode::HOST if weight != 0 => {
            copy(ctx, totals, wire_len, weight);
            XDP_PASS
        }
        _ => XDP_PASS,
    }
}

/// To the AF_XDP socket of the queue the packet came in by, the only one the kernel accepts.
#[inline(always)]
fn redirect(ctx: &XdpContext, totals: &mut Totals, wire_len: u32, weight: u32) -> u32 {
    if !write_meta(ctx, wire_len, weight) {
        totals.lost_no_headroom += 1;
        return XDP_DROP;
    }
    // SAFETY: the context is the one the kernel gave; the field is readable by every XDP program.
    let queue = unsafe { (*ctx.ctx).rx_queue_index };
    match XSKS.redirect(queue, u64::from(XDP_DROP)) {
        Ok(_) => XDP_REDIRECT,
        Err(_) => {
            totals.lost_no_socket += 1;
            XDP_DROP
        }
    }
}

/// Puts the sample's metadata in front of the packet; AF_XDP delivers it with the frame.
#[inline(always)]
fn write_meta(ctx: &XdpContext, wire_len: u32, weight: u32) -> bool {
    let size = size_of::<SampleMeta>();
    // SAFETY: the context is the one the kernel gave; the helper moves the metadata pointer down or fails.
    if unsafe { bpf_xdp_adjust_meta(ctx.ctx, -(size as i32)) } != 0 {
        return false;
    }
    let start = ctx.metadata();
    if start + size > ctx.metadata_end() {
        return false;
    }
    // SAFETY: the helper takes no argument.
    let time = unsafe { bpf_ktime_get_ns() };
    // SAFETY: `start..start + size` is metadata space by the check above; it is 4-byte aligned, and the
    // program's target allows unaligned words, as `write_unaligned` also does.
    unsafe {
        (start as *mut SampleMeta).write_unaligned(SampleMeta {
            time,
            wire_len,
            captured_len: wire_len,
            weight,
            _pad: 0,
        })
    };
    true
}

/// A copy for user space: the packet itself goes on to the host.
#[inline(always)]
fn copy(ctx: &XdpContext, totals: &mut Totals, wire_len: u32, weight: u32) {
    let Some(mut record) = SAMPLES.reserve::<HostSample>(0) else {
        totals.lost_ringbuf_full += 1;
        return;
    };
    let sample = record.as_mut_ptr();
    let snap = HOST_SNAP as u32;
    // The mask tells the verifier what is so anyway: at least one byte, and no more than the record has room for.
    let captured_len = if wire_len > snap { snap } else { (wire_len.wrapping_sub(1) & (snap - 1)) + 1 };
    // SAFETY: `sample` is a reserved record of this size; `captured_len` is at most the size of `data` and at
    // most the packet. The rest of `data` holds what an earlier record left there, and is not meant.
    let copied = unsafe {
        let time = bpf_ktime_get_ns();
        (&raw mut (*sample).meta).write(SampleMeta { time, wire_len, captured_len, weight, _pad: 0 });
        bpf_xdp_load_bytes(ctx.ctx, 0, (&raw mut (*sample).data).cast(), captured_len)
    };
    if copied == 0 {
        record.submit(0);
    } else {
        record.discard(0);
        totals.lost_ringbuf_full += 1;
    }
}
