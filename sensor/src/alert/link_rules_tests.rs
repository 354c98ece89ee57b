//! What attacks by ARP look like, and what looks like them.

use super::*;
use crate::features::link::Mac;
use crate::features::link::traffic::{EVERYBODY, Segment, lan, mac};
use sensor_ebpf::parse::mapped;

type Host = (Mac, [u8; 4]);

fn host(last: u8) -> Host {
    (mac(last), lan(last))
}

/// Closes the second and says what is seen.
fn judged(segment: &mut Segment) -> Vec<Verdict> {
    let config = AlertConfig::default();
    segment.close().iter().filter_map(|facts| judge_link(facts, &config)).collect()
}

/// Runs seconds until something is seen; says in which, from 1.
fn first(
    segment: &mut Segment,
    seconds: u32,
    mut second: impl FnMut(&mut Segment, u32),
) -> Option<(u32, Verdict)> {
    (1..=seconds).find_map(|n| {
        second(segment, n);
        let mut verdicts = judged(segment);
        assert!(verdicts.len() < 2, "one speaks: {verdicts:?}");
        verdicts.pop().map(|verdict| (n, verdict))
    })
}

fn silent(segment: &mut Segment, seconds: u32, second: impl FnMut(&mut Segment, u32)) {
    assert_eq!(first(segment, seconds, second), None);
}

const GATEWAY: Host = (Mac([2, 0, 0, 0, 0, 1]), [10, 0, 0, 1]);
const VICTIM: Host = (Mac([2, 0, 0, 0, 0, 5]), [10, 0, 0, 5]);
const ATTACKER: Host = (Mac([2, 0, 0, 0, 0, 66]), [10, 0, 0, 66]);

/// Both know each other, and the attacker asked them.
fn acquainted() -> Segment {
    let mut segment = Segment::new();
    segment.meet(VICTIM, GATEWAY);
    segment.meet(ATTACKER, GATEWAY);
    segment.meet(ATTACKER, VICTIM);
    assert_eq!(judged(&mut segment), []);
    segment
}

fn poison(segment: &mut Segment) {
    segment.reply((ATTACKER.0, GATEWAY.1), VICTIM);
    segment.reply((ATTACKER.0, VICTIM.1), GATEWAY);
}

#[test]
fn two_sides_poisoned_is_seen_at_once() {
    let mut segment = acquainted();
    segment.quiet(20);
    let (second, verdict) = first(&mut segment, 5, |segment, _| poison(segment)).unwrap();
    assert_eq!((second, verdict.kind), (1, ThreatType::Infiltration));
    assert_eq!((verdict.source, verdict.destination), (Some(mapped(ATTACKER.1)), None));
    assert_eq!(
        verdict.narrative,
        "10.0.0.66 (02:00:00:00:00:42) claims by ARP to have 10.0.0.1 of 02:00:00:00:00:01 (told to 10.0.0.5), and 10.0.0.5 \
         of 02:00:00:00:00:05 (told to 10.0.0.1); the owners were there lately. What is sent to these addresses goes to it \
         instead."
    );
    segment.packet(ATTACKER.0, VICTIM.1, GATEWAY.0, [192, 0, 2, 1]);
    poison(&mut segment);
    let verdicts = judged(&mut segment);
    assert!(verdicts[0].strength > verdict.strength && verdicts[0].narrative.contains("passes through it"));
}

#[test]
fn nobody_need_be_known_before() {
    let mut segment = Segment::new();
    let (second, verdict) = first(&mut segment, 5, |segment, _| poison(segment)).unwrap();
    assert_eq!((second, verdict.kind, verdict.source), (1, ThreatType::Infiltration, None));
    assert!(
        verdict.narrative.starts_with("The host with MAC address 02:00:00:00:00:42 claims"),
        "{verdict:?}"
    );
}

