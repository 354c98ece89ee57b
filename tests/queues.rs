//! Receive queues of a real interface, each read by a thread of its own: every packet and sample accounted for,
//! whatever the memory, the length of the frames and the way of waiting; and what the interface counts beside.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::UdpSocket;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use sensor::capture::nic;
use sensor::capture::nic::counters::NicCounters;
use sensor::capture::{CaptureConfig, Event, Live, Mode, Sample, TICK_ROOM, XdpMode, ZeroCopy};
use sensor::ledger::{Ledger, Residue};
use sensor_tests::generator::Generator;
use sensor_tests::namespace::{Namespace, inside};

/// What came of a run of the capture alone.
struct Outcome {
    ledger: Ledger,
    samples: Vec<Sample>,
    nic: NicCounters,
    delivered: Vec<u64>,
}

/// A capture on `rx0`, and a thread that reads all it hands on.
fn capture(config: &CaptureConfig) -> (Live, JoinHandle<(Ledger, Vec<Sample>, Residue)>) {
    let (sender, events) = sync_channel(config.queue_batches as usize + TICK_ROOM);
    let live = Live::start(config, &nic::find("rx0").unwrap(), sender).unwrap();
    let reader = thread::spawn(move || {
        let (mut ledger, mut samples, mut worst) = (Ledger::default(), Vec::new(), Residue::default());
        for queued in events {
            match queued.event {
                Event::Tick(tick) => {
                    ledger.drained(&tick);
                    let residue = ledger.residue();
                    if (residue.wire, residue.flows, residue.samples) != (0, 0, 0) {
                        worst = residue;
                    }
                }
                Event::Flows(deltas) => ledger.flows(&deltas),
                Event::Tunnels(_) | Event::Listed(_) | Event::Lists(_) | Event::Packets(_) => {}
                Event::Samples(batch) => samples.extend(batch),
            }
        }
        (ledger, samples, worst)
    });
    (live, reader)
}

/// Stops it, and asks the ledger for every packet and sample.
fn finish(live: Live, reader: JoinHandle<(Ledger, Vec<Sample>, Residue)>) -> Outcome {
    thread::sleep(Duration::from_millis(300));
    let counters = live.counters.clone();
    live.stop();
    let (ledger, samples, worst) = reader.join().unwrap();
    assert_eq!(worst, Residue::default(), "while packets flew");
    let residue = ledger.residue_at_rest();
    let kernel = (residue.wire, residue.wire_bytes, residue.flows, residue.flows_bytes, residue.samples);
    assert_eq!(kernel, (0, 0, 0, 0, 0), "{ledger:?}");
    let delivered = counters.queues.iter().map(|queue| queue.delivered.load(Relaxed)).collect();
    Outcome { ledger, samples, nic: counters.nic(), delivered }
}

/// Two queues at each end; a veth puts a redirected frame into the queue of the CPU it came from.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn every_queue_is_read_and_every_packet_is_counted() {
    const NAME: &str = "every_queue_is_read_and_every_packet_is_counted";
    const PACKETS: u32 = 1_000_000;
    if !inside() {
        return Namespace::with_queues("queues", 2).run_test(NAME);
    }
    let config = CaptureConfig { xdp: XdpMode::Native, ..CaptureConfig::default() };
    let (live, reader) = capture(&config);
    assert_eq!(live.queues.len(), 2);
    assert!(live.queues.iter().all(|queue| queue.cpu.is_some() && !queue.zero_copy), "{:?}", live.queues);
    let before = dropped("rx0");
    let mut generator = Generator::new("tx0", 1000);
    for cpu in [0, 1] {
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).unwrap();
        generator.send(&udp_frame(), PACKETS / 2);
    }
    let outcome = finish(live, reader);
    let (totals, nic) = (outcome.ledger.totals, outcome.nic);
    println!(
        "seen {}, {nic:?}, delivered {:?}, {:?}",
        totals.seen.packets, outcome.delivered, outcome.ledger.samples
    );
    assert!(outcome.delivered.iter().all(|delivered| *delivered > 1000), "{:?}", outcome.delivered);
    // The veth's own counters say the same as XDP's, and where the others went: its ring had no room for them.
    assert_eq!(nic.rx_packets, totals.seen.packets, "{nic:?}");
    assert_eq!(nic.rx_packets + nic.rx_missed, u64::from(PACKETS), "{nic:?}");
    assert_eq!((nic.comparable, nic.unseen), (true, 0), "{nic:?}");
    assert_eq!(nic.rx_dropped, dropped("rx0") - before, "{nic:?}");
    assert_eq!(nic.last_loss != 0, nic.rx_missed != 0, "{nic:?}");
}

/// Frames longer than a page arrive whole, in samples of several frames of memory; those beyond 16 KiB are lost, and
/// counted as such.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn jumbo_frames_arrive_whole_native() {
    jumbo_frames("jumbo_frames_arrive_whole_native", XdpMode::Native);
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn jumbo_frames_arrive_whole_generic() {
    jumbo_frames("jumbo_frames_arrive_whole_generic", XdpMode::Generic);
}

