//! A sensor is killed, stopped, upgraded and started twice, while packets come as fast as they can be made: the next one
//! accounts for every one of them.
#![allow(clippy::disallowed_methods, reason = "gaps are measured")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod foreign;
mod ground;

use std::thread;
use std::time::{Duration, Instant};

use ground::{Ground, Load, frame, get, metric, no_residue, program_on, promiscuous, received};
use sensor_tests::generator::Generator;
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::running::Running;

/// Runs the rest of a test in a namespace with a veth pair.
fn within(name: &str, test: impl FnOnce(&Ground)) {
    if inside() {
        test(&Ground::new());
    } else {
        Namespace::new("restart").run_test(name);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_kill_under_load_loses_no_packet() {
    within("a_kill_under_load_loses_no_packet", |made| {
        let config = made.config("one", "");
        let ended = under_load(made, made.start(&config), killed);
        second_half("kill -9", made, &mut made.start(&config), ended);
    });
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_stop_and_a_start_under_load_lose_no_packet_and_no_sample() {
    within("a_stop_and_a_start_under_load_lose_no_packet_and_no_sample", |made| {
        let config = made.config("one", "");
        let ended = under_load(made, made.start(&config), stopped);
        let metrics = second_half("SIGTERM", made, &mut made.start(&config), ended);
        assert_eq!(metric(&metrics, "vesper_capture_samples_lost_total{reason=\"restart\"}"), 0);
    });
}

/// Packets pass, samples are copies in a ring buffer, and each CPU has its part of the table.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_kill_in_host_mode_in_the_network_stack_loses_no_packet() {
    within("a_kill_in_host_mode_in_the_network_stack_loses_no_packet", |made| {
        let config = made.config("one", "mode = \"host\"\nxdp = \"generic\"");
        let ended = under_load(made, made.start(&config), killed);
        second_half("kill -9, host", made, &mut made.start(&config), ended);
    });
}

/// Flows come and go all the time, and more of them than are admitted: a kill meets entries that are being retired.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn one_kill_after_another_while_flows_come_and_go() {
    within("one_kill_after_another_while_flows_come_and_go", |made| {
        let config = made.config("one", "map_idle_timeout = \"1s\"\nflow_map_entries = 16384");
        let mut running = made.start(&config);
        let load = Load::flood();
        for kill in 0..6 {
            thread::sleep(Duration::from_millis(900 + 137 * kill));
            killed(&mut running);
            running = made.start(&config);
        }
        thread::sleep(Duration::from_secs(2));
        let load = load.stop();
        let (received, summary) = (received(), running.stop());
        println!("six kills: {received} packets in {load:?}, counted {}", summary["packets"]);
        assert_eq!(summary["packets"], received, "{summary}");
        no_residue(&summary);
    });
}

/// How the first sensor ended.
struct Ended {
    /// Of link and program.
    ids: (u32, u32),
    load: Load,
    at: Instant,
    /// Packets that had come by then.
    received: u64,
}

/// Ends a sensor under load.
fn under_load(made: &Ground, mut first: Running, end: impl FnOnce(&mut Running)) -> Ended {
    let (ids, load) = (made.ids(), Load::start());
    thread::sleep(Duration::from_secs(3));
    let (at, received) = (Instant::now(), received());
    end(&mut first);
    Ended { ids, load, at, received }
}

fn killed(sensor: &mut Running) {
    sensor.process.0.kill().unwrap();
    sensor.process.0.wait().unwrap();
}

fn stopped(sensor: &mut Running) {
    no_residue(&sensor.stop_by("-TERM"));
}

/// The rest, which is the same however the first sensor ended.
fn second_half(how: &str, made: &Ground, second: &mut Running, ended: Ended) -> String {
    let Ended { ids: (link, program), load, at, received: before } = ended;
    let (gap, in_gap) = (at.elapsed(), received() - before);
    let now = made.ids();
    assert_eq!(now.0, link, "the link stays");
    assert_ne!(now.1, program, "the program is the new sensor's");
    assert!(in_gap > 0, "packets came while nobody was there");
    // While packets fly.
    let mut metrics = String::new();
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(200));
        metrics = get("/metrics");
        for equation in ["wire", "wire_bytes", "flows", "flows_bytes", "samples", "parsing"] {
            let name = format!("vesper_ledger_residue{{equation=\"{equation}\"}}");
            assert_eq!(metric(&metrics, &name), 0, "{name} while packets fly");
        }
    }
    let load = load.stop();
    let received = received();
    let summary = second.stop();
    println!(
        "{how}: {received} packets in {load:?} ({:.0} a second), {before} before, {in_gap} while no sensor ran \
         ({gap:?}), counted {}",
        received as f64 / load.as_secs_f64(),
        summary["packets"],
    );
    assert_eq!(summary["packets"], received, "all that the interface received is counted");
    no_residue(&summary);
    assert!(!made.pins().join("rx0").exists(), "SIGINT takes everything away");
    metrics
}