#[test]
fn one_side_poisoned_is_seen_when_it_goes_on() {
    let mut segment = acquainted();
    segment.quiet(5);
    let (second, verdict) = first(&mut segment, 10, |segment, _| {
        segment.reply((ATTACKER.0, GATEWAY.1), VICTIM);
        segment.packet(GATEWAY.0, GATEWAY.1, VICTIM.0, VICTIM.1);
    })
    .unwrap();
    assert_eq!((second, verdict.kind), (3, ThreatType::Infiltration));
    assert_eq!(verdict.destination, Some(mapped(GATEWAY.1)));
}

#[test]
fn poison_told_to_everybody_is_seen_while_the_owners_talk() {
    let mut segment = acquainted();
    let (second, verdict) = first(&mut segment, 10, |segment, _| {
        segment.announce((ATTACKER.0, GATEWAY.1));
        segment.announce((ATTACKER.0, VICTIM.1));
        segment.wait(10);
        segment.packet(GATEWAY.0, GATEWAY.1, VICTIM.0, VICTIM.1);
        segment.packet(VICTIM.0, VICTIM.1, GATEWAY.0, GATEWAY.1);
    })
    .unwrap();
    // Each address alone would be a duplicate by then, and is told as one.
    assert!(second <= 3, "{second} {verdict:?}");
    segment.announce((ATTACKER.0, GATEWAY.1));
    segment.announce((ATTACKER.0, VICTIM.1));
    assert_eq!(judged(&mut segment)[0].kind, ThreatType::Infiltration);
}

#[test]
fn a_sweep_is_a_scan_fast_or_slow_with_an_address_or_without() {
    let mut segment = acquainted();
    let (second, verdict) = first(&mut segment, 5, |segment, _| {
        (100..=200).for_each(|last| segment.ask(ATTACKER, lan(last)));
    })
    .unwrap();
    assert_eq!((second, verdict.kind, verdict.source), (1, ThreatType::PortScan, Some(mapped(ATTACKER.1))));
    assert!(verdict.narrative.contains("asked by ARP for"), "{verdict:?}");

    let mut segment = acquainted();
    let (second, verdict) = first(&mut segment, 90, |segment, n| {
        segment.arp((ATTACKER.0, EVERYBODY), 1, (ATTACKER.0, [0; 4]), (Mac::default(), lan(100 + n as u8)));
        segment.arp((ATTACKER.0, EVERYBODY), 1, (ATTACKER.0, [0; 4]), (Mac::default(), [10, 0, 1, n as u8]));
    })
    .unwrap();
    assert!(second <= 60 && verdict.kind == ThreatType::PortScan, "{second} {verdict:?}");
}

#[test]
fn a_duplicate_address_is_told_with_both_who_have_it() {
    let mut segment = acquainted();
    let (second, verdict) = first(&mut segment, 20, |segment, n| {
        let speaker = if n % 2 == 0 { VICTIM.0 } else { mac(77) };
        segment.ask((speaker, VICTIM.1), GATEWAY.1);
    })
    .unwrap();
    assert!(second <= 6, "{second}");
    assert_eq!((verdict.kind, verdict.destination), (ThreatType::Anomaly, Some(mapped(VICTIM.1))));
    assert!(
        verdict.narrative.contains("02:00:00:00:00:05 and 02:00:00:00:00:4d claim it in turn"),
        "{verdict:?}"
    );
}

