//! What is promised about incidents, on a real store.

use rusqlite::Connection;

use super::decisions::{AnomalyRequest, decide};
use super::record::name;
use super::*;
use crate::alert::fingerprint::{self as look, TYPES};
use crate::alert::{Alert, Details, Severity, ThreatType};
use crate::score::scorer::Kind;
use crate::store::events::{self, EventKind};
use crate::store::{Store, StoreConfig};

/// 2026-11-21T12:00:00Z.
pub(super) const NOW: i64 = 1_795_262_400_000_000_000;

pub(super) struct Place {
    pub store: Store,
    pub index: Index,
    pub config: IncidentsConfig,
    _folder: tempfile::TempDir,
}

pub(super) fn place(starter: bool) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&StoreConfig::default(), folder.path()).unwrap();
    let config = IncidentsConfig { starter, ..IncidentsConfig::default() };
    let index = Index::open(&store, &config, NOW).unwrap();
    Place { store, index, config, _folder: folder }
}

impl Place {
    fn add(&self, written: Written) -> Incident {
        let draft = Draft::new(written, Origin::User).unwrap();
        let max = self.config.max;
        let incident = self.store.write(move |tx| add(tx, &draft, NOW, max)).unwrap();
        self.index.refresh(&self.store).unwrap();
        incident
    }

    /// Raises an alert with what is recommended, stores it as the sensor does, and resolves it.
    fn resolve(&self, alert: &Alert, fingerprint: &[f32], resolution: Resolution) -> String {
        let (alert, fingerprint, max) = (alert.clone(), fingerprint.to_vec(), self.config.max);
        let id = self
            .store
            .write(move |tx| {
                stored(tx, &alert, &fingerprint)?;
                let id = from_resolution(tx, &alert, &resolution, Some(&fingerprint), NOW, max)?;
                let told = serde_json::json!({ "incident_id": id }).to_string();
                events::append(tx, EventKind::Anomaly, NOW, &alert.threat_id, &told)?;
                Ok(id)
            })
            .unwrap();
        self.index.refresh(&self.store).unwrap();
        id
    }

    fn get(&self, id: &str) -> Incident {
        let id = id.to_owned();
        self.store.read(|connection| get(connection, &id)).unwrap().unwrap()
    }
}

fn stored(connection: &Connection, alert: &Alert, fingerprint: &[f32]) -> rusqlite::Result<()> {
    let json = serde_json::to_string(alert).unwrap();
    connection.execute(
        "INSERT OR IGNORE INTO alerts (threat_id, event, raised_at, updated_at, threat_type, severity, source_ip, \
         destination_ip, destination_port, score, count, json, fingerprint) \
         VALUES (?, 0, 0, 0, 'x', 0, '', '', 0, 0, 1, ?, ?)",
        rusqlite::params![alert.threat_id, json, fingerprint::to_bytes(fingerprint)],
    )?;
    Ok(())
}

pub(super) fn alert(id: &str, kind: ThreatType, port: u16) -> Alert {
    Alert {
        threat_id: id.to_owned(),
        threat_type: kind,
        severity: Severity::High,
        source_ip: "10.0.0.7".to_owned(),
        destination_ip: "10.0.0.9".to_owned(),
        source_port: 0,
        destination_port: port,
        protocol: "TCP".to_owned(),
        confidence: 0.9,
        timestamp: "2026-11-21T12:00:00.000Z".to_owned(),
        details: Details {
            packet_count: 100,
            total_bytes: 10_000,
            duration: 3.0,
            flags: vec!["SYN".to_owned()],
            model_used: "test".to_owned(),
            score: 5.0,
            threshold: 3.6,
            narrative: "10.0.0.7 does something to 10.0.0.9 that it never did".to_owned(),
            first_seen: "2026-11-21T11:59:57.000Z".to_owned(),
            last_seen: "2026-11-21T12:00:00.000Z".to_owned(),
            count: 1,
            ..Details::default()
        },
        recommendation: None,
        rewritten: None,
    }
}

/// Deviations of a flow: loud where `at` says, a little everywhere.
pub(super) fn looks(kind: ThreatType, at: &[usize], seed: f32) -> Vec<f32> {
    let mut deviations: Vec<f32> = (0..61).map(|place| 0.3 * (seed + place as f32).sin()).collect();
    for place in at {
        deviations[*place] += 6.0;
    }
    look::fingerprint(Kind::Flow, &deviations, kind)
}

fn resolution(action: &str) -> Resolution {
    Resolution { action: action.to_owned(), root_cause: "a test".to_owned(), ..Resolution::default() }
}

