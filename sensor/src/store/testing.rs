//! What the tests of store and sinks share.

use std::sync::Arc;

use super::alerts::{self, StoredAlert};
use super::outbox::Recipient;
use super::retention::Limits;
use super::{Store, StoreConfig};
use crate::alert::{Alert, Details, Raised, Severity, ThreatType};
use crate::capture::replay::{Replay, ReplayConfig};
use crate::capture::{Event, Link, Sample};
use crate::sinks::Told;

pub(crate) fn open(folder: &std::path::Path) -> Store {
    let (store, notice) = Store::open(&StoreConfig::default(), folder).unwrap();
    assert_eq!(notice, None);
    store
}

pub(crate) fn alert(number: u64) -> Alert {
    let details = serde_json::json!({
        "packet_count": 1, "total_bytes": 60, "duration": 0.0, "flags": ["SYN"], "model_used": "autoencoder",
        "score": 1.0, "threshold": 0.5, "explanation": [], "narrative": "plain", "community_id": "",
        "first_seen": "2026-01-01T00:00:00Z", "last_seen": "2026-01-01T00:00:00Z", "count": 1
    });
    Alert {
        threat_id: format!("THREAT_20260101_{number:03}"),
        threat_type: ThreatType::PortScan,
        severity: Severity::High,
        source_ip: "10.0.0.1".to_owned(),
        destination_ip: String::new(),
        source_port: 0,
        destination_port: 0,
        protocol: "TCP".to_owned(),
        confidence: 0.9,
        timestamp: "2026-01-01T00:00:00Z".to_owned(),
        details: serde_json::from_value::<Details>(details).unwrap(),
        recommendation: None,
        rewritten: None,
    }
}

pub(crate) fn raised(number: u64) -> Raised {
    Raised { alert: alert(number), fingerprint: vec![0.5, -1.0], evidence: vec![sample(number)] }
}

/// A SYN from 10.0.0.1:1234 to 10.0.0.2:80 of which 54 bytes were kept.
pub(crate) fn sample(time: u64) -> Sample {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([4, 210, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    Sample { time, wire_len: 60, weight: 1, link: Link::Ethernet, frame: frame.into() }
}

/// Reads a capture by the reader of `vesper analyze`.
pub(crate) fn replay(path: &std::path::Path, mut each: impl FnMut(u64, &[u8])) {
    let mut replay = Replay::open(&[path.to_owned()], ReplayConfig::default()).unwrap();
    while let Some(event) = replay.next_event().unwrap() {
        if let Event::Samples(samples) = event {
            samples.iter().for_each(|sample| each(sample.time, &sample.frame));
        }
    }
    assert_eq!(replay.summary().warnings, Vec::<String>::new());
}

pub(crate) const LIMITS: Limits = Limits { keep: i64::MAX, max_bytes: 1 << 40, evidence_bytes: 1 << 30 };

pub(crate) fn insert(store: &Store, number: u64, now: i64) -> i64 {
    store.write(move |tx| alerts::insert(tx, &raised(number), now)).unwrap()
}

pub(crate) fn get(store: &Store, number: u64) -> StoredAlert {
    let id = alert(number).threat_id;
    store.read(|connection| alerts::get(connection, &id)).unwrap().unwrap()
}

pub(crate) fn all(_: Told, _: Option<(ThreatType, Severity)>) -> bool {
    true
}

pub(crate) fn tell(store: &Store, names: &[&str]) {
    let recipient = |name: &&str| Recipient { name: (*name).to_owned(), wanted: Arc::new(all) };
    store.set_recipients(names.iter().map(recipient).collect());
}
