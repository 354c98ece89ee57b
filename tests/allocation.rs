//! What happens for each packet and each growth of a flow allocates nothing, once the tables have grown to what the
//! traffic needs; what happens once a window allocates a little that does not depend on the traffic.
#![expect(unsafe_code, reason = "an allocator that counts is an allocator, and those are unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr};

use sensor::analysis::{Analysis, AnalysisConfig};
use sensor::capture::replay::{Replay, ReplayConfig};
use sensor::capture::{Event, FLOW_BATCH, FlowDelta, Tick};
use sensor_ebpf::flow::{FlowKey, FlowStats, proto};
use sensor_ebpf::parse::mapped;
use sensor_tests::capture::{Fraction, Order, Packet, pcap};
use sensor_tests::frames;

const SECOND: u64 = 1_000_000_000;
const EPOCH: u64 = 1_700_000_000 * SECOND;

/// The system's allocator, and how often this thread asked it.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// A thread that ends may give memory back after its counter is gone: that is not counted.
fn count() {
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: every call is handed to the system's allocator as it came, so its promises hold here. Counting touches only a
// `const` thread-local without a destructor, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the conditions of `GlobalAlloc::alloc`, which are those of the callee.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from `alloc` or `realloc` above, hence from the system's allocator.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; the caller keeps the conditions on `size`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = ASKED.get();
    let result = work();
    (ASKED.get() - before, result)
}

/// What `flows` established connections grow by in one drain.
fn growth(flows: u32, time: u64) -> Vec<FlowDelta> {
    (0..flows)
        .map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            let (client, server) = (([10, a, b, c], 40_000), ([172, 16, 0, c % 50], 443));
            let side = |(address, port)| (mapped(address), port);
            let (key, reverse) = FlowKey::canonical(side(client), side(server), [0; 3], proto::TCP);
            let mut grown = FlowStats { first: EPOCH, initiator: u64::from(reverse), ..FlowStats::default() };
            grown.add_packet(usize::from(reverse), 100 + u64::from(n % 7), 0x18, time);
            grown.add_packet(usize::from(!reverse), 1400, 0x10, time + 1);
            FlowDelta { key, grown }
        })
        .collect()
}

#[test]
fn known_flows_grow_and_windows_close_without_allocations() {
    let mut per_window = Vec::new();
    for flows in [500, 4000] {
        let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
        let (mut growing, mut closing, mut windows) = (0, 0, 0);
        for tick in 1..=600 {
            let time = EPOCH + tick * SECOND / 10;
            let deltas = growth(flows, time - SECOND / 20);
            let (grew, ()) =
                allocations(|| deltas.chunks(FLOW_BATCH).for_each(|batch| analysis.flows(batch)));
            let (closed, output) = allocations(|| analysis.tick(&Tick { time, ..Tick::default() }).unwrap());
            // Warmed up, calibrated, and some time active: by then everything has its size.
            if tick > 400 {
                growing += grew;
                closing += closed;
                windows += output.windows;
            }
        }
        assert_eq!(analysis.state().name(), "active");
        assert_eq!(growing, 0, "applying {flows} flows allocated");
        assert_eq!(windows, 20);
        per_window.push(closing / windows);
    }
    println!("allocations per window: {per_window:?}");
    assert!(per_window.iter().all(|count| *count <= 30), "{per_window:?}");
    assert!(per_window[1] <= per_window[0] + 5, "it depends on the flows: {per_window:?}");
}

#[test]
fn packets_are_replayed_without_allocations() {
    let flow = |n: u32| {
        let address = |net: u8| IpAddr::V4(Ipv4Addr::new(10, net, (n >> 8) as u8, n as u8));
        frames::udp((address(1), 5000), (address(2), 6000), &[n as u8; 40])
    };
    let frames: Vec<Vec<u8>> = (0..1000).map(flow).collect();
    let packets: Vec<Packet> = (0..60_000u64)
        .map(|n| Packet { time: EPOCH + n * SECOND / 2000, frame: frames[(n % 1000) as usize].clone() })
        .collect();
    let file = pcap(&packets, Order::Little, Fraction::Nano, 1);
    let mut replay = Replay::from_reader("test", Cursor::new(file), ReplayConfig::default()).unwrap();
    let buffers = replay.buffers().clone();
    let (mut made, mut ticks) = (0, 0);
    loop {
        let (count, event) = allocations(|| replay.next_event().unwrap());
        let Some(event) = event else { break };
        if replay.packets() > 30_000 {
            made += count;
            ticks += u64::from(matches!(event, Event::Tick(_)));
        }
        buffers.give_back(event);
    }
    println!("{made} allocations in {ticks} ticks for {} packets", packets.len() / 2);
    assert!(ticks > 100);
    // Samples share pieces of memory, of which a new one is needed now and then.
    assert!(made <= ticks / 2, "{made} allocations in {ticks} ticks");
}