#[test]
fn an_alert_names_the_one_that_was_resolved_before_it() {
    let place = place(true);
    let first = alert("THREAT_1", ThreatType::BruteForce, 22);
    let looks_1 = looks(ThreatType::BruteForce, &[14, 16, 17], 0.0);
    let starter = place.index.recommend(&first, &looks_1).unwrap();
    assert!(place.get(&starter.incident_id).origin == Origin::Starter && starter.confidence < 0.5);
    let own = place.resolve(&first, &looks_1, resolution("locked the account of build-7"));
    assert_eq!(place.get(&own).threat_id.as_deref(), Some("THREAT_1"));
    // Others of the same type that look otherwise, and of other types that look the same.
    let noise = alert("THREAT_2", ThreatType::BruteForce, 3389);
    place.resolve(&noise, &looks(ThreatType::BruteForce, &[2, 3], 4.0), resolution("something else"));
    let other = alert("THREAT_3", ThreatType::PortScan, 22);
    place.resolve(&other, &looks(ThreatType::PortScan, &[14, 16, 17], 1.0), resolution("yet another thing"));
    let mut again = alert("THREAT_4", ThreatType::BruteForce, 22);
    let looks_4 = looks(ThreatType::BruteForce, &[14, 16, 17], 2.0);
    let named = place.index.recommend(&again, &looks_4).unwrap();
    assert_eq!(
        (named.incident_id.as_str(), named.action.as_str()),
        (own.as_str(), "locked the account of build-7")
    );
    assert!(named.similarity > 0.9 && named.similarity <= 1.0, "{named:?}");
    // It worked once: (1 + 1) / (1 + 0 + 2).
    assert!((named.confidence - named.similarity * 2.0 / 3.0).abs() < 0.001, "{named:?}");
    // The same action again speaks for the incident; another one is an incident of its own.
    again.recommendation = Some(named);
    let same = place.resolve(&again, &looks_4, resolution("Locked the account  of build-7"));
    assert_eq!(same, own);
    assert_eq!(place.get(&own).worked, 2);
    place.resolve(&again, &looks_4, resolution("locked the account of build-7"));
    assert_eq!(place.get(&own).worked, 2, "an alert counts once");
    assert!(place.index.recommend(&again, &looks_4).unwrap().confidence > 0.65);
}

#[test]
fn what_did_not_work_is_told_and_loses_to_what_does() {
    let place = place(false);
    let looks = looks(ThreatType::DoS, &[0, 1, 9], 0.0);
    let first = place.resolve(&alert("A", ThreatType::DoS, 80), &looks, resolution("rebooted it"));
    let mut next = alert("B", ThreatType::DoS, 80);
    for id in ["B", "C", "D"] {
        next.threat_id = id.to_owned();
        next.recommendation = place.index.recommend(&next, &looks);
        let failed = Resolution { recommendation_worked: Some(false), ..resolution("throttled it to 30 %") };
        place.resolve(&next, &looks, failed);
    }
    let (first, recommended) = (place.get(&first), place.index.recommend(&next, &looks).unwrap());
    assert!(first.failed >= 1, "{first:?}");
    assert_eq!(recommended.action, "throttled it to 30 %");
}

#[test]
fn starters_cover_every_type_and_give_way_to_resolved_ones() {
    let drafts = starter::drafts().unwrap();
    assert!(drafts.len() >= 12);
    let place = place(true);
    for kind in TYPES {
        let of_kind =
            drafts.iter().filter(|draft| draft.written.threat_type == name(kind)).collect::<Vec<_>>();
        assert!(!of_kind.is_empty(), "{kind:?}");
        // An alert that looks like the text says: at least one of the type answers, and as a starter.
        let shown =
            place.index.recommend(&alert("A", kind, 0), of_kind[0].fingerprint.as_ref().unwrap()).unwrap();
        let incident = place.get(&shown.incident_id);
        assert_eq!(
            (incident.threat_type.as_str(), incident.origin),
            (name(kind), Origin::Starter),
            "{shown:?}"
        );
    }
    // Nothing is known but the type: that is enough for a type, and not for an anomaly.
    assert!(place.index.recommend(&alert("A", ThreatType::DDoS, 0), &[]).is_some());
    assert!(place.index.recommend(&alert("A", ThreatType::Anomaly, 0), &[]).is_none());
    // A false positive leaves them; a resolution retires those of its type, and no others.
    let scan = looks(ThreatType::PortScan, &[30], 0.0);
    let wrong =
        Resolution { false_positive: true, note: "our own scanner".to_owned(), ..Resolution::default() };
    let id = place.resolve(&alert("B", ThreatType::PortScan, 443), &scan, wrong);
    assert_eq!(
        (place.get(&id).outcome.as_str(), place.get(&id).root_cause.as_str()),
        (FALSE_POSITIVE, "our own scanner")
    );
    let other = looks(ThreatType::PortScan, &[40, 41, 42], 3.0);
    let elsewhere = alert("C", ThreatType::PortScan, 22);
    let shown = place.index.recommend(&elsewhere, &other).unwrap();
    assert_eq!(place.get(&shown.incident_id).origin, Origin::Starter);
    let again = place.index.recommend(&alert("D", ThreatType::PortScan, 443), &scan).unwrap();
    assert!(again.incident_id == id && again.action.starts_with("none needed"), "{again:?}");
    place.resolve(
        &alert("E", ThreatType::PortScan, 0),
        &looks(ThreatType::PortScan, &[50], 1.0),
        resolution("blocked it"),
    );
    let shown = place.index.recommend(&elsewhere, &other);
    assert!(shown.is_none_or(|shown| place.get(&shown.incident_id).origin != Origin::Starter));
    assert!(place.index.recommend(&alert("F", ThreatType::DDoS, 0), &[]).is_some());
    assert_eq!(place.index.status().own, 2);
}

