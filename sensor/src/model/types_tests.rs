use super::*;
use crate::analysis::traffic::{Traffic, attacks};
use crate::analysis::{Analysis, AnalysisConfig, Keep};
use crate::capture::Tick;
use sensor_ebpf::parse::mapped;

/// The rows of made traffic, and labels of its attacks.
fn taught(seed: u64) -> (Vec<Exemplar>, Vec<Label>) {
    let mut traffic = Traffic::new(seed);
    traffic.ordinary(125.0);
    let made = attacks(&mut traffic, 42.0, 16.0);
    let mut analysis = Analysis::new(&AnalysisConfig::default()).unwrap();
    analysis.keep(Keep { exemplars: true, ..Keep::default() });
    let mut rows = Vec::new();
    for tick in &traffic.ticks() {
        analysis.flows(&tick.deltas);
        rows.extend(analysis.tick(&Tick { time: tick.time, ..Tick::default() }).unwrap().exemplars);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.csv");
    let mut text = "start,end,source,destination,port,type\n".to_owned();
    for attack in made {
        let start = attack.start as f64 / 1e9;
        let spoofed = attack.name.contains("spoofed");
        let address = |host: [u8; 4]| std::net::Ipv4Addr::from(host).to_string();
        let source = if spoofed { String::new() } else { address(attack.source) };
        let target = attack.target.map(address).unwrap_or_default();
        text += &format!("{start},{},{source},{target},,{:?}\n", start + 14.0, attack.kinds[0]);
    }
    std::fs::write(&path, text).unwrap();
    (rows, labels::read(&path).unwrap())
}

fn known(seeds: std::ops::Range<u64>) -> Vec<Known> {
    let mut all = Vec::new();
    for (number, seed) in seeds.enumerate() {
        let (rows, labels) = taught(seed);
        all.extend(rows.into_iter().filter_map(|row| knowledge(row, &labels, number, 4)));
    }
    all
}

#[test]
fn the_same_captures_give_the_same_bytes_and_what_was_learned_is_right_elsewhere() {
    let known = known(0..4);
    let head = learned(&known, "test");
    let bytes = head.encode().unwrap();
    assert_eq!(bytes, learned(&known, "test").encode().unwrap());
    assert_eq!(Head::decode(&bytes).unwrap().flow, head.flow);

    // Another seed's attacks: what rules name is judged as well, to have something to judge.
    let (rows, labels) = taught(9);
    let (mut right, mut all) = (0, 0);
    for row in rows.iter().filter(|row| row.unusual) {
        let Said::Attack(number) = labels::said(&labels, row) else { continue };
        let Some((kind, _)) = head.judge(row.kind, &row.inputs).best(0.5) else { continue };
        all += 1;
        right += usize::from(kind == labels[number].kind);
    }
    assert!(all > 50 && right * 10 >= all * 8, "{right} of {all}");
}

#[test]
fn a_file_that_cannot_be_used_leaves_what_this_program_comes_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let shipped = Head::shipped().unwrap();
    assert_eq!(chosen(folder.path()), Some(shipped.clone()));
    let mut own = shipped.clone();
    own.name = "own".to_owned();
    let bytes = own.encode().unwrap();
    model_file::write(&path, &bytes).unwrap();
    assert_eq!(chosen(folder.path()).unwrap().name, "own");
    let mut flipped = bytes.clone();
    let at = flipped.windows(12).position(|text| text == b"\"temperature").unwrap() - 8;
    flipped[at] ^= 1;
    for damaged in [&bytes[..bytes.len() / 2], &flipped, b"", b"{}", &vec![b' '; LARGEST + 1]] {
        std::fs::write(&path, damaged).unwrap();
        assert!(read(folder.path()).is_err());
        assert_eq!(chosen(folder.path()), Some(shipped.clone()));
    }
}

#[test]
fn captures_without_an_attack_that_shows_teach_nothing() {
    let row = Exemplar {
        kind: Kind::Host,
        time: 5_000_000_000,
        source: mapped([10, 0, 0, 1]),
        destination: None,
        port: 0,
        inputs: Vec::new(),
        unusual: false,
        named: false,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.csv");
    std::fs::write(&path, "start,end,source,destination,port,type\n1,9,10.0.0.1,,,DoS\n").unwrap();
    let labels = labels::read(&path).unwrap();
    assert!(knowledge(row, &labels, 0, 1).is_none());
}
