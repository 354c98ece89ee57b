//! An alert under the field names of Suricata's EVE JSON, for what already reads that.

use serde_json::{Value, json};

use super::{Alert, Severity};
use crate::flow::tunnel::TunnelRecord;

/// The alert as a record.
pub fn alert_record(alert: &Alert) -> Value {
    let details = &alert.details;
    let mut record = json!({
        "timestamp": alert.timestamp,
        "event_type": "alert",
        "src_ip": alert.source_ip,
        "src_port": alert.source_port,
        "proto": alert.protocol,
        "alert": {
            "action": "allowed",
            "gid": 1,
            "signature_id": 0,
            "rev": 1,
            "signature": format!("{:?}: {}", alert.threat_type, details.narrative),
            "category": format!("{:?}", alert.threat_type),
            "severity": level(alert.severity),
            "metadata": {
                "threat_id": [alert.threat_id],
                "confidence": [format!("{:.3}", alert.confidence)],
                "score": [details.score.to_string()],
                "threshold": [details.threshold.to_string()],
            },
        },
    });
    if let Some(fields) = record.as_object_mut() {
        if !alert.destination_ip.is_empty() {
            fields.insert("dest_ip".to_owned(), json!(alert.destination_ip));
            fields.insert("dest_port".to_owned(), json!(alert.destination_port));
        }
        if let Some(of) = &details.tunnel {
            fields.insert("tunnel".to_owned(), tunnel(of));
        }
        // An alert about a host is about many flows, and has the id of none.
        if !details.community_id.is_empty() {
            fields.insert("flow_id".to_owned(), json!(flow_id(&details.community_id)));
            fields.insert("community_id".to_owned(), json!(details.community_id));
        }
    }
    record
}

/// The outer packets as Suricata gives them, without ports, which differ from packet to packet; `kind` and the id
/// are ours.
pub fn tunnel(tunnel: &TunnelRecord) -> Value {
    let mut record = json!({ "proto": tunnel.proto, "depth": 1, "kind": tunnel.kind });
    if let Some(fields) = record.as_object_mut() {
        for (name, address) in [("src_ip", tunnel.src_ip), ("dest_ip", tunnel.dest_ip)] {
            if let Some(address) = address {
                fields.insert(name.to_owned(), json!(address));
            }
        }
        let id = match tunnel.kind.as_str() {
            "vxlan" | "geneve" => Some("vni"),
            "gre" => Some("key"),
            _ => None,
        };
        if let Some(id) = id {
            fields.insert(id.to_owned(), json!(tunnel.id));
        }
    }
    record
}

/// The same number for all records of a flow, on every run; FNV-1a over its community id, and below 2^53 because
/// readers in JavaScript know no larger integers.
pub fn flow_id(community_id: &str) -> u64 {
    let hash = community_id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 11
}

/// Suricata counts down: 1 is the worst.
fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 1,
        Severity::High => 2,
        Severity::Medium => 3,
        Severity::Low => 4,
    }
}