#[test]
fn found_by_words_by_likeness_and_by_both() {
    let place = place(true);
    let written = |title: &str, symptom: &str| Written {
        title: title.to_owned(),
        symptom: symptom.to_owned(),
        action: "asked Otto".to_owned(),
        threat_type: "PortScan".to_owned(),
        ..Written::default()
    };
    let printer = place.add(written("The printer of the third floor", "it scans, for it is a scanner"));
    let lift = place.add(written("The lift", "its controller polls all floors"));
    let titles = |words: &str| -> Vec<String> {
        let found = place.store.read(|connection| search(connection, words, 5)).unwrap();
        found.into_iter().map(|incident| incident.title).collect()
    };
    assert_eq!(titles("printers floor")[0], printer.title);
    assert_eq!(titles("controllers polling")[0], lift.title);
    assert_eq!(titles("prin")[0], printer.title);
    assert!(titles("certificates expire")[0].contains("Certificate"));
    for hostile in ["\"", "a\" OR title : b", "NEAR(", "* ^ -", "", "ä\u{0}ö", "'; DROP TABLE incidents; --"]
    {
        place.store.read(|connection| search(connection, hostile, 5)).unwrap();
    }
    assert!(place.store.read(count).unwrap() > 20);
    let scan = looks(ThreatType::BruteForce, &[20, 21], 0.0);
    let alike = place.resolve(&alert("A", ThreatType::BruteForce, 22), &scan, resolution("asked Otto too"));
    let (worded, likeness) = place
        .store
        .read(|connection| {
            let likeness = Likeness::of_alert(connection, "A")?.unwrap();
            let found = find(connection, &place.index, "", Some(&likeness), 3)?;
            assert_eq!((found[0].incident.id.as_str(), found[0].similarity), (alike.as_str(), Some(1.0)));
            Ok((find(connection, &place.index, "otto lift", Some(&likeness), 50)?, likeness))
        })
        .unwrap();
    // First in one order and among the first of the other.
    assert!([&alike, &lift.id].contains(&&worded[0].incident.id), "{:?}", worded[0]);
    assert!(worded[..3].iter().any(|found| found.incident.id == alike));
    assert_eq!(place.index.similar(&likeness, 2).len(), 2);
    assert!(place.store.read(|connection| Likeness::of_alert(connection, "none")).unwrap().is_none());
}

#[test]
fn a_running_index_notices_what_another_process_does() {
    let place = place(false);
    let id = place.add(Written {
        symptom: "s".to_owned(),
        action: "a".to_owned(),
        threat_type: "DoS".to_owned(),
        ..Written::default()
    });
    assert!(!place.index.refresh(&place.store).unwrap());
    let known = alert("A", ThreatType::DoS, 80);
    assert_eq!(place.index.recommend(&known, &[]).unwrap().incident_id, id.id);
    let other = id.id.clone();
    place.store.write(move |tx| mark(tx, &other, true)).unwrap();
    assert!(place.index.refresh(&place.store).unwrap());
    assert!((place.index.recommend(&known, &[]).unwrap().confidence - 0.667).abs() < 1e-9);
    place.store.write(move |tx| remove(tx, &id.id)).unwrap();
    assert!(place.index.refresh(&place.store).unwrap());
    assert_eq!(place.index.recommend(&known, &[]), None);
    assert_eq!((place.index.status().recommended, place.index.status().not_recommended), (2, 1));
}

