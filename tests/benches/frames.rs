//! What `cargo xtask bench live` runs inside its namespace; a program, not a harness.
//!
//! `frames drop IF` attaches an XDP program that only drops, until it is ended, `frames entry IF` one that adds to a
//! flow's entry besides; `frames send IF FLOWS WARM-UP PACKETS`
//! sends live frames and prints the CPU time of those after the warm-up; `frames flood IF FLOWS REPEAT RATE SECONDS` mixes
//! flows that send one packet a second each into a flood of `RATE` packets a second, `REPEAT` of each flood flow.
#![allow(clippy::disallowed_methods, reason = "packets are paced by the real clock")]
#![allow(clippy::unwrap_used, reason = "a measuring program ends with the error")]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use aya::EbpfLoader;
use aya::programs::{Xdp, XdpMode};
use sensor::capture::nic;
use sensor_tests::generator::Generator;

/// The programs that the sensor is compared with.
const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sensor-ebpf/bench-programs.o");

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["drop", interface] => attach(interface, "empty"),
        ["entry", interface] => attach(interface, "entry"),
        ["send", interface, flows, warm_up, packets] => {
            send(interface, flows.parse().unwrap(), warm_up.parse().unwrap(), packets.parse().unwrap());
        }
        ["flood", interface, flows, repeat, rate, seconds] => {
            let number = |word: &str| word.parse::<u64>().unwrap();
            flood(interface, number(flows), number(repeat), number(rate), number(seconds));
        }
        // Started by `cargo bench` with all others.
        _ => println!("see `cargo xtask bench live`"),
    }
}

fn attach(interface: &str, name: &str) {
    // The maps of the object's other programs are made as well: small.
    let mut programs = EbpfLoader::new().map_max_entries("TWIN", 1).load_file(OBJECT).unwrap();
    let program: &mut Xdp = programs.program_mut(name).unwrap().try_into().unwrap();
    program.load().unwrap();
    program.attach_to_if_index(nic::find(interface).unwrap().index, XdpMode::Driver).unwrap();
    loop {
        // The kernel detaches it when this process is ended.
        thread::park();
    }
}

fn send(interface: &str, flows: u64, warm_up: u32, packets: u32) {
    let mut generator = Generator::new(interface, flows);
    let frame = udp_frame();
    generator.send(&frame, warm_up);
    let before = cpu_nanoseconds();
    generator.send(&frame, packets);
    println!("sent: {packets} cpu_ns: {}", cpu_nanoseconds() - before);
}

fn flood(interface: &str, flows: u64, repeat: u64, rate: u64, seconds: u64) {
    let mut generator = Generator::new(interface, flows);
    let frame = udp_frame();
    // Two packets of each flow, a second apart: they are no spoofed ones.
    generator.send(&frame, flows as u32);
    thread::sleep(Duration::from_millis(1_200));
    generator.send(&frame, flows as u32);
    generator.flood((rate / flows).max(2), repeat);
    let before = cpu_nanoseconds();
    let mut next = Instant::now();
    for _ in 0..4 * seconds {
        generator.send(&frame, (rate / 4) as u32);
        next += Duration::from_millis(250);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    println!("sent: {} cpu_ns: {}", rate / 4 * 4 * seconds, cpu_nanoseconds() - before);
}

/// CPU time of this thread, to the nanosecond: the first figure of schedstat (proc_pid_schedstat(5)).
fn cpu_nanoseconds() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// 60 bytes of IPv4 and UDP; the generator writes source address and port.
fn udp_frame() -> Vec<u8> {
    let addresses = [std::net::IpAddr::from([10, 0, 0, 1]), std::net::IpAddr::from([192, 0, 2, 1])];
    sensor_tests::frames::udp((addresses[0], 40_000), (addresses[1], 53), &[0; 18])
}
