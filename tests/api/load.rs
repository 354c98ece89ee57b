//! The API beside a capture at full speed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sensor::config::Config;
use sensor::store::Store;
use sensor_tests::frames::udp;
use sensor_tests::generator::Generator;
use sensor_tests::mirror;
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::running::Running;
use serde_json::Value;

use super::{PAGES, VESPER, store_alerts};

/// What the console asks for, while packets come as fast as this machine can send them.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn answers_come_in_time_while_packets_come_at_full_speed() {
    const NAME: &str = "load::answers_come_in_time_while_packets_come_at_full_speed";
    if inside() {
        let begun = Instant::now();
        let mut generator = Generator::new("tx0", 10_000);
        let frame = udp(([192, 0, 2, 2].into(), 4000), ([192, 0, 2, 1].into(), 53), &[0; 20]);
        while begun.elapsed() < Duration::from_secs(120) {
            generator.send(&frame, 100_000);
        }
        return;
    }
    let long = std::env::var_os("VESPER_LONG").is_some();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let text = format!("state_dir = {:?}\n[capture]\ninterface = \"rx0\"\n", folder.path());
    std::fs::write(&config, text).unwrap();
    let (store, _) = Store::open(&Config::default().store, folder.path()).unwrap();
    store_alerts(&store, if long { 1_000_000 } else { 5_000 });
    drop(store);
    let namespace = Namespace::new("load");
    let mut running = Running::start(VESPER, &namespace, &config);
    running.wait_for("watching");
    let idle = percentiles(&namespace);
    let sender = mirror::role(&namespace, NAME, "sender");
    std::thread::sleep(Duration::from_secs(3));
    let (before, begun) = (seen(&running, &namespace), Instant::now());
    let busy = percentiles(&namespace);
    let rate = (seen(&running, &namespace) - before) as f64 / begun.elapsed().as_secs_f64();
    drop(sender);
    for ((path, idle), (_, busy)) in idle.iter().zip(&busy) {
        println!("{path}: median and p99 {idle:?}, with packets {busy:?}");
    }
    println!("{rate:.0} packets a second meanwhile");
    let summary = running.stop();
    for (equation, residue) in summary["residue"].as_object().unwrap() {
        assert_eq!(residue, 0, "{equation}: {summary}");
    }
    assert!(rate > 10_000.0, "{rate}");
    let most = Duration::from_millis(if long { 50 } else { 500 });
    assert!(busy.iter().all(|(_, [_, p99])| *p99 <= most), "{busy:?}");
}

/// Packets that the sensor has seen.
fn seen(running: &Running, namespace: &Namespace) -> u64 {
    let answer = running.get(namespace, "/api/v1/status");
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["totals"]["packets"].as_u64().unwrap()
}

/// Median and 99th percentile of each page.
fn percentiles(namespace: &Namespace) -> Vec<(&'static str, [Duration; 2])> {
    let network = std::fs::File::open(format!("/run/netns/{}", namespace.name())).unwrap();
    // A thread of its own: the namespace it moves into ends with it.
    let asking = std::thread::spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        PAGES.map(|path| {
            let mut times: Vec<Duration> = (0..200)
                .map(|_| {
                    let begun = Instant::now();
                    let mut stream = TcpStream::connect(("127.0.0.1", 8888)).unwrap();
                    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                        .unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
                    begun.elapsed()
                })
                .collect();
            times.sort();
            (path, [times[100], times[197]])
        })
    });
    asking.join().unwrap().into()
}