/// An upgrade: the program is another one, its records are the same. `VESPER_FORMER_OBJECT` may name that of an older
/// version.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn another_program_takes_the_place_of_the_former_one() {
    within("another_program_takes_the_place_of_the_former_one", |made| {
        let config = made.config("one", "");
        let former = match std::env::var_os("VESPER_FORMER_OBJECT") {
            Some(path) => path.into(),
            None => made.other_object(),
        };
        let mut command = made.command();
        command.env("VESPER_XDP_OBJECT", &former);
        let mut first = Running::start_by(command, &config);
        first.wait_for("watching");
        let ended = under_load(made, first, stopped);
        let metrics = second_half("upgrade", made, &mut made.start(&config), ended);
        assert_eq!(metric(&metrics, "vesper_capture_samples_lost_total{reason=\"restart\"}"), 0);
    });
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn another_size_of_the_table_drains_the_old_maps_first() {
    within("another_size_of_the_table_drains_the_old_maps_first", |made| {
        let config = made.config("one", "");
        let ended = under_load(made, made.start(&config), killed);
        let config = made.config("one", "flow_map_entries = 65536");
        let mut second = made.start(&config);
        second.wait_for("the maps of the sensor before are drained");
        assert!(!made.pins().join("rx0/1").exists() && made.pins().join("rx0/2/ABOUT").exists());
        second_half("another table", made, &mut second, ended);
    });
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn a_second_sensor_is_refused_with_the_process_id_of_the_first() {
    within("a_second_sensor_is_refused_with_the_process_id_of_the_first", |made| {
        let config = made.config("one", "");
        let mut first = made.start(&config);
        let pid = first.process.0.id().to_string();
        let (done, said) = made.vesper(&["run"], &config);
        assert!(
            !done && said.contains(&format!("process id {pid}")) && said.contains("state folder"),
            "{said}"
        );
        // With a state and a port of its own it meets the first one at the interface.
        let other = made.config("two", "[api]\nlisten = \"127.0.0.1:8889\"");
        for arguments in [&["run"][..], &["detach"]] {
            let (done, said) = made.vesper(arguments, &other);
            let wanted = format!("a sensor with process id {pid} runs on rx0 already: stop it first");
            assert!(!done && said.contains(&wanted), "{said}");
        }
        killed(&mut first);
        // A dead one is nobody.
        let mut third = made.start(&other);
        third.stop();
    });
}

#[test]
#[ignore = "needs root: cargo xtask test"]
fn what_a_stopped_sensor_left_is_taken_away() {
    within("what_a_stopped_sensor_left_is_taken_away", |made| {
        let config = made.config("one", "");
        let mut first = made.start(&config);
        first.stop_by("-TERM");
        assert!(program_on("rx0"), "counting goes on");
        assert!(promiscuous("rx0"));
        Generator::new("tx0", 10).send(&frame(), 640);
        let (done, said) = made.vesper(&["detach"], &config);
        assert!(
            done && said.contains(&format!("{} packets, {0} of them not analysed", received())),
            "{said}"
        );
        assert!(!program_on("rx0") && !promiscuous("rx0") && !made.pins().join("rx0").exists());
        let (done, said) = made.vesper(&["detach"], &config);
        assert!(done && said.contains("nothing of a stopped sensor"), "{said}");

        made.start_with(&["--detach-on-exit"], &config).stop_by("-TERM");
        assert!(!program_on("rx0") && !promiscuous("rx0") && !made.pins().join("rx0").exists());
    });
}
