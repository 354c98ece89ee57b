use std::process::{Child, Command, Stdio};

use super::super::testing::{alert, of_alert, server};
use super::*;
use crate::alert::Severity;

const LONG: Duration = Duration::from_secs(20);
const SECOND: u64 = 1_000_000_000;
/// 2026-01-01.
const BEGIN: u64 = 1_767_225_600 * SECOND;

fn to(url: &str) -> AlertmanagerConfig {
    AlertmanagerConfig {
        url: url.to_owned(),
        resend_every: Duration::from_secs(1),
        ..AlertmanagerConfig::default()
    }
}

fn bodies(requests: &std::sync::mpsc::Receiver<super::super::testing::Request>) -> Vec<Value> {
    requests
        .try_iter()
        .map(|request| {
            assert!(request.head.starts_with("POST /api/v2/alerts HTTP/1.1"), "{}", request.head);
            serde_json::from_str(&request.body).unwrap()
        })
        .collect()
}

#[test]
fn labels_identify_and_annotations_tell() {
    let (url, requests) = server(|_| "200 OK".to_owned());
    let mut manager = Alertmanager::new(&to(&url), "box-1", "https://vesper.example.net:8888");
    assert_eq!(manager.deliver_at(&[of_alert(1, &alert(1))], LONG, BEGIN), [Outcome::Delivered]);
    assert_eq!(
        bodies(&requests),
        [json!([{
            "labels": {
                "alertname": "VesperThreat", "threat_type": "PortScan", "severity": "high", "sensor": "box-1",
                "threat_id": "THREAT_20260101_001",
            },
            "annotations": {
                "summary": "High PortScan 10.0.0.1:40000 to 10.0.0.2:443",
                "description": "10.0.0.1 tried 100 ports of 10.0.0.2",
                "source": "10.0.0.1:40000", "destination": "10.0.0.2:443", "protocol": "TCP", "confidence": "90 %",
                "action": "block 10.0.0.1 at the firewall", "incident": "INC-2026-001",
            },
            "startsAt": "2026-01-01T00:00:00.000000Z",
            "endsAt": "2026-01-01T00:00:04.000000Z",
            "generatorURL": "https://vesper.example.net:8888/#/alerts/THREAT_20260101_001",
        }])]
    );
}

#[test]
fn firing_alerts_are_sent_again_and_those_that_ended_for_a_while() {
    let (url, requests) = server(|_| "200 OK".to_owned());
    let config = AlertmanagerConfig { resend_every: Duration::from_secs(60), ..to(&url) };
    let mut manager = Alertmanager::new(&config, "box-1", "");
    manager.deliver_at(&[of_alert(1, &alert(1)), of_alert(2, &alert(2))], LONG, BEGIN);
    let mut resolved = of_alert(3, &alert(2));
    resolved.told = Told::Resolved;
    manager.deliver_at(&[resolved], LONG, BEGIN + 10 * SECOND);
    bodies(&requests);
    let mut sent = Vec::new();
    for second in 0..3000 {
        manager.tick_at(BEGIN + second * SECOND).unwrap();
        for body in bodies(&requests) {
            let ended: Vec<bool> = body
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a["endsAt"].as_str().unwrap() <= rfc3339(BEGIN + second * SECOND).as_str())
                .collect();
            sent.push((second, ended));
        }
    }
    // The first fires for fifteen minutes, the second is gone five minutes after it was resolved.
    let of = |second: u64| sent.iter().find(|(at, _)| *at == second).map(|(_, ended)| ended.clone());
    assert_eq!(of(60), Some(vec![false, true]));
    assert_eq!(of(300), Some(vec![false, true]));
    assert_eq!(of(360), Some(vec![false]));
    assert_eq!(of(840), Some(vec![false]));
    assert_eq!(of(900), Some(vec![true]), "resolved for it was not updated");
    assert_eq!(of(1140), Some(vec![true]));
    assert!(!sent.iter().any(|(second, ended)| *second > 1200 && !ended.is_empty()), "{sent:?}");
    assert!(manager.alerts.is_empty());
}

