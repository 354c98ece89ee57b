//! What an analysis came to: one JSON object, or a page for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::alert::{Alert, Severity};
use crate::ledger::Residue;

/// The object of `--json` and of `GET /api/v1/statistics`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Packets seen.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Flows that ended.
    pub flows: u64,
    /// Windows scored.
    pub windows: u64,
    /// Alerts, duplicates folded.
    pub alerts: u64,
    /// RFC 3339: first packet; absent without packets.
    pub first: Option<String>,
    /// RFC 3339: latest packet; absent without packets.
    pub last: Option<String>,
    /// Seconds from the first to the latest packet.
    pub duration_s: f64,
    /// Seconds the analysis took.
    pub elapsed_s: f64,
    /// Alerts by type.
    pub threats: BTreeMap<String, u64>,
    /// What the ledger has left over; 0 everywhere is the promise.
    pub residue: Residue,
    /// A capture was cut off or broken.
    pub truncated: bool,
    /// What was odd.
    pub warnings: Vec<String>,
}

/// An alert on one line of the page.
#[derive(Clone, Debug)]
pub struct AlertLine(String);

impl AlertLine {
    /// Time, type, severity, who and whom, and why.
    pub fn new(alert: &Alert) -> AlertLine {
        let endpoint = |ip: &str, port: u16| match (ip, port) {
            ("", 0) => "many".to_owned(),
            ("", port) => format!("many, port {port}"),
            (ip, 0) => ip.to_owned(),
            (ip, port) if ip.contains(':') => format!("[{ip}]:{port}"),
            (ip, port) => format!("{ip}:{port}"),
        };
        let severity = match alert.severity {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        };
        AlertLine(format!(
            "{}  {:<12} {severity:<8} {} -> {}  {}",
            alert.timestamp,
            format!("{:?}", alert.threat_type),
            endpoint(&alert.source_ip, alert.source_port),
            endpoint(&alert.destination_ip, alert.destination_port),
            alert.details.narrative,
        ))
    }
}

impl Summary {
    /// The page. `alerts` may be fewer than there were: the rest is counted.
    pub fn page(&self, alerts: &[AlertLine]) -> String {
        let mut page = String::new();
        let rate = if self.elapsed_s > 0.0 {
            self.packets as f64 / self.elapsed_s
        } else {
            0.0
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "{} packets, {} bytes, {} flows, {} windows scored",
            self.packets, self.bytes, self.flows, self.windows
        );
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            let _ = writeln!(page, "{first} to {last}, {:.3} s", self.duration_s);
        }
        let _ = writeln!(page, "took {:.2} s, {rate:.0} packets/s", self.elapsed_s);
        let _ = writeln!(page, "\n{} alerts", self.alerts);
        for (threat, count) in &self.threats {
            let _ = writeln!(page, "  {threat:<12} {count}");
        }
        if !alerts.is_empty() {
            page.push('\n');
        }
        for AlertLine(line) in alerts {
            let _ = writeln!(page, "{line}");
        }
        let untold = self.alerts.saturating_sub(alerts.len() as u64);
        if untold > 0 {
            let _ = writeln!(page, "and {untold} more: --alerts FILE.jsonl holds them all");
        }
        page.push_str(&self.ledger());
        for warning in &self.warnings {
            let _ = writeln!(page, "warning: {warning}");
        }
        page
    }

    fn ledger(&self) -> String {
        let off: Vec<String> = self
            .residue
            .equations()
            .iter()
            .filter(|(_, residue)| *residue != 0)
            .map(|(name, residue)| format!("{name} {residue:+}"))
            .collect();
        if off.is_empty() {
            return "\nledger: every packet, sample, row and alert is accounted for\n".to_owned();
        }
        format!(
            "\nledger: NOT BALANCED: {}. Counts above are not to be trusted; please report this\n",
            off.join(", ")
        )
    }
}
