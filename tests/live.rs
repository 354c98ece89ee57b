//! Real packets through the real rings: a veth pair in a namespace of the test's own, at full speed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use sensor::capture::nic;
use sensor::capture::{CaptureConfig, Event, Live, Mode, TICK_ROOM, XdpMode};
use sensor::ledger::{Ledger, Residue};
use sensor_tests::generator::Generator;
use sensor_tests::namespace::{Namespace, inside};

const PACKETS: u32 = 4_000_000;
const FLOWS: u64 = 10_000;

#[test]
#[ignore = "needs root: cargo xtask test"]
fn every_packet_is_counted_native_mirror() {
    full_speed("every_packet_is_counted_native_mirror", Mode::Mirror, XdpMode::Native);
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn every_packet_is_counted_native_host() {
    full_speed("every_packet_is_counted_native_host", Mode::Host, XdpMode::Native);
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn every_packet_is_counted_generic_mirror() {
    full_speed("every_packet_is_counted_generic_mirror", Mode::Mirror, XdpMode::Generic);
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn every_packet_is_counted_generic_host() {
    full_speed("every_packet_is_counted_generic_host", Mode::Host, XdpMode::Generic);
}

/// Sends [`PACKETS`] of [`FLOWS`] flows and asks the ledger for every one of them.
fn full_speed(name: &str, mode: Mode, xdp: XdpMode) {
    if !inside() {
        return Namespace::new(name.trim_start_matches("every_packet_is_counted_")).run_test(name);
    }
    let nic = nic::find("rx0").unwrap();
    let config = CaptureConfig { mode, xdp, ..CaptureConfig::default() };
    let (sender, events) = sync_channel(config.queue_batches as usize + TICK_ROOM);
    let live = Live::start(&config, &nic, sender).unwrap();
    let reader = thread::spawn(move || {
        let mut ledger = Ledger::default();
        let mut worst = Residue::default();
        let (mut flows, mut ticks) = (std::collections::HashSet::new(), 0);
        for queued in events {
            match queued.event {
                Event::Tick(tick) => {
                    ticks += 1;
                    ledger.drained(&tick);
                    let residue = ledger.residue();
                    if residue.wire != 0 || residue.flows != 0 || residue.samples != 0 {
                        worst = residue;
                    }
                }
                Event::Flows(deltas) => {
                    flows.extend(deltas.iter().map(|delta| delta.key));
                    ledger.flows(&deltas);
                }
                Event::Samples(_) | Event::Tunnels(_) | Event::Listed(_) => {}
                Event::Lists(_) | Event::Packets(_) => {}
            }
        }
        (ledger, worst, flows.len(), ticks)
    });

    let mut generator = Generator::new("tx0", FLOWS);
    for len in [60, 342, 1514, 60] {
        generator.send(&udp_frame(len), PACKETS / 4);
    }
    // A veth drops what its 256-slot ring has no room for, before any XDP program: those are sent again.
    let mut received = received("rx0");
    let lost_before = u64::from(PACKETS).saturating_sub(received.0);
    while received.0 < u64::from(PACKETS) {
        generator.send(&udp_frame(60), (u64::from(PACKETS) - received.0) as u32);
        received = self::received("rx0");
    }
    thread::sleep(Duration::from_millis(200));
    live.stop();
    let (ledger, worst, flows, ticks) = reader.join().unwrap();
    let totals = ledger.totals;
    println!(
        "{name}: {} received, {lost_before} lost by the veth before, {ticks} ticks, {flows} flows, sampled {}, {:?}",
        received.0, totals.sampled, ledger.samples
    );
    assert_eq!(worst, Residue::default(), "residues while packets flew");
    let residue = ledger.residue_at_rest();
    assert_eq!((residue.wire, residue.wire_bytes), (0, 0), "{totals:?}");
    assert_eq!((residue.flows, residue.flows_bytes), (0, 0), "{ledger:?}");
    assert_eq!(residue.samples, 0, "{ledger:?}");
    assert_eq!(totals.counted.packets, received.0, "{totals:?}");
    assert_eq!(totals.counted.bytes, received.1, "{totals:?}");
    assert_eq!(ledger.drained_packets, received.0);
    assert_eq!(ledger.drained_bytes, received.1);
    assert_eq!(flows as u64, FLOWS);
    assert!(ledger.samples.delivered > 0, "no sample arrived: {ledger:?}");
}

/// Packets and bytes that an interface received, by its own counters.
fn received(interface: &str) -> (u64, u64) {
    let counter = |name: &str| {
        let path = format!("/sys/class/net/{interface}/statistics/{name}");
        std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
    };
    (counter("rx_packets"), counter("rx_bytes"))
}

/// An Ethernet frame of `len` bytes with an IPv4 UDP packet in it, checksums left out.
fn udp_frame(len: usize) -> Vec<u8> {
    let mut frame = vec![0u8; len];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
    frame[22] = 64;
    frame[23] = 17;
    frame[30..34].copy_from_slice(&[192, 0, 2, 1]);
    frame[36..38].copy_from_slice(&53u16.to_be_bytes());
    frame[38..40].copy_from_slice(&((len - 34) as u16).to_be_bytes());
    frame
}
