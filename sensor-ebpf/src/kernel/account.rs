//! Adds a packet to its flow.
#![expect(unsafe_code, reason = "map values are shared memory")]

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::warn;
use core::intrinsics::{AtomicOrdering, atomic_xadd};
use sensor_ebpf::counter::Totals;
use sensor_ebpf::flow::{FlagWords, FlowStats};
use sensor_ebpf::parse::Packet;

use super::maps::{FLOWS, scratch};

/// `E2BIG`, `EEXIST` of the kernel, as a map update returns them.
const E2BIG: i32 = -7;
const EEXIST: i32 = -17;

/// One line for so many packets without room, so that a flood does not become a flood of log lines.
const LOG_EVERY: u64 = 1 << 20;

/// Counts the packet in its flow; returns its ordinal there, from 1. Packets without room in the map are
/// counted in the totals and have ordinal `u64::MAX`, so that a flood does not look like first packets.
#[inline(always)]
pub(super) fn count(ctx: &XdpContext, totals: &mut Totals, packet: &Packet, bytes: u64, now: u64) -> u64 {
    let direction = usize::from(packet.reverse);
    if let Some(stats) = FLOWS.get_ptr_mut(&packet.key) {
        return add(stats, direction, bytes, packet.tcp_flags, now);
    }
    let Some(fresh) = scratch() else {
        totals.overflow_insert_failed.add(bytes);
        return u64::MAX;
    };
    fresh.set_first_packet(direction, bytes, packet.tcp_flags, now);
    match FLOWS.insert(&packet.key, &*fresh, u64::from(BPF_NOEXIST)) {
        Ok(()) => return 1,
        Err(EEXIST) => {
            // Another CPU was first.
            if let Some(stats) = FLOWS.get_ptr_mut(&packet.key) {
                return add(stats, direction, bytes, packet.tcp_flags, now);
            }
            totals.overflow_insert_failed.add(bytes);
        }
        Err(E2BIG) => {
            if totals.overflow_map_full.packets % LOG_EVERY == 0 {
                warn!(ctx, "flow map full: packets of new flows are counted in the overflow aggregate only");
            }
            totals.overflow_map_full.add(bytes);
        }
        Err(_) => totals.overflow_insert_failed.add(bytes),
    }
    u64::MAX
}

/// The entry is shared between CPUs, so the counters are atomic: an unsynchronised one loses packets.
#[inline(always)]
fn add(stats: *mut FlowStats, direction: usize, bytes: u64, flags: u8, now: u64) -> u64 {
    // SAFETY: `stats` came from the map and stays readable until this program returns (RCU), even if user
    // space deletes the entry meanwhile. Every field is an aligned u64 that others also write atomically or,
    // for `last`, whole.
    unsafe {
        let side = direction & 1;
        let before = (&raw const (*stats).packets[0]).read_volatile()
            + (&raw const (*stats).packets[1]).read_volatile();
        atomic_add(&raw mut (*stats).packets[side], 1);
        atomic_add(&raw mut (*stats).bytes[side], bytes);
        let words = &raw mut (*stats).flags[side];
        let [ack_psh, syn_fin, rst_urg, ece_cwr] = FlagWords::increments(flags);
        if ack_psh != 0 {
            atomic_add(&raw mut (*words).ack_psh, ack_psh);
        }
        if syn_fin != 0 {
            atomic_add(&raw mut (*words).syn_fin, syn_fin);
        }
        if rst_urg != 0 {
            atomic_add(&raw mut (*words).rst_urg, rst_urg);
        }
        if ece_cwr != 0 {
            atomic_add(&raw mut (*words).ece_cwr, ece_cwr);
        }
        (&raw mut (*stats).last).write_volatile(now);
        before + 1
    }
}

/// `lock *field += value`. The bpf target declares no compare-and-swap, so `AtomicU64::fetch_add` is not there.
///
/// # Safety
/// `field` is aligned and lives for the program's run.
#[inline(always)]
unsafe fn atomic_add(field: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(field, value) };
}
