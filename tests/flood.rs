//! A spoofed flood between the packets of flows that were there before: those go on being followed, and all the rest
//! is counted.
#![allow(clippy::disallowed_methods, reason = "packets are paced and time is measured by the real clock")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use sensor::capture::flood::Flood;
use sensor::capture::{CaptureConfig, Event, Live, TICK_ROOM, nic};
use sensor::ledger::{Ledger, Residue};
use sensor_tests::frames;
use sensor_tests::generator::Generator;
use sensor_tests::namespace::{Namespace, inside};

/// Flows that are there before the flood.
const ESTABLISHED: u64 = 5_000;
/// Packets of one burst, and how often one comes: a million packets a second.
const BURST: u32 = 250_000;
const EVERY: Duration = Duration::from_millis(250);
/// Bursts with each number of packets a flood flow.
const BURSTS: u32 = 8;

#[test]
#[ignore = "needs root: cargo xtask test"]
fn established_flows_are_followed_through_a_flood() {
    if !inside() {
        return Namespace::new("flood").run_test("established_flows_are_followed_through_a_flood");
    }
    let config = CaptureConfig::default();
    let (sender, events) = sync_channel(config.queue_batches as usize + TICK_ROOM);
    let live = Live::start(&config, &nic::find("rx0").unwrap(), sender).unwrap();
    let reader = thread::spawn(move || {
        let (mut ledger, mut worst) = (Ledger::default(), Residue::default());
        let (mut established, mut strongest) = (0, Flood::default());
        for queued in events {
            match queued.event {
                Event::Tick(tick) => {
                    ledger.drained(&tick);
                    let residue = Residue { parsing: 0, ..ledger.residue() };
                    if !residue.is_zero() {
                        worst = residue;
                    }
                    strongest = [strongest, tick.flood.unwrap_or_default()]
                        .into_iter()
                        .max_by_key(|f| f.packets)
                        .unwrap();
                }
                Event::Flows(deltas) => {
                    ledger.flows(&deltas);
                    let ours = deltas.iter().filter(|delta| delta.key.addr_a[12] == 10);
                    established += ours.map(|delta| delta.grown.packets.iter().sum::<u64>()).sum::<u64>();
                }
                Event::Samples(_) | Event::Tunnels(_) | Event::Listed(_) => {}
                Event::Lists(_) | Event::Packets(_) => {}
            }
        }
        (ledger, worst, established, strongest)
    });

    let mut generator = Generator::new("tx0", ESTABLISHED);
    let frame =
        frames::udp(("10.0.0.1".parse().unwrap(), 40_000), ("192.0.2.1".parse().unwrap(), 53), &[0; 18]);
    // Twice, a second apart: a flow with packets over a second is proven.
    generator.send(&frame, ESTABLISHED as u32);
    thread::sleep(Duration::from_millis(1200));
    generator.send(&frame, ESTABLISHED as u32);
    let mut sent = 2 * ESTABLISHED;
    let mut next = Instant::now();
    for repeat in 1..=4 {
        // Each flow once a second at this rate.
        let one_in = u64::from(BURST) * 4 / ESTABLISHED;
        generator.flood(one_in, repeat);
        for _ in 0..BURSTS {
            generator.send(&frame, BURST);
            sent += u64::from(BURST) / one_in;
            next += EVERY;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
    let received = received("rx0");
    let asked = 2 * ESTABLISHED + u64::from(4 * BURSTS * BURST);
    live.stop();
    let (ledger, worst, established, strongest) = reader.join().unwrap();
    let lost = asked - received;
    println!(
        "{received} packets ({lost} lost by the veth before), {established} of {sent} packets of established flows in \
         their entries, overflow {:?}, strongest second {strongest:?}",
        ledger.totals.overflow_total()
    );
    assert_eq!(worst, Residue::default(), "residues during the flood");
    // Nobody parses the samples here.
    let residue = Residue { parsing: 0, ..ledger.residue_at_rest() };
    assert!(residue.is_zero(), "{residue:?}");
    assert_eq!(ledger.totals.seen.packets, received);
    assert!(ledger.totals.overflow_not_admitted.packets > received / 4, "{:?}", ledger.totals);
    // What the veth lost may have been theirs.
    assert!((established + lost) as f64 >= 0.999 * sent as f64, "{established} + {lost} of {sent}");
    assert!(strongest.packets > 100_000 && strongest.prefixes > 1_000, "{strongest:?}");
}

fn received(interface: &str) -> u64 {
    let path = format!("/sys/class/net/{interface}/statistics/rx_packets");
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}
