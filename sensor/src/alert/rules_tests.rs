use super::*;

use crate::features::app::AppFacts;
use crate::features::facts::{Outcome, PairFacts};
use crate::features::logins::Logins;
use crate::flow::table::Carried;
use sensor_ebpf::flow::FlowKey;

const HOST: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 9];

fn kind(facts: &HostFacts) -> Option<ThreatType> {
    judge_host(&HostFacts { address: HOST, seconds: 1.0, ..facts.clone() }, &AlertConfig::default())
        .map(|verdict| verdict.kind)
}

fn flow(dst_port: u16, pair: PairFacts) -> FlowFacts {
    FlowFacts {
        key: FlowKey { proto: proto::TCP, ..FlowKey::from_words([0; 6]) },
        src: HOST,
        src_port: 55_470,
        dst: [7; 16],
        dst_port,
        start: 0,
        last: 0,
        seconds: 1.0,
        window: Carried::default(),
        total: Carried::default(),
        outcome: Outcome::None,
        entropy: None,
        pair,
        app: AppFacts::default(),
    }
}

#[test]
fn answers_of_many_that_nobody_asked_are_a_flood_and_those_of_few_are_not() {
    let facts =
        |unasked_in, unasked_sources| HostFacts { unasked_in, unasked_sources, ..HostFacts::default() };
    assert_eq!(kind(&facts(150, 12.0)), Some(ThreatType::DDoS));
    assert_eq!(kind(&facts(90, 12.0)), None);
    // A server that goes on answering a client that has gone.
    assert_eq!(kind(&facts(5000, 1.0)), None);
}

#[test]
fn datagrams_of_many_are_a_flood_whatever_ports_they_go_to() {
    let facts = |failing_sources| HostFacts {
        one_sided_in: 3000,
        failing_ports: 2900.0,
        failing_sources,
        source: Some([9; 16]),
        ..HostFacts::default()
    };
    assert_eq!(kind(&facts(400.0)), Some(ThreatType::DDoS));
    assert_eq!(kind(&facts(1.0)), Some(ThreatType::PortScan));
}

#[test]
fn small_sessions_one_after_the_other_are_guesses_unless_they_are_usual_or_differ() {
    let said = |port, recent, variation, new_pair| {
        let logins = Logins { recent, variation, count: 8, size: 7000.0 };
        let pair = PairFacts { logins, new_pair, ..PairFacts::default() };
        judge_flow(&flow(port, pair), &AlertConfig::default()).map(|verdict| verdict.kind)
    };
    assert_eq!(said(22, 6.5, 0.05, true), Some(ThreatType::BruteForce));
    // Fewer are a person who forgot a password.
    assert_eq!(said(22, 5.0, 0.05, true), None);
    // What is done in them differs.
    assert_eq!(said(22, 6.5, 0.6, true), None);
    // A script that did so in the warm-up as well.
    assert_eq!(said(22, 30.0, 0.01, false), None);
}

#[test]
fn moves_are_many_by_what_a_host_did_before() {
    let facts = |moves, moved| HostFacts { moves, moved, ..HostFacts::default() };
    assert_eq!(kind(&facts([3.0, 0.0], true)), Some(ThreatType::Infiltration));
    assert_eq!(kind(&facts([2.5, 0.0], true)), None);
    // An administrator, or a server of backups.
    assert_eq!(kind(&facts([3.0, 7.0], true)), None);
    // Said in the windows in which it happens.
    assert_eq!(kind(&facts([3.0, 0.0], false)), None);
}
