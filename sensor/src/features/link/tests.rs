//! Link rows from frames made by hand.

use super::traffic::{EVERYBODY, Segment, lan, mac};
use super::*;
use crate::score::random::Random;

const GOOSE: u16 = 0x88b8;

fn row(rows: &[LinkFacts], mac: Mac) -> &LinkFacts {
    rows.iter().find(|facts| facts.mac == mac).unwrap()
}

#[test]
fn a_mac_address_has_a_row_for_what_is_not_ip() {
    let mut segment = Segment::new();
    let group = Mac([1, 0x0c, 0xcd, 1, 0, 1]);
    for _ in 0..10 {
        assert!(segment.frame(mac(1), group, GOOSE, &[0; 100], 4));
    }
    assert!(segment.frame(mac(2), group, 38, &[0x42, 0x42, 3, 0], 1), "spanning tree");
    segment.packet(mac(3), lan(3), mac(1), lan(1));
    assert!(!segment.frame(mac(4), group, GOOSE, &[], 0) || segment.links.tables().macs == 3);
    let rows = segment.close();
    let macs: Vec<Mac> = rows.iter().map(|facts| facts.mac).collect();
    assert_eq!(macs, [mac(1), mac(2), mac(4)]);
    let facts = row(&rows, mac(1));
    assert_eq!((facts.frames, facts.bytes, facts.streams), (40, 40 * 114, 1), "weights count");
    assert_eq!(facts.kind, Some(0x88b8));
    assert_eq!(rows[1].kind, Some(wire::LLC | 0x4242));
    for (value, feature) in facts.values().iter().zip(&crate::features::spec::LINK) {
        assert!((0.0..=feature.high).contains(value), "{} {value}", feature.name);
    }
    assert!(segment.close().is_empty());
}

#[test]
fn a_stream_whose_rate_or_size_changes_shows_and_a_new_one() {
    let mut segment = Segment::new();
    let mut send = |frames: usize, len: usize, kind: u16| {
        for _ in 0..frames {
            segment.frame(mac(1), EVERYBODY, kind, &vec![0; len], 1);
        }
        segment.now += SECOND;
        segment.close().remove(0)
    };
    for second in 0..200 {
        let facts = send(5, 100, GOOSE);
        assert!(
            facts.surge < 1.2 && facts.size_change < 0.01 && facts.new_stream < 1.0,
            "{second} {facts:?}"
        );
    }
    let faster = send(100, 100, GOOSE);
    assert!(faster.surge > 15.0 && faster.rates[0] > faster.rates[2], "{faster:?}");
    let larger = send(5, 300, GOOSE);
    assert!(larger.size_change > 1.0, "{larger:?}");
    let another = send(1, 100, 0x9999);
    assert!(another.new_stream > 4.0 && another.new_mac == 0.0, "{another:?}");
    assert_eq!(send(1, 100, 0x9999).new_stream, 0.0, "told once");
}

#[test]
fn replies_are_told_from_those_nobody_asked_for() {
    let mut segment = Segment::new();
    let (one, other) = ((mac(1), lan(1)), (mac(2), lan(2)));
    segment.meet(one, other);
    let rows = segment.close();
    let (asker, answerer) = (row(&rows, mac(1)), row(&rows, mac(2)));
    assert_eq!((asker.requests, answerer.replies, answerer.unasked), (1, 1, 0));
    assert!(asker.targets > 0.9 && asker.missing < 0.1, "he was answered");
    assert_eq!(answerer.address, Some(mapped(lan(2))));
    segment.quiet(10);
    segment.reply(other, one);
    segment.announce(one);
    let rows = segment.close();
    assert_eq!((row(&rows, mac(2)).unasked, row(&rows, mac(1)).announcements), (1, 1));
    assert!(rows.iter().all(|facts| facts.contests.is_empty()));
    // The frame's sender speaks of another.
    segment.arp((mac(3), EVERYBODY), 2, other, one);
    let rows = segment.close();
    assert_eq!((row(&rows, mac(3)).mismatched, row(&rows, mac(3)).address), (1, None));
}

#[test]
fn an_address_has_another_owner_in_another_vlan() {
    let mut segment = Segment::new();
    for vlan in [None, Some(1), Some(2)] {
        segment.vlan = vlan;
        segment.announce((mac(vlan.unwrap_or(9) as u8), lan(1)));
    }
    assert!(segment.close().iter().all(|facts| facts.contests.is_empty()));
}

#[test]
fn tables_stay_bounded_under_a_million_invented_addresses() {
    let config = FeaturesConfig { max_macs: 1000, ..FeaturesConfig::default() };
    let mut segment = Segment::new();
    segment.links = Links::new(&config);
    let mut random = Random::new(1);
    for _ in 0..10 {
        for _ in 0..100_000 {
            let [a, b, c, d, e, f, g, _] = random.bits().to_be_bytes();
            let source = Mac([a & 0xfe, b, c, d, e, f]);
            match g & 3 {
                0 => segment.announce((source, [a, b, c, d])),
                1 => segment.ask((source, [a, b, c, d]), [e, f, g, a]),
                2 => segment.packet(source, [a, b, c, d], mac(1), lan(1)),
                _ => assert!(segment.frame(source, EVERYBODY, GOOSE, &[], 1)),
            }
        }
        segment.now += SECOND;
        let rows = segment.close();
        assert!(rows.len() <= 1000);
    }
    let tables = segment.links.tables();
    println!("{tables:?}");
    assert!(tables.macs <= 1000 && tables.streams <= 4000 && tables.owners <= 4000, "{tables:?}");
    assert!(tables.overflow > 100_000);
    // What came in passing goes again.
    segment.quiet(700);
    assert_eq!(segment.links.tables().macs, 0);
}

#[test]
fn what_was_familiar_is_so_after_a_restart() {
    let mut segment = Segment::new();
    let mut second = |links: Option<Links>, kind: u16| {
        if let Some(links) = links {
            segment.links = links;
        }
        segment.frame(mac(1), EVERYBODY, kind, &[0; 50], 1);
        segment.now += SECOND;
        let facts = segment.close().remove(0);
        (facts.new_mac, facts.new_stream, segment.links.saved(), segment.now)
    };
    (0..5).for_each(|_| drop(second(None, GOOSE)));
    let (.., saved, now) = second(None, GOOSE);
    let mut links = Links::new(&FeaturesConfig::default());
    links.restore(saved.clone(), now);
    assert_eq!(links.saved(), saved);
    let (new_mac, new_stream, ..) = second(Some(links), GOOSE);
    assert_eq!((new_mac, new_stream), (0.0, 0.0));
    let (new_mac, new_stream, ..) = second(None, 0x9999);
    assert!(new_mac == 0.0 && new_stream > 1.0);
}