#[test]
fn an_alert_that_became_worse_ends_as_the_milder_one() {
    let (url, requests) = server(|_| "200 OK".to_owned());
    let mut manager = Alertmanager::new(&to(&url), "box-1", "");
    let mut worse = alert(1);
    worse.severity = Severity::Critical;
    manager.deliver_at(&[of_alert(1, &alert(1))], LONG, BEGIN);
    manager.deliver_at(&[of_alert(2, &worse)], LONG, BEGIN + SECOND);
    let last = bodies(&requests).pop().unwrap();
    let ends: Vec<_> = last
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["labels"]["severity"].clone(), a["endsAt"].clone()))
        .collect();
    assert_eq!(
        ends,
        [
            (json!("critical"), json!("2026-01-01T00:00:05.000000Z")),
            (json!("high"), json!("2026-01-01T00:00:01.000000Z"))
        ]
    );
}

#[test]
fn what_it_remembers_is_bounded() {
    let (url, _requests) = server(|_| "200 OK".to_owned());
    let mut manager = Alertmanager::new(&to(&url), "box-1", "");
    for number in 0..MOST as u32 + 50 {
        manager.take(&of_alert(number.into(), &alert(number)), BEGIN + u64::from(number));
    }
    assert_eq!(manager.alerts.len(), MOST);
    assert!(!manager.alerts.keys().any(|(id, _)| id == "THREAT_20260101_000"));
}

/// Debian's own, killed and gone at the end.
struct Real(Child);