#[test]
fn ids_are_never_given_twice_and_the_table_is_bounded() {
    let place = place(true);
    let starters = place.store.read(count).unwrap();
    let written = |id: Option<&str>| Written {
        id: id.map(str::to_owned),
        symptom: "s".to_owned(),
        action: "a".to_owned(),
        ..Written::default()
    };
    let next = starters + 1;
    let first = place.add(written(None));
    assert_eq!(first.id, format!("INC-2026-{next:03}"));
    let gone = first.id.clone();
    place.store.write(move |tx| remove(tx, &gone)).unwrap();
    assert_ne!(place.add(written(None)).id, first.id);
    assert_eq!(place.add(written(Some("INC-2025-001"))).id, "INC-2025-001");
    assert_ne!(place.add(written(Some("INC-2025-001"))).id, "INC-2025-001");
    assert_eq!(place.add(written(Some("INC-2026-500"))).id, "INC-2026-500");
    assert_eq!(place.add(written(Some("../etc"))).id, "INC-2026-501");
    let max = 5;
    let draft = Draft::new(written(None), Origin::User).unwrap();
    place.store.write(move |tx| add(tx, &draft, NOW, max)).unwrap();
    place.index.refresh(&place.store).unwrap();
    assert_eq!(place.store.read(count).unwrap(), 5);
    assert_eq!((place.index.status().own, place.index.status().starter), (5, 0));
}

#[test]
fn decisions_have_the_shape_that_callers_know() {
    let place = place(true);
    let request: AnomalyRequest =
        serde_json::from_str(r#"{"error_type":"database_timeout","spike_percentage":450}"#).unwrap();
    let decision = decide(&place.store, &place.index, &request, NOW, |tx, event| {
        tx.execute(
            "INSERT INTO outbox (sink, event, told, since) VALUES ('slack', ?, 'decision', 0)",
            [event],
        )
        .map(|_| ())
    })
    .unwrap();
    let json = serde_json::to_value(&decision).unwrap();
    assert!(json["id"].as_str().unwrap().starts_with("dec_20261121_"), "{json}");
    assert!(json["matched_incident"].as_str().unwrap().starts_with("INC-2026-"));
    assert_eq!(json["symptom"], "database timeout, 450 % above usual");
    assert!(json["recommended_action"].as_str().unwrap().contains("30 %"));
    assert_eq!((json["similarity"].as_f64(), json["confidence_score"].as_f64()), (Some(1.0), Some(0.5)));
    assert!(json["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (json["created_at"].as_str(), json["severity"].as_str()),
        (Some("2026-11-21T12:00:00.000Z"), Some("high"))
    );
    assert_eq!(
        (json["source"].as_str(), json["error_type"].as_str()),
        (Some("starter"), Some("database_timeout"))
    );
    let (listed, kind, queued): (_, String, i64) = place
        .store
        .read(|connection| {
            let listed = decisions::list(connection, None, 10)?;
            let kind =
                connection
                    .query_row("SELECT kind FROM events ORDER BY id DESC LIMIT 1", [], |row| row.get(0))?;
            Ok((listed, kind, connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?))
        })
        .unwrap();
    assert_eq!((listed[0].1.clone(), kind.as_str(), queued), (decision, "decision", 1));
}

#[test]
fn decisions_match_by_words_and_refuse_what_they_cannot_bound() {
    let place = place(true);
    let ask = |error_type: &str, context: serde_json::Value| {
        let request: AnomalyRequest =
            serde_json::from_value(serde_json::json!({"error_type": error_type, "context": context}))
                .unwrap();
        decide(&place.store, &place.index, &request, NOW, |_, _| Ok(()))
    };
    let none = serde_json::json!({});
    let kind = |id: Option<String>| id.map(|id| place.get(&id).threat_type);
    for (asked, expected) in [
        ("db-connections-pool-exhausted", Some("connection_pool_exhausted")),
        ("expired certificates", Some("certificate_expired")),
        ("DNS_FAILURES", Some("dns_failure")),
        ("disk_full", Some("disk_full")),
        ("port_scan", Some("PortScan")),
        ("flux_capacitor_misaligned", None),
    ] {
        let decision = ask(asked, none.clone()).unwrap();
        assert_eq!(kind(decision.matched_incident.clone()).as_deref(), expected, "{asked}: {decision:?}");
        assert_eq!(decision.similarity == 0.0, expected.is_none());
        assert!(!decision.recommended_action.is_empty());
    }
    let own = place.add(Written {
        threat_type: "disk_full".to_owned(),
        symptom: "the recorder's disk is full".to_owned(),
        action: "removed the oldest recordings".to_owned(),
        ..Written::default()
    });
    assert_eq!(ask("disk_full", none.clone()).unwrap().matched_incident, Some(own.id));
    for (error_type, context) in [
        ("", none.clone()),
        ("\u{1b}[2J;\"", none.clone()),
        (&"x".repeat(101), none.clone()),
        ("a", serde_json::json!({"k": {"deep": 1}})),
        ("a", serde_json::json!({"k": "v".repeat(501)})),
        ("a", serde_json::json!({"k".repeat(65): 1})),
    ] {
        let refused = ask(error_type, context);
        let expected = error_type.contains('[');
        assert_eq!(refused.is_ok(), expected, "{error_type:?} {refused:?}");
    }
    assert_eq!(place.index.status().decisions_matched, 6);
}
