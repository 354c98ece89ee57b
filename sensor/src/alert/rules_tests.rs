use super::*;

const HOST: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 9];

fn kind(facts: &HostFacts) -> Option<ThreatType> {
    judge_host(&HostFacts { address: HOST, seconds: 1.0, ..facts.clone() }, &AlertConfig::default())
        .map(|verdict| verdict.kind)
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
fn moves_are_many_by_what_a_host_did_before() {
    let facts = |moves, moved| HostFacts { moves, moved, ..HostFacts::default() };
    assert_eq!(kind(&facts([3.0, 0.0], true)), Some(ThreatType::Infiltration));
    assert_eq!(kind(&facts([2.5, 0.0], true)), None);
    // An administrator, or a server of backups.
    assert_eq!(kind(&facts([3.0, 7.0], true)), None);
    // Said in the windows in which it happens.
    assert_eq!(kind(&facts([3.0, 0.0], false)), None);
}
