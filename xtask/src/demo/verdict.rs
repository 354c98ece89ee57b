//! Which alert belongs to which attack, and what that says about the sensor.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::program::printable;
use crate::traffic::Attack;

/// The flow of an attack may be reported so long after its end: connections time out, windows close.
const GRACE: Duration = Duration::from_secs(20);

/// An attack that was made.
pub struct Staged {
    pub attack: &'static Attack,
    /// Since the demo started.
    pub start: Duration,
    /// Absent while it runs.
    pub end: Option<Duration>,
}

/// An alert that came.
#[derive(Debug)]
pub struct Seen {
    /// An alert that goes on comes again under the same id.
    pub id: String,
    /// Windows folded into it.
    pub count: u64,
    /// Since the demo started.
    pub at: Duration,
    /// Whether the sensor was active then.
    pub active: bool,
    kind: String,
    severity: String,
    source: String,
    destination: String,
    port: u64,
    pub narrative: String,
}

impl Seen {
    pub fn new(at: Duration, active: bool, alert: &Value) -> Seen {
        let text = |value: &Value| printable(value.as_str().unwrap_or_default());
        Seen {
            at,
            active,
            id: text(&alert["threat_id"]),
            count: alert["details"]["count"].as_u64().unwrap_or(1),
            kind: text(&alert["threat_type"]),
            severity: text(&alert["severity"]),
            source: text(&alert["source_ip"]),
            destination: text(&alert["destination_ip"]),
            port: alert["destination_port"].as_u64().unwrap_or(0),
            narrative: text(&alert["details"]["narrative"]),
        }
    }

    /// One line.
    pub fn headline(&self) -> String {
        let Seen { kind, severity, .. } = self;
        let or_many = |address: &str| {
            if address.is_empty() { "many".to_owned() } else { address.to_owned() }
        };
        let port = if self.port == 0 { String::new() } else { format!(" port {}", self.port) };
        format!("{kind} ({severity})  {} -> {}{port}", or_many(&self.source), or_many(&self.destination))
    }
}

/// What the demo showed.
pub struct Account {
    /// A row for each attack.
    pub table: String,
    /// What was not as it should be; empty is a pass.
    pub problems: Vec<String>,
}

/// Puts attacks and alerts side by side.
pub fn judge(staged: &[Staged], seen: &[Seen]) -> Account {
    let mut problems = Vec::new();
    let mut owned: Vec<Vec<&Seen>> = staged.iter().map(|_| Vec::new()).collect();
    for alert in seen {
        if !alert.active {
            problems.push(format!("an alert before the sensor was active: {}", alert.headline()));
        }
        match owner(staged, alert) {
            Some(at) => owned[at].push(alert),
            None => problems.push(format!("a false alarm: {}: {}", alert.headline(), alert.narrative)),
        }
    }
    let mut table = format!("  {:14} {:8} {:14} {:>8}   {}\n", "attack", "alerted", "type", "after", "also");
    for (staged, alerts) in staged.iter().zip(&owned) {
        let name = staged.attack.name;
        let right = alerts.iter().find(|alert| is_right(staged.attack, alert));
        let shown = right.or(alerts.first());
        let also: BTreeSet<&str> = alerts
            .iter()
            .map(|alert| alert.kind.as_str())
            .filter(|kind| shown.is_none_or(|s| s.kind != *kind))
            .collect();
        let also = also.into_iter().collect::<Vec<_>>().join(", ");
        let row = match shown {
            Some(alert) => {
                let after = alert.at.saturating_sub(staged.start).as_secs_f64();
                format!("  {name:14} {:8} {:14} {after:>6.1} s   {also}", "yes", alert.kind)
            }
            None => format!("  {name:14} {:8} {:14} {:>8}", "NO", "-", "-"),
        };
        table.push_str(row.trim_end());
        table.push('\n');
        match (right, shown) {
            (None, None) => problems.push(format!("the attack {name} was missed")),
            (None, Some(alert)) => {
                let types = staged.attack.types.join(" or ");
                problems.push(format!("the attack {name} was taken for {}, it is {types}", alert.kind));
            }
            _ => {}
        }
    }
    Account { table, problems }
}

