//! Every query of every panel, and every rule, asked of a real Prometheus that scrapes a live sensor.
#![allow(clippy::disallowed_methods, reason = "the test waits, and asks for what was a moment ago")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sensor_tests::generator::Generator;
use sensor_tests::namespace::{Namespace, inside};
use sensor_tests::running::{Ended, Running};
use serde_json::Value;

use crate::dashboard::{self, queries, text};
use crate::lint::series_of;
use crate::repository;

const NAME: &str = "live::every_panel_has_data_from_a_live_sensor";
const VESPER: &str = env!("CARGO_BIN_EXE_vesper");
const SERVER: &str = "127.0.0.1:9090";
/// Nothing to show is what they should show here; they must be answered all the same.
const MAY_BE_EMPTY: [&str; 6] = [
    "Alerts of Prometheus that fire",
    "AF_XDP sockets",
    "In no flow, by why",
    "Agreement",
    "Age of what was saved",
    "Matches",
];
/// Rates over a few seconds need as many readings.
const READINGS: f64 = 6.0;

#[test]
#[ignore = "needs root: cargo xtask test"]
fn every_panel_has_data_from_a_live_sensor() {
    if inside() {
        return traffic();
    }
    let namespace = Namespace::new("observe");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "203.0.113.0/24\n").unwrap();
    let settings = format!(
        "state_dir = {:?}\n[capture]\ninterface = \"rx0\"\n[[intel.feed]]\nname = \"own\"\npath = {list:?}\n",
        folder.path()
    );
    std::fs::write(&config, settings).unwrap();
    let mut sensor = Running::start(VESPER, &namespace, &config);
    sensor.wait_for("watching");
    let binary = std::env::current_exe().unwrap();
    let mut command = namespace.command(&binary.to_string_lossy());
    command.args([NAME, "--exact", "--ignored"]).env("VESPER_TEST_INSIDE", "1").stdout(Stdio::null());
    let _traffic = Ended(command.spawn().unwrap());

    // Our own file, but for the pace.
    let file = folder.path().join("prometheus.yml");
    let text = crate::read("dashboards/prometheus/prometheus.yml").replace("15s", "1s");
    let rules = format!("  - {}/", repository("dashboards/prometheus").display());
    std::fs::write(
        &file,
        text.replace("  - recording", &format!("{rules}recording"))
            .replace("  - alerting.", &format!("{rules}alerting.")),
    )
    .unwrap();
    let mut command = namespace.command("prometheus");
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address={SERVER}")).stdout(Stdio::null()).stderr(Stdio::null());
    let _prometheus = Ended(command.spawn().expect("prometheus runs: cargo xtask setup"));
    let network = std::fs::File::open(format!("/run/netns/{}", namespace.name())).unwrap();
    // A thread of its own: the namespace it moves into ends with it.
    let asking = thread::spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        wait_for_readings();
        [unanswered(), rules_in_trouble()].concat()
    });
    let wrong = asking.join().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    sensor.stop();
}

/// Variables and queries that have no answer.
fn unanswered() -> Vec<String> {
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for dashboard in dashboard::all() {
        for (name, question) in dashboard.questions() {
            let label = question.trim_end_matches(')').rsplit_once(", ").unwrap().1;
            let answer = ask(&format!("label/{label}/values"), &[("match[]", filled(&series_of(question)))]);
            if answer["data"].as_array().is_none_or(Vec::is_empty) {
                wrong.push(format!("{}: variable {name}: {answer}", dashboard.file));
            }
        }
        for panel in dashboard.panels() {
            let title = text(&panel["title"]);
            for query in queries(panel) {
                asked += 1;
                let answer = range(query);
                let empty = answer["data"]["result"].as_array().is_none_or(Vec::is_empty);
                if answer["status"] != "success" || empty && !MAY_BE_EMPTY.contains(&title) {
                    wrong.push(format!("{}: {title}: {query}: {answer}", dashboard.file));
                }
            }
        }
    }
    println!("{asked} queries");
    wrong
}

/// Rules that could not be evaluated, and alerts about a sensor that is well.
fn rules_in_trouble() -> Vec<String> {
    let answer = ask("rules", &[]);
    let groups = answer["data"]["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 20, "{answer}");
    let in_trouble = rules.into_iter().filter(|rule| rule["health"] != "ok" || rule["state"] == "firing");
    in_trouble.map(|rule| format!("rule {}: {} {}", rule["name"], rule["state"], rule["lastError"])).collect()
}

fn wait_for_readings() {
    let end = Instant::now() + Duration::from_secs(60);
    let enough = [("query", format!("count_over_time(vesper_build_info[1m]) >= {READINGS}"))];
    loop {
        let answer = ask("query", &enough);
        if answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty()) {
            // The rules' turn.
            return thread::sleep(Duration::from_secs(1));
        }
        assert!(Instant::now() < end, "no readings: {answer}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn range(query: &str) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let times =
        [("start", format!("{:.3}", now - 3.0)), ("end", format!("{now:.3}")), ("step", "1".to_owned())];
    let query = [("query", filled(query))];
    ask("query_range", &[&query[..], &times[..]].concat())
}

/// The query with what Grafana would put in.
fn filled(query: &str) -> String {
    query
        .replace("$__rate_interval", "5s")
        .replace("$__range", "30s")
        .replace("$job", ".+")
        .replace("$instance", ".+")
}

/// Prometheus' answer; null where there is none.
fn ask(path: &str, arguments: &[(&str, String)]) -> Value {
    let arguments: Vec<String> =
        arguments.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let Ok(mut stream) = TcpStream::connect(SERVER) else { return Value::Null };
    let request = format!("GET /api/v1/{path}?{} HTTP/1.0\r\nHost: {SERVER}\r\n\r\n", arguments.join("&"));
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer)).unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_default()
}

fn encoded(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    value.bytes().map(one).collect()
}

/// Two hundred flows, some thousand packets a second, until somebody ends it.
fn traffic() {
    let mut frame = vec![0u8; 120];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&106u16.to_be_bytes());
    (frame[22], frame[23]) = (64, 17);
    frame[30..34].copy_from_slice(&[192, 0, 2, 1]);
    frame[36..38].copy_from_slice(&53u16.to_be_bytes());
    frame[38..40].copy_from_slice(&86u16.to_be_bytes());
    let mut generator = Generator::new("tx0", 200);
    loop {
        generator.send(&frame, 640);
        thread::sleep(Duration::from_millis(200));
    }
}
