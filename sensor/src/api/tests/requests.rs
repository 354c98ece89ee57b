//! Requests, ordinary and odd.

use std::io::Write;
use std::net::TcpStream;

use super::super::server::{LARGEST_HEAD, MOST_CONNECTIONS};
use super::*;
use crate::sinks::SinkStatus;
use crate::status::top::{FlowNow, HostNow, Top};
use crate::store::Recipient;
use crate::store::outbox::{self, Settle};

#[test]
fn paths() {
    let api = Api::start();
    assert_eq!(api.get("/health").0, 503);
    let (code, answer) = api.get("/-/ready");
    assert_eq!(code, 503);
    assert!(
        answer.contains("application/problem+json") && answer.contains("GET /health says why"),
        "{answer}"
    );
    assert_eq!(api.get("/-/healthy").0, 200);

    api.status.publish(well());
    api.alert(1);
    for (path, code, content) in [
        ("/health", 200, "\"can_capture\":true"),
        ("/-/ready", 200, "watches"),
        ("/metrics", 200, "vesper_capture_seen_packets_total 1\n"),
        ("/metrics", 200, "content-type: text/plain; version=0.0.4"),
        ("/api/v1/statistics", 200, "\"packets\":1,\"bytes\":100"),
        ("/api/v1/nothing", 404, "/health and /metrics"),
    ] {
        let (found, answer) = api.get(path);
        assert_eq!(found, code, "{path}");
        assert!(answer.contains(content), "{content} in {answer}");
    }

    let mut down = well();
    down.capture.as_mut().unwrap().link_up = false;
    api.status.publish(down);
    let (code, answer) = api.get("/health");
    assert_eq!(code, 503);
    assert!(answer.contains("the link of eth1 is down"), "{answer}");
}

#[test]
fn odd_requests_get_a_clear_answer() {
    let api = Api::start();
    let long = "x".repeat(LARGEST_HEAD);
    for (head, code, content) in [
        (
            "POST /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
            405,
            "the header Allow",
        ),
        ("GET /health HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), 400, "Host header"),
        (
            "GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n".to_owned(),
            400,
            "Host header",
        ),
        (
            "GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".to_owned(),
            421,
            "not evil.example",
        ),
        (format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), 431, ""),
        ("nonsense\r\n\r\n".to_owned(), 400, ""),
    ] {
        let (found, answer) = api.raw(&head);
        assert_eq!(found, code, "{answer}");
        assert!(answer.contains(content), "{content} in {answer}");
    }
}

/// Clients that never finish their request are cut off, and more of them than there are slots only delay others.
#[test]
fn slow_clients_cannot_hold_the_api() {
    let api = Api::start();
    let slow: Vec<TcpStream> = (0..MOST_CONNECTIONS + 10)
        .map(|_| {
            let mut stream = api.connect();
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: loc").unwrap();
            stream
        })
        .collect();
    assert_eq!(api.get("/-/healthy").0, 200);
    drop(slow);
}

#[test]
fn a_taken_port_is_named() {
    let api = Api::start();
    let error = bind(&ApiConfig { listen: api.address, ..ApiConfig::default() }).unwrap_err().to_string();
    let expected =
        format!("{} is in use: another vesper? stop it, or set api.listen to another port", api.address);
    assert_eq!(error, expected);
    let elsewhere = bind(&ApiConfig { listen: "192.0.2.1:1".parse().unwrap(), ..ApiConfig::default() })
        .unwrap_err()
        .to_string();
    assert!(elsewhere.starts_with("cannot listen on 192.0.2.1:1"), "{elsewhere}");
}