impl Drop for Real {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn real(port: u16) -> Real {
    let folder = tempfile::tempdir().unwrap().keep();
    let config = folder.join("am.yml");
    std::fs::write(&config, "route:\n  receiver: none\nreceivers:\n  - name: none\n").unwrap();
    let child = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect(
            "prometheus-alertmanager; apt-get install -y --no-install-recommends prometheus-alertmanager",
        );
    let real = Real(child);
    for _look in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return real;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("prometheus-alertmanager does not listen");
}

/// The ids that fire there.
fn firing(port: u16) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}/api/v2/alerts?active=true");
    let text = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    let alerts: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut ids: Vec<String> =
        alerts.iter().map(|alert| alert["labels"]["threat_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
#[ignore = "needs prometheus-alertmanager of Debian"]
fn a_real_one_that_lost_everything_knows_all_within_the_resend_time() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut manager = Alertmanager::new(&to(&format!("http://127.0.0.1:{port}")), "box-1", "");
    let first = real(port);
    let messages: Vec<Message> =
        (0..50).map(|n| of_alert(n.into(), &super::super::testing::hostile_alert(n))).collect();
    assert_eq!(manager.deliver(&messages, LONG), vec![Outcome::Delivered; 50]);
    let ids: Vec<String> = messages.iter().map(|message| message.about.clone()).collect();
    assert_eq!(firing(port), ids);
    drop(first);
    assert!(manager.tick(nanos(wall())).is_err());
    let _second = real(port);
    assert_eq!(firing(port), Vec::<String>::new());
    let begin = super::super::clock();
    while firing(port) != ids {
        assert!(super::super::clock() - begin < Duration::from_secs(3), "{:?}", firing(port));
        // A tick that finds it not quite up is followed by another.
        let _later = manager.tick(nanos(wall()));
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut resolved = messages[0].clone();
    resolved.told = Told::Resolved;
    assert_eq!(manager.deliver(&[resolved], LONG), [Outcome::Delivered]);
    assert_eq!(firing(port), ids[1..]);
}

/// The program around it: a store, and a sink that is started on it anew.
fn started(
    config: &AlertmanagerConfig,
    folder: &std::path::Path,
) -> (crate::store::Store, crate::sinks::Sinks) {
    let config = crate::sinks::SinksConfig {
        sensor: "box-1".to_owned(),
        jsonl: crate::sinks::JsonlConfig { enabled: false, ..Default::default() },
        alertmanager: vec![config.clone()],
        ..Default::default()
    };
    let (store, _) = crate::store::Store::open(&crate::store::StoreConfig::default(), folder).unwrap();
    let sinks = crate::sinks::Sinks::start(crate::sinks::configured(&config, folder), &store).unwrap();
    (store, sinks)
}

fn raise(store: &crate::store::Store, number: u32) {
    let raised = crate::alert::Raised { alert: alert(number), fingerprint: Vec::new(), evidence: Vec::new() };
    let now = crate::store::ingest::now();
    store.write(move |tx| crate::store::alerts::insert(tx, &raised, now)).unwrap();
}

fn resolve(store: &crate::store::Store, number: u32) {
    let (id, now) = (alert(number).threat_id, crate::store::ingest::now());
    let done = crate::incidents::Resolution::default();
    store.write(move |tx| crate::store::alerts::resolve(tx, &id, "me", &done, None, now)).unwrap();
}

/// Waits until `met` holds, ten seconds at most.
fn until(what: &str, met: impl Fn() -> bool) {
    let begin = super::super::clock();
    while !met() {
        assert!(super::super::clock() - begin < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_fired_before_a_restart_of_the_sensor_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = server(|_| "200 OK".to_owned());
    let (store, sinks) = started(&to(&url), folder.path());
    for number in 1..=3 {
        raise(&store, number);
    }
    until("raised", || sinks.status()[0].delivered == 3);
    resolve(&store, 2);
    until("resolved", || sinks.status()[0].delivered == 4);
    drop((sinks.stop(LONG), store));
    let before = bodies(&requests);
    let begun = |bodies: &[Value], id: &str| {
        let alerts = bodies.iter().flat_map(|body| body.as_array().unwrap());
        let mut of = alerts.filter(|alert| alert["labels"]["threat_id"] == id);
        of.next().map(|alert| alert["startsAt"].clone())
    };

    // Nothing is raised: whatever arrives is remembered.
    let (store, sinks) = started(&to(&url), folder.path());
    let mut after = Vec::new();
    while after.is_empty() {
        after = vec![serde_json::from_str::<Value>(&requests.recv_timeout(LONG).unwrap().body).unwrap()];
    }
    let now = rfc3339(nanos(wall()));
    let firing: Vec<(&str, bool)> = after[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["labels"]["threat_id"].as_str().unwrap(), a["endsAt"].as_str().unwrap() > now.as_str()))
        .collect();
    let ids: Vec<String> = (1..=3).map(|number| alert(number).threat_id).collect();
    assert_eq!(firing, [(ids[0].as_str(), true), (ids[1].as_str(), false), (ids[2].as_str(), true)]);
    // To the millisecond or so: when it was taken, and not when it was told again.
    let seconds = |value: Option<Value>| {
        let text = value.unwrap().as_str().unwrap().to_owned();
        humantime::parse_rfc3339(&text).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
    };
    for id in [&ids[0], &ids[2]] {
        let moved = seconds(begun(&after, id)) - seconds(begun(&before, id));
        assert!(moved.abs() < 0.5, "{id} began {moved} s later");
    }
    resolve(&store, 1);
    until("resolved after the restart", || {
        bodies(&requests).iter().flat_map(|body| body.as_array().unwrap().clone()).any(|alert| {
            alert["labels"]["threat_id"] == ids[0].as_str()
                && alert["endsAt"].as_str().unwrap() <= rfc3339(nanos(wall())).as_str()
        })
    });
    drop(sinks.stop(LONG));
}

#[test]
#[ignore = "needs prometheus-alertmanager of Debian"]
fn a_real_one_goes_on_through_restarts_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = to(&format!("http://127.0.0.1:{port}"));
    let first = real(port);
    let (store, sinks) = started(&config, folder.path());
    let ids: Vec<String> = (1..=20).map(|number| alert(number).threat_id).collect();
    for number in 1..=20 {
        raise(&store, number);
    }
    until("all fire", || firing(port) == ids);
    drop((sinks.stop(LONG), store, first));
    let _second = real(port);
    assert_eq!(firing(port), Vec::<String>::new());
    let (store, sinks) = started(&config, folder.path());
    until("all fire again, without a new alert", || firing(port) == ids);
    // Longer than the end that was said: it is said anew each second.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(firing(port), ids);
    for number in 1..=19 {
        resolve(&store, number);
    }
    until("those that were resolved are over", || firing(port) == ids[19..]);
    drop(sinks.stop(LONG));
}