/// Two routers' addresses go to a third; whoever had them is silent, at least with these addresses.
#[test]
fn a_failover_is_silent() {
    let mut segment = Segment::new();
    let (one, other, spare) = (host(11), host(12), host(13));
    let virtual_addresses = [lan(100), lan(101)];
    segment.announce((one.0, virtual_addresses[0]));
    segment.announce((other.0, virtual_addresses[1]));
    for router in [one, other, spare] {
        segment.meet(VICTIM, router);
    }
    silent(&mut segment, 30, |segment, _| segment.packet(one.0, virtual_addresses[0], VICTIM.0, VICTIM.1));
    silent(&mut segment, 120, |segment, n| {
        if n <= 5 {
            virtual_addresses.iter().for_each(|address| segment.announce((spare.0, *address)));
        }
        segment.ask((spare.0, virtual_addresses[0]), VICTIM.1);
        segment.meet(VICTIM, (spare.0, virtual_addresses[1]));
        segment.packet(spare.0, virtual_addresses[0], VICTIM.0, VICTIM.1);
        // The first is up, with its own address.
        segment.packet(one.0, one.1, VICTIM.0, VICTIM.1);
        segment.meet(VICTIM, one);
    });
    // And back, minutes later.
    silent(&mut segment, 60, |segment, n| {
        if n <= 5 {
            segment.announce((one.0, virtual_addresses[0]));
        }
        segment.ask((one.0, virtual_addresses[0]), VICTIM.1);
    });
}

#[test]
fn a_lease_that_goes_to_another_is_silent() {
    let mut segment = acquainted();
    let (before, after) = ((mac(30), lan(50)), (mac(31), lan(50)));
    silent(&mut segment, 10, |segment, _| segment.ask(before, GATEWAY.1));
    segment.quiet(60);
    silent(&mut segment, 60, |segment, n| {
        if n == 1 {
            // The new holder probes, then announces (RFC 5227).
            (0..3).for_each(|_| {
                segment.arp((after.0, EVERYBODY), 1, (after.0, [0; 4]), (Mac::default(), after.1))
            });
            (0..2).for_each(|_| segment.announce(after));
        }
        segment.meet(after, GATEWAY);
        segment.packet(after.0, after.1, GATEWAY.0, [192, 0, 2, 1]);
        // The old one is back with another lease.
        segment.meet((before.0, lan(51)), GATEWAY);
    });
}

#[test]
fn a_router_is_silent_whomever_it_forwards_and_whatever_it_asks_for() {
    let mut segment = Segment::new();
    // All hosts of a network, the first minute that somebody listens.
    silent(&mut segment, 20, |segment, n| {
        (0..10).for_each(|i| segment.meet(GATEWAY, (mac(i * 20 + n as u8), lan(10 + i * 20 + n as u8))));
    });
    silent(&mut segment, 120, |segment, n| {
        (0..50).for_each(|i| segment.packet(GATEWAY.0, [192, 0, n as u8, i], VICTIM.0, VICTIM.1));
        // Both sides of it are mirrored: its neighbours' packets come again from its own address.
        segment.packet(GATEWAY.0, lan(11), VICTIM.0, VICTIM.1);
        // The noise of the Internet knocks at addresses that nobody has.
        segment.ask(GATEWAY, [10, 0, 7, n as u8]);
        segment.ask(GATEWAY, [10, 0, 8, n as u8]);
        // It answers for those behind it.
        segment.meet(VICTIM, (GATEWAY.0, [10, 9, 0, n as u8]));
    });
}

#[test]
fn hosts_that_boot_are_silent() {
    let mut segment = Segment::new();
    silent(&mut segment, 30, |segment, n| {
        let booting = host(n as u8 + 100);
        (0..3).for_each(|_| segment.announce(booting));
        segment.meet(booting, GATEWAY);
    });
}

/// Each interface answers for both addresses, and asks with either, as Linux does.
#[test]
fn a_host_with_two_interfaces_is_silent() {
    let mut segment = Segment::new();
    let (one, other) = (host(20), host(21));
    segment.announce(one);
    segment.announce(other);
    silent(&mut segment, 120, |segment, n| {
        for address in [one.1, other.1] {
            segment.ask(VICTIM, address);
            segment.reply((one.0, address), VICTIM);
            segment.reply((other.0, address), VICTIM);
        }
        if n % 3 == 0 {
            segment.ask((one.0, other.1), GATEWAY.1);
            segment.ask((other.0, one.1), GATEWAY.1);
            segment.packet(one.0, other.1, GATEWAY.0, [192, 0, 2, 1]);
        }
    });
}