#[test]
fn an_alert_is_acknowledged_resolved_and_becomes_an_incident() {
    let api = Api::start();
    let ids: Vec<String> = (1..=3).map(|number| api.alert(number)).collect();
    let page = json(&api.get("/api/v1/alerts?limit=2&host=10.0.0.5&type=PortScan").1);
    assert_eq!(page["items"][0]["threat_id"], ids[2].as_str());
    let next = page["next"].as_str().unwrap();
    let rest = json(&api.get(&format!("/api/v1/alerts?limit=2&cursor={next}")).1);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);

    let path = format!("/api/v1/alerts/{}", ids[0]);
    let (code, answer) = api.post(&format!("{path}/acknowledge"), r#"{"note":"I look"}"#);
    assert_eq!((code, json(&answer)["state"].as_str()), (200, Some("acknowledged")), "{answer}");
    let body = r#"{"action":"blocked it at the firewall","root_cause":"a scanner"}"#;
    let (code, answer) = api.post(&format!("{path}/resolve"), body);
    let resolved = json(&answer);
    assert_eq!((code, resolved["state"].as_str()), (200, Some("resolved")), "{answer}");
    let incident = resolved["incident_id"].as_str().unwrap();
    assert_eq!(
        json(&api.get(&format!("/api/v1/incidents/{incident}")).1)["action"],
        "blocked it at the firewall"
    );
    assert_eq!(api.post(&format!("{path}/resolve"), body).0, 409);
    assert_eq!(api.post(&format!("{path}/reopen"), "{}").0, 200);
    for answer in ["acknowledge", "resolve", "reopen"] {
        assert_eq!(api.post(&format!("/api/v1/alerts/nobody/{answer}"), "{}").0, 404);
    }
    let audit = json(&api.get("/api/v1/audit").1);
    let done: Vec<&str> =
        audit["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(done, ["alert.reopen", "alert.resolve", "alert.acknowledge"]);
    assert_eq!(audit["items"][0]["who"], "local");
    let found = api.post("/api/v1/incidents/search", r#"{"words":"firewall"}"#);
    assert_eq!(json(&found.1)["items"][0]["incident"]["id"], incident);
    assert_eq!(api.get(&format!("{path}/evidence")).0, 404);
    assert_eq!(json(&api.get(&format!("{path}/packets")).1)["items"], serde_json::json!([]));
    assert_eq!(api.get(&format!("{path}/similar")).0, 200);
    let status = json(&api.get("/api/v1/status").1);
    assert_eq!(status["alerts"]["open"], 3, "{status}");
    assert_eq!(status["access"]["write"], true);
}

#[test]
fn values_that_make_no_sense_are_named() {
    let api = Api::start();
    for (path, code, content) in [
        ("/api/v1/alerts?limit=0", 400, "from 1 to 500"),
        ("/api/v1/alerts?limit=9223372036854775808", 400, "limit"),
        ("/api/v1/alerts?type=Nothing", 400, "PortScan"),
        ("/api/v1/alerts?since=yesterday", 400, "RFC 3339"),
        ("/api/v1/alerts?host=example.net", 422, "no IP address"),
        ("/api/v1/alerts?cursor=-1", 400, "none of ours"),
        ("/api/v1/alerts?colour=red", 400, "colour"),
        ("/api/v1/hosts/localhost", 422, "no IP address"),
        ("/api/v1/history?minutes=0", 400, "10080"),
        ("/api/v1/captures/..%2f..%2fetc%2fpasswd", 404, "no such capture"),
        ("/api/v1/alerts/%00", 404, "no such alert"),
    ] {
        let (found, answer) = api.get(path);
        assert_eq!(found, code, "{path}: {answer}");
        assert!(answer.contains(content) && answer.contains("application/problem+json"), "{path}: {answer}");
    }
    let deep = format!("{{\"context\":{}", "[".repeat(10_000));
    for (path, body, code) in [
        ("/api/v1/decisions/stream-anomaly", "{\"error_type\":", 400),
        ("/api/v1/decisions/stream-anomaly", "{}", 422),
        ("/api/v1/decisions/stream-anomaly", deep.as_str(), 400),
        ("/api/v1/incidents", r#"{"symptom":""}"#, 422),
        ("/api/v1/captures", "[null, null]", 422),
        ("/api/v1/captures", r#"{"interface":"eth9"}"#, 422),
        ("/api/v1/captures", r#"{"filter":"ether proto 1"}"#, 422),
        ("/api/v1/model/rollback", r#"{"snapshot":"../../etc/passwd"}"#, 409),
        ("/api/v1/config/reload", "", 422),
    ] {
        let (found, answer) = api.post(path, body);
        assert_eq!(found, code, "{path}: {answer}");
        assert!(answer.contains("remedy"), "{answer}");
    }
    let large = format!(r#"{{"symptom":"{}"}}"#, "x".repeat(2 << 20));
    let mut stream = api.connect();
    let head = format!(
        "POST /api/v1/incidents HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        large.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer[9..], b"413");
}

#[test]
fn flows_and_hosts_of_now() {
    let api = Api::start();
    let flow = |number: u16, score: Option<f64>| FlowNow {
        source_ip: format!("10.0.0.{number}"),
        destination_ip: "192.0.2.1".to_owned(),
        bytes_per_second: f64::from(number),
        score,
        ..FlowNow::default()
    };
    let host = HostNow { address: "10.0.0.5".to_owned(), flows: 3, ..HostNow::default() };
    let flows = vec![flow(1, None), flow(2, Some(4.0)), flow(3, Some(1.0))];
    api.top.publish(Top { time: NOW as u64, flows, hosts: vec![host] });
    api.alert(1);
    let order = |query: &str| -> Vec<String> {
        let flows = json(&api.get(&format!("/api/v1/flows{query}")).1);
        let address = |flow: &serde_json::Value| flow["source_ip"].as_str().unwrap().to_owned();
        flows["items"].as_array().unwrap().iter().map(address).collect()
    };
    assert_eq!(order(""), ["10.0.0.2", "10.0.0.3", "10.0.0.1"]);
    assert_eq!(order("?sort=bytes&limit=1"), ["10.0.0.3"]);
    assert_eq!(order("?host=10.0.0.1"), ["10.0.0.1"]);
    assert_eq!(json(&api.get("/api/v1/hosts").1)["items"][0]["alerts"], 1);
    let host = json(&api.get("/api/v1/hosts/10.0.0.5").1);
    assert_eq!((host["host"]["flows"].as_u64(), host["alerts"].as_array().unwrap().len()), (Some(3), 1));
}

/// The paths and shapes that backends of the older systems know.
#[test]
fn callers_of_the_older_systems_find_what_they_know() {
    let api = Api::start();
    api.status.publish(Status { time: well().time, ..Status::default() });
    let start = r#"{"interface":"eth1","duration":60,"filter":"tcp"}"#;
    let (code, answer) = api.post("/start-capture", start);
    assert_eq!(code, 503, "{answer}");
    assert!(answer.contains("not ready"), "{answer}");
    api.status.publish(well());
    let health = json(&api.get("/health").1);
    assert_eq!(
        (health["models_loaded"].as_bool(), health["can_capture"].as_bool()),
        (Some(true), Some(true))
    );
    let (code, answer) = api.post("/start-capture", r#"{"interface":"eth0","duration":60}"#);
    assert_eq!(code, 500, "{answer}");
    assert!(answer.contains("this sensor watches eth1"), "{answer}");
    let started = json(&api.post("/start-capture", start).1);
    assert_eq!(started["status"], "started");
    let id = started["session_id"].as_str().unwrap();
    let running = json(&api.get(&format!("/api/v1/captures/{id}")).1);
    assert_eq!((running["state"].as_str(), running["kind"].as_str()), (Some("running"), Some("live")));
    let (code, answer) = api.ask("POST", "/stop-capture", "", "");
    let stopped = json(&answer);
    assert_eq!((code, stopped["session_id"].as_str()), (200, Some(id)), "{answer}");
    for part in ["totals", "threats", "breakdown", "timeline"] {
        assert!(!stopped["result"][part].is_null(), "{part}: {answer}");
    }
    assert_eq!(json(&api.post("/stop-capture", "{}").1)["status"], "idle");
    api.alert(1);
    assert_eq!(json(&api.get("/threats?limit=5").1)["threats"][0]["threat_type"], "PortScan");
    assert_eq!(json(&api.get("/statistics").1)["packets"], 1);
    let anomaly = r#"{"error_type":"database_timeout","spike_percentage":450}"#;
    let decision = json(&api.post("/api/v1/decisions/stream-anomaly", anomaly).1);
    assert!(decision["id"].as_str().unwrap().starts_with("dec_"), "{decision}");
    for part in ["symptom", "recommended_action", "confidence_score", "latency_ms"] {
        assert!(!decision[part].is_null(), "{part}: {decision}");
    }
    assert_eq!(json(&api.get("/api/v1/decisions").1)["items"][0]["id"], decision["id"]);
}

/// Whatever ran when the sensor stopped is said to have failed.
#[test]
fn a_session_does_not_survive_a_restart_in_silence() {
    let api = Api::start();
    api.status.publish(well());
    let id = json(&api.post("/api/v1/captures", "{}").1)["id"].as_str().unwrap().to_owned();
    let mut api = api;
    let folder = std::mem::replace(&mut api.folder, tempfile::tempdir().unwrap());
    drop(api);
    let again = Api::with(folder, |_| {});
    for _ in 0..100 {
        let capture = json(&again.get(&format!("/api/v1/captures/{id}")).1);
        if capture["state"] == "failed" {
            assert_eq!(capture["error"], "the sensor was restarted");
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the session still runs");
}

#[test]
fn dead_letters_say_what_was_not_told_and_why() {
    let api = Api::start();
    let recipient = Recipient { name: "soc".to_owned(), wanted: Arc::new(|_, _| true) };
    api.store.set_recipients(vec![recipient]);
    let mut status = well();
    status.sinks =
        vec![SinkStatus { name: "soc".to_owned(), dead_letter_refused: 25, ..SinkStatus::default() }];
    api.status.publish(status);
    for number in 1..=25 {
        api.alert(number);
        let dead = Settle::Dead { refused: true, error: format!("answered 400 \u{1b}[2J {number}") };
        api.store.write(move |tx| outbox::settle(tx, "soc", number.into(), &dead, NOW)).unwrap();
    }
    let (code, answer) = api.get("/api/v1/sinks");
    assert_eq!(code, 200);
    let sink = &json(&answer)["items"][0];
    assert_eq!((&sink["name"], &sink["dead_letter"]), (&"soc".into(), &25.into()), "{answer}");
    let letters = sink["dead_letters"].as_array().unwrap();
    assert_eq!(letters.len(), 20);
    let first = &letters[0];
    assert_eq!(first["about"], "THREAT_20261121_000025");
    assert_eq!((&first["told"], &first["attempts"]), (&"raised".into(), &1.into()));
    let error = first["error"].as_str().unwrap();
    assert!(
        error.starts_with("answered 400") && error.ends_with("25") && !error.contains('\u{1b}'),
        "{error}"
    );
    assert!(first["time"].as_str().unwrap().starts_with("20"), "{first}");
}
