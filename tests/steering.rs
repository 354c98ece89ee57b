//! Sampling steered while packets come, on a veth pair: a host, then everybody, then as it was.
#![allow(clippy::disallowed_methods, reason = "packets are paced and time is measured by the real clock")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use sensor::capture::{
    CaptureConfig, Event, Live, Mode, Queued, Sample, SampleConfig, TICK_ROOM, Target, nic,
};
use sensor_tests::frames;
use sensor_tests::generator::Generator;
use sensor_tests::namespace::{Namespace, inside};

/// The generator gives 32 of them the same source address.
const FLOWS: u64 = 320;

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_host_is_looked_at_closely_for_a_while() {
    if !inside() {
        return Namespace::new("steering").run_test("a_host_is_looked_at_closely_for_a_while");
    }
    let sample = SampleConfig {
        first_packets: 0,
        one_in: 0,
        flagged_per_second: 0,
        other_per_second: 0,
        raised_one_in: 4,
        raised_for: Duration::from_secs(10),
    };
    let config = CaptureConfig { mode: Mode::Host, sample: sample.clone(), ..CaptureConfig::default() };
    let (sender, events) = sync_channel(config.queue_batches as usize + TICK_ROOM);
    let live = Live::start(&config, &nic::find("rx0").unwrap(), sender).unwrap();
    let mut generator = Generator::new("tx0", FLOWS);

    assert!(send(&mut generator, &events).is_empty(), "nothing is sampled at first");

    let host = Ipv4Addr::new(10, 0, 0, 3);
    live.steering.raise(Target::network(IpAddr::V4(host), 32));
    wait(&events, 2);
    // Flows that were there before, and packets enough to tell one in four.
    let samples = send(&mut generator, &events);
    assert!(samples.iter().all(|sample| source(sample) == host && sample.weight == 4), "only the host");
    let estimate: u32 = samples.iter().map(|sample| sample.weight).sum();
    // A tenth of 32,000 packets is the host's: 800 samples, six standard deviations (24.5) either way.
    assert!(estimate.abs_diff(3_200) < 6 * 25 * 4, "{estimate}");

    wait(&events, 12);
    assert!(send(&mut generator, &events).is_empty(), "it is over");

    live.steering.set(SampleConfig { one_in: 1, ..sample });
    wait(&events, 2);
    assert_eq!(send(&mut generator, &events).len(), 32_000, "sampling changed under way");
    let reader = thread::spawn(move || events.iter().count());
    live.stop();
    reader.join().unwrap();
}

/// Sends a hundred packets of each flow; gives the samples of them.
fn send(generator: &mut Generator, events: &Receiver<Queued>) -> Vec<Sample> {
    let frame = frames::udp(
        (Ipv4Addr::new(10, 0, 0, 1).into(), 40_000),
        (Ipv4Addr::new(192, 0, 2, 1).into(), 53),
        &[0; 18],
    );
    let mut samples = Vec::new();
    // In portions: the ring has room for so many copies.
    for _ in 0..20 {
        generator.send(&frame, 5 * FLOWS as u32);
        samples.extend(collect(events, Duration::from_millis(150)));
    }
    samples
}

fn wait(events: &Receiver<Queued>, seconds: u64) {
    collect(events, Duration::from_secs(seconds));
}

fn collect(events: &Receiver<Queued>, time: Duration) -> Vec<Sample> {
    let (until, mut all) = (Instant::now() + time, Vec::new());
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if let Ok(Queued { event: Event::Samples(samples), .. }) = events.recv_timeout(left) {
            all.extend(samples);
        }
    }
    all
}

fn source(sample: &Sample) -> Ipv4Addr {
    Ipv4Addr::from(<[u8; 4]>::try_from(&sample.frame[26..30]).unwrap())
}
