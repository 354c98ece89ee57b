use super::ThreatType;
use super::book::Book;
use super::candidate::Candidate;
use super::config::AlertConfig;
use super::likeness::Likeness;
use super::report::Reasons;
use super::rules::Verdict;
use crate::flow::SECOND;
use crate::flow::flags::FlagCounts;
use crate::score::scorer::Kind;

const BEGIN: u64 = 1_780_000_000;

/// Something without a type, of one host.
fn oddity(destination: u8, newcomer: bool) -> Candidate {
    Candidate {
        verdict: Verdict {
            kind: ThreatType::Anomaly,
            source: Some([1; 16]),
            destination: Some([destination; 16]),
            port: 443,
            proto: 6,
            strength: 1.0,
            narrative: String::new(),
        },
        score: 5.0,
        threshold: 4.0,
        kind: Kind::Flow,
        row: 0,
        packets: 1,
        bytes: 60,
        seen: [BEGIN * SECOND; 2],
        source_port: 40_000,
        key: None,
        tunnel: None,
        flags: FlagCounts::default(),
        mac: None,
        newcomer,
        likeness: Likeness::default(),
    }
}

/// At which of these seconds an alert was raised.
fn raised(newcomer: bool, seconds: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let config = AlertConfig { anomaly_windows: 1, anomaly_margin: 0.0, ..AlertConfig::default() };
    let mut book = Book::new(&config);
    let tried = seconds.into_iter().enumerate();
    let raised = tried.filter(|(number, second)| {
        let candidate = oddity(2 + *number as u8, newcomer);
        book.consider(&candidate, (BEGIN + second) * SECOND, |_| Reasons::default()).is_some()
    });
    raised.map(|(_, second)| second).collect()
}

#[test]
fn what_a_new_host_does_first_is_one_alert_in_ten_minutes() {
    let minutes = || (0..15).map(|minute| minute * 61);
    assert_eq!(raised(true, minutes()), [0, 610]);
    assert_eq!(raised(false, minutes()).len(), 15, "who is known is odd anew each time");
    assert_eq!(raised(false, [0, 3, 5]), [0], "what it does to many at once is one oddity");
}
