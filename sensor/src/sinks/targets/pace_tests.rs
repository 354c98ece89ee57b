use super::super::testing::{alert, decision, of_alert};
use super::*;
use crate::alert::{Severity, ThreatType};

/// Writes down what it was told; fails as often as asked.
#[derive(Debug, Default)]
struct Paper {
    told: Vec<String>,
    events: Vec<i64>,
    failures: usize,
}

impl Paper {
    fn tell(&mut self, text: String) -> Outcome {
        if self.failures > 0 {
            self.failures -= 1;
            return Outcome::Retry { error: "torn".to_owned(), after: None };
        }
        self.told.push(text);
        Outcome::Delivered
    }
}

impl Notify for Paper {
    fn one(&mut self, message: &Message, _timeout: Duration) -> Outcome {
        let outcome = self.tell(message.about.clone());
        self.events.extend((outcome == Outcome::Delivered).then_some(message.event));
        outcome
    }

    fn summary(&mut self, summary: &Summary, _timeout: Duration) -> Outcome {
        let outcome = self.tell(format!("{} from {}", summary.headline(), summary.sources()));
        if outcome == Outcome::Delivered {
            self.events.extend(summary.first_event..=summary.last_event);
        }
        outcome
    }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn a_storm_is_one_message_and_its_counts_are_exact() {
    let begin = clock();
    let mut paced = Paced::new(Paper::default(), seconds(10), 0);
    let messages: Vec<Message> = (1..=100)
        .map(|number| {
            let mut alert = alert(number);
            if number % 4 == 0 {
                (alert.threat_type, alert.severity) = (ThreatType::DDoS, Severity::Critical);
                alert.source_ip = format!("10.0.1.{number}");
            }
            of_alert(number.into(), &alert)
        })
        .collect();
    // One comes, and is told at once; the others come while the first is still in their ears.
    assert_eq!(paced.deliver_at(&messages[..1], seconds(1), begin), [Outcome::Delivered]);
    let wait = paced.deliver_at(&messages[1..50], seconds(1), begin + seconds(4));
    assert_eq!(wait, vec![Outcome::Wait { after: seconds(6) }; 49]);
    assert_eq!(
        paced.deliver_at(&messages[1..], seconds(1), begin + seconds(10)),
        vec![Outcome::Delivered; 99]
    );
    assert_eq!(
        paced.medium.told,
        [
            "THREAT_20260101_001",
            "99 alerts: 74 PortScan, 25 DDoS from 10.0.0.1 (74), 10.0.1.100 (1), 10.0.1.12 (1), 10.0.1.16 (1), \
             10.0.1.20 (1), 10.0.1.24 (1), 10.0.1.28 (1), 10.0.1.32 (1), 10.0.1.36 (1), 10.0.1.4 (1) and 16 further"
        ]
    );
    assert_eq!(paced.medium.events, (1..=100).collect::<Vec<i64>>());
    // A single one that comes later is told whole.
    assert_eq!(paced.deliver_at(&[decision(101)], seconds(1), begin + seconds(25)), [Outcome::Delivered]);
    assert_eq!(paced.medium.told.last().unwrap(), "dec_1");
}

#[test]
fn what_is_told_and_what_it_counts() {
    let mut updated = of_alert(2, &alert(1));
    updated.told = super::super::Told::Updated;
    let summary = Summary::of(&[of_alert(1, &alert(1)), updated, of_alert(3, &alert(2)), decision(4)]);
    assert_eq!((summary.messages, summary.alerts, summary.unnamed()), (4, 2, 0));
    assert_eq!(summary.headline(), "2 alerts: 2 PortScan");
    assert_eq!(summary.json()["told"], serde_json::json!({"raised": 2, "updated": 1, "decision": 1}));
    assert_eq!(Summary::of(&[decision(1), decision(2)]).headline(), "2 messages");
}

#[test]
fn no_more_a_minute_than_asked_and_nothing_is_lost() {
    let begin = clock();
    let mut paced = Paced::new(Paper::default(), Duration::ZERO, 3);
    let messages: Vec<Message> = (1..=200).map(|number| of_alert(number.into(), &alert(1))).collect();
    let mut sent_at = Vec::new();
    let mut next = 0;
    for second in 0..=190_u64 {
        // One a second comes.
        let pending = &messages[next..(second as usize + 1).min(200)];
        let outcomes = paced.deliver_at(pending, seconds(1), begin + seconds(second));
        if outcomes.first() == Some(&Outcome::Delivered) {
            next += pending.len();
            sent_at.push(second);
        }
    }
    assert_eq!(sent_at, [0, 1, 2, 60, 61, 62, 120, 121, 122, 180, 181, 182]);
    assert_eq!(paced.medium.events, (1..=183).collect::<Vec<i64>>());
}

#[test]
fn what_failed_together_stays_together() {
    let begin = clock();
    let mut paced = Paced::new(Paper { failures: 1, ..Paper::default() }, seconds(10), 0);
    let messages: Vec<Message> = (1..=3).map(|number| of_alert(number.into(), &alert(number))).collect();
    let outcomes = paced.deliver_at(&messages, seconds(1), begin);
    assert!(matches!(outcomes[0], Outcome::Retry { .. }));
    assert_eq!(
        outcomes[1..],
        [Outcome::Wait { after: Duration::ZERO }, Outcome::Wait { after: Duration::ZERO }]
    );
    // A failure is no message: the next attempt need not wait.
    assert_eq!(paced.deliver_at(&messages, seconds(1), begin), vec![Outcome::Delivered; 3]);
}

#[test]
fn without_grouping_each_is_told() {
    let mut paced = Paced::new(Paper::default(), Duration::ZERO, 0);
    assert_eq!(paced.batch(), 1);
    for number in 1..=100 {
        assert_eq!(paced.deliver(&[of_alert(number.into(), &alert(1))], seconds(1)), [Outcome::Delivered]);
    }
    assert_eq!(paced.medium.events.len(), 100);
}
