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
        awaited: false,
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
fn what_leads_nowhere_for_ten_seconds_is_a_flood_where_it_goes_to_few_ports() {
    let facts = |pressed, failing_ports, failing_sources| HostFacts {
        incomplete_in: 50,
        pressed,
        failing_ports,
        failing_sources,
        source: Some([9; 16]),
        ..HostFacts::default()
    };
    assert_eq!(kind(&facts(10.0, 1.0, 1.0)), Some(ThreatType::DoS));
    assert_eq!(kind(&facts(10.0, 1.0, 40.0)), Some(ThreatType::DDoS));
    assert_eq!(kind(&facts(9.0, 1.0, 1.0)), None);
    // Many ports, once each.
    assert_eq!(kind(&facts(30.0, 12.0, 1.0)), None);
}

#[test]
fn first_contacts_that_fail_are_a_scan_by_their_evidence_whatever_else_the_host_does() {
    use crate::features::walk::Scanning;
    let facts = |evidence, one_host| HostFacts {
        scanning: Scanning { evidence, failed: 15.0, one_host },
        target: Some([7; 16]),
        completed: 30,
        refused: 1,
        ..HostFacts::default()
    };
    let judge = |facts: &HostFacts| judge_host(facts, &AlertConfig::default());
    assert_eq!(
        judge(&facts(20.0, true)).map(|v| (v.kind, v.destination)),
        Some((ThreatType::PortScan, Some([7; 16])))
    );
    assert_eq!(judge(&facts(20.0, false)).and_then(|v| v.destination), None);
    assert_eq!(judge(&facts(19.0, true)), None);
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
