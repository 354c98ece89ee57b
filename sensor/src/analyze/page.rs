//! What an analysis came to, as a page for people.

use std::fmt::Write;

use crate::alert::{Alert, Severity};
use crate::status::Summary;

/// Alerts on the page.
const SHOWN: usize = 100;

/// The page.
pub(super) fn page(summary: &Summary, alerts: &[Alert]) -> String {
    let mut page = String::new();
    let rate = if summary.elapsed_s > 0.0 { summary.packets as f64 / summary.elapsed_s } else { 0.0 };
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "{} packets, {} bytes, {} flows, {} windows scored",
        summary.packets, summary.bytes, summary.flows, summary.windows
    );
    if let (Some(first), Some(last)) = (&summary.first, &summary.last) {
        let _ = writeln!(page, "{first} to {last}, {:.3} s", summary.duration_s);
    }
    let _ = writeln!(page, "took {:.2} s, {rate:.0} packets/s", summary.elapsed_s);
    let _ = writeln!(page, "\n{} alerts", summary.alerts);
    for (threat, count) in &summary.threats {
        let _ = writeln!(page, "  {:<12} {count}", format!("{threat:?}"));
    }
    if !alerts.is_empty() {
        page.push('\n');
    }
    for alert in alerts.iter().take(SHOWN) {
        let _ = writeln!(page, "{}", alert_line(alert));
    }
    let untold = summary.alerts.saturating_sub(alerts.len().min(SHOWN) as u64);
    if untold > 0 {
        let _ = writeln!(page, "and {untold} more: --alerts FILE.jsonl holds them all");
    }
    page.push_str(&ledger(summary));
    for warning in &summary.warnings {
        let _ = writeln!(page, "warning: {warning}");
    }
    page
}

fn ledger(summary: &Summary) -> String {
    let off: Vec<String> = summary
        .residue
        .iter()
        .filter(|(_, residue)| **residue != 0)
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

/// Time, type, severity, who and whom, and why.
fn alert_line(alert: &Alert) -> String {
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
    format!(
        "{}  {:<12} {severity:<8} {} -> {}  {}",
        alert.timestamp,
        format!("{:?}", alert.threat_type),
        endpoint(&alert.source_ip, alert.source_port),
        endpoint(&alert.destination_ip, alert.destination_port),
        alert.details.narrative,
    )
}
