//! Every map the program has. User space finds them by name and sets the sizes from the configuration.
#![expect(unsafe_code, reason = "map values are shared memory")]

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf, XskMap};
use sensor_ebpf::control::Control;
use sensor_ebpf::counter::Totals;
use sensor_ebpf::flow::{FlowKey, FlowStats};
use sensor_ebpf::sample::Sampler;

/// One entry a conversation, cumulative, both directions. A plain hash: an LRU map evicts established flows
/// under a spoofed flood, and tells nobody. User space deletes what is idle.
#[map]
pub(super) static FLOWS: HashMap<FlowKey, FlowStats> = HashMap::with_max_entries(262_144, 0);

/// Where every packet went, one element.
#[map]
static TOTALS: PerCpuArray<Totals> = PerCpuArray::with_max_entries(1, 0);

/// What user space wants, one element.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Sampling state, one element.
#[map]
static SAMPLER: PerCpuArray<Sampler> = PerCpuArray::with_max_entries(1, 0);

/// Room for the value of a new flow, one element: the stack has none.
#[map]
static SCRATCH: PerCpuArray<FlowStats> = PerCpuArray::with_max_entries(1, 0);

/// AF_XDP sockets by receive queue: `mirror` mode.
#[map]
pub(super) static XSKS: XskMap = XskMap::with_max_entries(256, 0);

/// Copies of samples: `host` mode.
#[map]
pub(super) static SAMPLES: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

#[inline(always)]
pub(super) fn totals() -> Option<&'static mut Totals> {
    // SAFETY: the element is this CPU's own, and XDP programs do not interrupt each other on one CPU.
    TOTALS.get_ptr_mut(0).map(|totals| unsafe { &mut *totals })
}

#[inline(always)]
pub(super) fn sampler() -> Option<&'static mut Sampler> {
    // SAFETY: as for the totals.
    SAMPLER.get_ptr_mut(0).map(|sampler| unsafe { &mut *sampler })
}

#[inline(always)]
pub(super) fn scratch() -> Option<&'static mut FlowStats> {
    // SAFETY: as for the totals.
    SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &mut *scratch })
}

/// A copy: user space may write the element while the program runs, and each field stands on its own.
#[inline(always)]
pub(super) fn control() -> Option<Control> {
    // SAFETY: the pointer is to a live element of the array; four aligned words are read, each whole.
    CONTROL.get_ptr(0).map(|control| unsafe { core::ptr::read_volatile(control) })
}