/// The attack an alert is about: one of its time and addresses, if possible of its type, else the latest.
fn owner(staged: &[Staged], alert: &Seen) -> Option<usize> {
    let fits = |staged: &Staged| {
        let end = staged.end.unwrap_or(Duration::MAX).saturating_add(GRACE);
        (staged.start..=end).contains(&alert.at)
            && has_part(staged.attack, &alert.source)
            && has_part(staged.attack, &alert.destination)
            && !(alert.source.is_empty() && alert.destination.is_empty())
    };
    let fitting: Vec<usize> = (0..staged.len()).filter(|&at| fits(&staged[at])).collect();
    fitting.iter().rev().find(|&&at| is_right(staged[at].attack, alert)).or(fitting.last()).copied()
}

/// Whether this address takes part in the attack; an empty one stands for many.
fn has_part(attack: &Attack, address: &str) -> bool {
    address.is_empty()
        || attack.sources.iter().chain(attack.targets).any(|part| match part.ends_with('.') {
            true => address.starts_with(part),
            false => address == *part,
        })
}

fn is_right(attack: &Attack, alert: &Seen) -> bool {
    attack.types.contains(&alert.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::ATTACKS;
    use serde_json::json;

    fn staged(at: usize, start: u64) -> Staged {
        let seconds = Duration::from_secs;
        Staged { attack: &ATTACKS[at], start: seconds(start), end: Some(seconds(start + 5)) }
    }

    fn alert(at: u64, kind: &str, source: &str, destination: &str) -> Seen {
        let alert = json!({"threat_type": kind, "source_ip": source, "destination_ip": destination});
        Seen::new(Duration::from_secs(at), true, &alert)
    }

    #[test]
    fn a_scan_and_a_flood_on_the_same_server_are_told_apart() {
        let staged = [staged(0, 100), staged(1, 113)];
        let account = judge(
            &staged,
            &[
                alert(101, "PortScan", "10.77.0.107", "10.77.0.11"),
                alert(115, "DDoS", "", "10.77.0.11"),
                // Late, and about the first.
                alert(116, "PortScan", "10.77.0.107", ""),
            ],
        );
        assert_eq!(account.problems, Vec::<String>::new());
        let rows: Vec<Vec<&str>> =
            account.table.lines().map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["port-scan", "yes", "PortScan", "1.0", "s"]);
        assert_eq!(rows[2], ["syn-flood", "yes", "DDoS", "2.0", "s"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut early = alert(90, "Bot", "10.77.0.105", "203.0.113.177");
        early.active = false;
        for (alerts, expected) in [
            (vec![], "the attack port-scan was missed"),
            (vec![alert(101, "Anomaly", "10.77.0.107", "10.77.0.11")], "taken for Anomaly, it is PortScan"),
            // Of another host, of another time, and about nobody.
            (vec![alert(101, "PortScan", "10.77.0.103", "10.77.0.11")], "a false alarm"),
            (vec![alert(99, "PortScan", "10.77.0.107", "10.77.0.11")], "a false alarm"),
            (vec![alert(140, "PortScan", "10.77.0.107", "10.77.0.11")], "a false alarm"),
            (vec![alert(101, "PortScan", "", "")], "a false alarm"),
            (vec![early], "before the sensor was active"),
        ] {
            let problems = judge(&[staged(0, 100)], &alerts).problems.join("\n");
            assert!(problems.contains(expected), "{expected} in {problems}");
        }
    }

    #[test]
    fn another_type_beside_the_right_one_is_shown() {
        let account = judge(
            &[staged(4, 100)],
            &[
                alert(101, "Anomaly", "10.77.0.104", "198.51.100.200"),
                alert(103, "Exfiltration", "10.77.0.104", "198.51.100.200"),
            ],
        );
        assert!(account.problems.is_empty());
        assert!(account.table.contains("Exfiltration      3.0 s   Anomaly"), "{}", account.table);
    }
}