fn jumbo_frames(name: &str, xdp: XdpMode) {
    const FRAMES: usize = 200;
    const LENGTHS: [usize; 4] = [60, 3840, 3841, 8958];
    if !inside() {
        let namespace = Namespace::new(name.trim_start_matches("jumbo_frames_arrive_"));
        for end in ["tx0", "rx0"] {
            namespace.ip(&["link", "set", end, "mtu", "20000"]);
        }
        namespace.ip(&["addr", "add", "10.8.0.1/24", "dev", "tx0"]);
        let neighbour = ["neigh", "add", "10.8.0.2", "lladdr", "02:00:00:00:00:02", "dev", "tx0"];
        namespace.ip(&neighbour);
        return namespace.run_test(name);
    }
    let mut config = CaptureConfig { xdp, ..CaptureConfig::default() };
    config.sample.one_in = 1;
    let (live, reader) = capture(&config);
    let socket = UdpSocket::bind("10.8.0.1:4000").unwrap();
    // Ethernet, IPv4 and UDP headers make 42 bytes.
    let payload = |frame: usize| (0..frame - 42).map(|at| at as u8).collect::<Vec<_>>();
    for _ in 0..FRAMES {
        for length in LENGTHS {
            socket.send_to(&payload(length), "10.8.0.2:4001").unwrap();
        }
        // The socket's ring has room for all, if they do not come at once.
        thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..3 {
        socket.send_to(&payload(17_000), "10.8.0.2:4001").unwrap();
    }
    let outcome = finish(live, reader);
    for length in LENGTHS {
        let whole = outcome.samples.iter().filter(|sample| {
            sample.frame.len() == length
                && sample.wire_len as usize == length
                && sample.frame[42..] == payload(length)
        });
        assert_eq!(whole.count(), FRAMES, "{length} bytes: {:?}", outcome.ledger.samples);
    }
    assert_eq!(outcome.ledger.samples.lost_rx_dropped, 3, "{:?}", outcome.ledger.samples);
}

/// Reserves huge pages for as long as it lives. The setting is the machine's, not the namespace's.
struct HugePages(String);

impl HugePages {
    const FILE: &str = "/proc/sys/vm/nr_hugepages";

    fn reserve(pages: u64) -> HugePages {
        let before = HugePages(std::fs::read_to_string(Self::FILE).unwrap());
        std::fs::write(Self::FILE, pages.to_string()).unwrap();
        before
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = std::fs::write(Self::FILE, self.0.trim());
    }
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn samples_lie_in_huge_pages_where_there_are_some() {
    const NAME: &str = "samples_lie_in_huge_pages_where_there_are_some";
    if !inside() {
        return Namespace::new("hugepages").run_test(NAME);
    }
    let config = CaptureConfig { xdp: XdpMode::Native, ..CaptureConfig::default() };
    let need = sensor::capture::queues::huge_pages(&config, &nic::find("rx0").unwrap());
    assert_eq!(need, 8, "4096 frames of 4096 bytes");
    for (pages, choice, huge) in [
        (need, sensor::capture::HugePages::Auto, true),
        (need - 1, sensor::capture::HugePages::Auto, false),
        (need, sensor::capture::HugePages::Off, false),
    ] {
        let _reserved = HugePages::reserve(pages);
        let (live, reader) = capture(&CaptureConfig { huge_pages: choice, ..config.clone() });
        assert_eq!(live.queues[0].huge_pages, huge, "{pages} pages, {choice:?}");
        Generator::new("tx0", 100).send(&udp_frame(), 20_000);
        let outcome = finish(live, reader);
        assert!(outcome.delivered[0] > 800, "{pages} pages: {:?}", outcome.ledger.samples);
        assert!(outcome.samples.iter().all(|sample| sample.frame.len() == 60));
    }
}

/// The reader runs the driver's receive loop; a veth's too.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_reader_that_polls_itself_reads_everything() {
    const NAME: &str = "a_reader_that_polls_itself_reads_everything";
    if !inside() {
        return Namespace::new("busypoll").run_test(NAME);
    }
    let config = CaptureConfig { xdp: XdpMode::Native, busy_poll: true, ..CaptureConfig::default() };
    let (live, reader) = capture(&config);
    assert!(live.queues[0].busy_poll);
    Generator::new("tx0", 1000).send(&udp_frame(), 200_000);
    let outcome = finish(live, reader);
    assert_eq!(outcome.nic.rx_packets + outcome.nic.rx_missed, 200_000, "{:?}", outcome.nic);
    assert!(outcome.delivered[0] > 1000, "{:?}", outcome.ledger.samples);
}

/// In host mode packets go on to the stack, and the interface is left as it is.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn host_mode_compares_too() {
    const NAME: &str = "host_mode_compares_too";
    if !inside() {
        return Namespace::new("hostnic").run_test(NAME);
    }
    let config = CaptureConfig { mode: Mode::Host, zero_copy: ZeroCopy::Require, ..CaptureConfig::default() };
    let (live, reader) = capture(&config);
    assert!(live.queues.is_empty(), "no sockets, so nothing is required of them");
    Generator::new("tx0", 1000).send(&udp_frame(), 200_000);
    let outcome = finish(live, reader);
    let nic = outcome.nic;
    assert_eq!(nic.rx_packets, outcome.ledger.totals.seen.packets, "{nic:?}");
    assert_eq!((nic.rx_packets + nic.rx_missed, nic.unseen), (200_000, 0), "{nic:?}");
}

fn dropped(interface: &str) -> u64 {
    let path = format!("/sys/class/net/{interface}/statistics/rx_dropped");
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// 60 bytes of Ethernet with an IPv4 UDP packet in it, checksums left out.
fn udp_frame() -> Vec<u8> {
    let mut frame = vec![0u8; 60];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&46u16.to_be_bytes());
    frame[22] = 64;
    frame[23] = 17;
    frame[30..34].copy_from_slice(&[192, 0, 2, 1]);
    frame[36..38].copy_from_slice(&53u16.to_be_bytes());
    frame[38..40].copy_from_slice(&26u16.to_be_bytes());
    frame
}
