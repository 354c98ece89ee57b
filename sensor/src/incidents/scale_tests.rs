//! Many incidents, and files of them.

use std::io::Cursor;
use std::time::{Duration, Instant};

use clap::Parser;

use super::command::run;
use super::import::{self, Format};
use super::tests::{NOW, Place, alert, looks, place};
use super::*;
use crate::alert::ThreatType;
use crate::cli::{Cli, Command};
use crate::config::Config;

/// Adds so many incidents of all kinds and looks, with words of their own.
fn fill(place: &Place, many: usize) {
    let max = many as u64 + 1000;
    place
        .store
        .write(move |tx| {
            for number in 0..many {
                let kind =
                    [ThreatType::DoS, ThreatType::PortScan, ThreatType::Bot, ThreatType::Anomaly][number % 4];
                let at = [number % 61, number / 61 % 61, number / 7 % 61];
                let written = Written {
                    threat_type: record::name(kind).to_owned(),
                    symptom: format!("host h{number} did what nobody expected in room r{}", number % 100),
                    action: format!("moved it to network n{}", number % 1000),
                    port: Some((number % 60_000) as u16 + 1),
                    ..Written::default()
                };
                let mut draft = Draft::new(written, Origin::Imported).unwrap();
                draft.fingerprint = Some(looks(kind, &at, number as f32));
                add(tx, &draft, NOW, max)?;
            }
            Ok(())
        })
        .unwrap();
    place.index.refresh(&place.store).unwrap();
}

fn median(mut runs: Vec<Duration>) -> Duration {
    runs.sort();
    runs[runs.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "the time is what is measured")]
fn timed(mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    };
    median((0..9).map(once).collect())
}

/// By likeness, by a rare word, by common and rare words, by words that all hold, by words and likeness, and a
/// recommendation.
fn times(place: &Place) -> [Duration; 6] {
    let (asked, print) = (alert("A", ThreatType::Bot, 443), looks(ThreatType::Bot, &[3, 9], 1.0));
    let likeness = Likeness::new(&asked, &print);
    let read = |words: &str, likeness: Option<&Likeness>| {
        let found =
            place.store.read(|connection| find(connection, &place.index, words, likeness, 20)).unwrap();
        assert_eq!(found.is_empty(), words == "nothing");
    };
    let times = [
        timed(|| read("", Some(&likeness))),
        timed(|| read("h77", None)),
        timed(|| read("expected room r7", None)),
        timed(|| read("what did nobody expect in the room and moved to the network of host", None)),
        timed(|| read("r7 n77", Some(&likeness))),
        timed(|| assert!(place.index.recommend(&asked, &print).is_some())),
    ];
    println!("likeness, rare word, common and rare words, all hold, both, recommendation: {times:.1?}");
    times
}

#[test]
fn likeness_finds_the_same_among_thousands() {
    let place = place(true);
    fill(&place, 3000);
    for number in [0, 1234, 2999] {
        let kind = [ThreatType::DoS, ThreatType::PortScan, ThreatType::Bot, ThreatType::Anomaly][number % 4];
        let print = looks(kind, &[number % 61, number / 61 % 61, number / 7 % 61], number as f32);
        let port = (number % 60_000) as u16 + 1;
        let similar = place.index.similar(&Likeness::new(&alert("A", kind, port), &print), 3);
        assert_eq!(similar[0].similarity, 1.0);
        let found = place.store.read(|connection| get(connection, &similar[0].id)).unwrap().unwrap();
        assert_eq!(
            found.symptom,
            format!("host h{number} did what nobody expected in room r{}", number % 100)
        );
        assert!(similar.is_sorted_by(|a, b| a.similarity >= b.similarity));
    }
    times(&place);
}

#[test]
#[ignore = "makes 100,000 incidents; needs VESPER_LONG=1"]
fn a_hundred_thousand_are_searched_in_fifty_milliseconds() {
    if std::env::var_os("VESPER_LONG").is_none() {
        return;
    }
    let place = place(true);
    fill(&place, 100_000);
    // Without optimisation our own loops are many times slower; SQLite's are not.
    let slower = if cfg!(debug_assertions) { 20 } else { 1 };
    for time in times(&place) {
        assert!(time <= Duration::from_millis(50) * slower, "{time:?}");
    }
}

#[test]
fn bad_files_are_told_by_line_and_change_nothing() {
    for (format, text, problems) in [
        (
            Format::Lines,
            "{\"symptom\":\"s\",\"action\":\"a\"}\n\n{\"symptom\":\"s\"}\n{\"symptom\"\n",
            vec!["line 3: action is empty", "line 4: EOF while parsing"],
        ),
        (
            Format::Json,
            "[\n{\"symptom\":\"s\",\"action\":\"a\"},\n{\"symptoms\":1}]",
            vec!["line 3: unknown field `symptoms`"],
        ),
        (
            Format::Json,
            "[{\"symptom\":\"s\",\"action\":\"a\"},{\"symptom\":\"s\",\"action\":\"\"}]",
            vec!["incident 2: action is empty"],
        ),
        (Format::Json, "[]", vec!["line 1: there is no incident in it"]),
        (Format::Lines, "", vec!["line 1: there is no incident in it"]),
        (Format::Csv, "symptom,action\ns,a\ns\n", vec!["line 3:"]),
        (
            Format::Csv,
            "symptom,action,port\ns,a,22\ns,a,99999\ns,a,ssh\n",
            vec!["line 3: invalid value: integer `99999`", "line 4: port: \"ssh\" is no whole number"],
        ),
        (
            Format::Csv,
            "symptom,action,host.port\ns,a,1\n",
            vec!["line 2: features: there is no feature \"host.port\"; did you mean host.ports?"],
        ),
        (
            Format::Csv,
            "symptom,action,severity,created_at\ns,a,bad,\ns,a,high,yesterday\n",
            vec!["line 2: unknown variant `bad`", "line 3: created_at \"yesterday\" is no time"],
        ),
    ] {
        let found = import::parse(text.as_bytes(), format, Origin::Imported).unwrap_err();
        assert_eq!(found.len(), problems.len(), "{found:?}");
        for (found, expected) in found.iter().zip(problems) {
            assert!(found.starts_with(expected), "{found} / {expected}");
        }
    }
    let found = import::parse(b"{}\n\xff\n", Format::Lines, Origin::Imported).unwrap_err();
    assert!(found[0].starts_with("line 2: not UTF-8"), "{found:?}");
    let long = format!("{{\"symptom\":\"s\",\"action\":\"{}\"}}", "x".repeat(4001));
    let found = import::parse(long.as_bytes(), Format::Lines, Origin::Imported).unwrap_err();
    assert_eq!(found, ["line 1: action has 4001 characters: at most 4000"]);
}

#[test]
fn the_command_adds_finds_and_imports_beside_a_running_sensor() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { state_dir: folder.path().to_owned(), ..Config::default() };
    let (store, _) = crate::store::Store::open(&config.store, &config.state_dir).unwrap();
    let index = Index::open(&store, &config.incidents, NOW).unwrap();
    let vesper = |line: &str, input: &str| {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Incidents(arguments) = cli.command else { panic!("{line}") };
        let mut out = Vec::new();
        run(&config, &arguments, NOW, &mut Cursor::new(input.as_bytes().to_vec()), &mut out)
            .map(|()| String::from_utf8(out).unwrap())
            .map_err(|error| error.to_string())
    };
    let added =
        vesper("vesper incidents add --symptom lamps-flicker --action new-bulbs --type DoS --port 4433", "")
            .unwrap();
    assert!(added.starts_with("added INC-2026-0"), "{added}");
    let json = r#"{"symptom":"the roof leaks","action":"called the roofer","features":{"host.ports":3}}"#;
    let added = vesper("vesper incidents add --json", json).unwrap();
    assert!(added.contains("\"origin\":\"user\"") && added.contains("the roof leaks"), "{added}");
    assert!(vesper("vesper incidents add", "{\"symptom\":\"s\"}").unwrap_err().contains("action is empty"));
    assert!(vesper("vesper incidents add", "").unwrap_err().contains("standard input: line 1"));
    let found = vesper("vesper incidents search roofs leaking", "").unwrap();
    assert!(found.lines().next().unwrap().ends_with("Anomaly: the roof leaks"), "{found}");
    assert!(vesper("vesper incidents list --limit 3 --json", "").unwrap().lines().count() == 3);
    // The sensor that runs takes it up.
    assert!(index.refresh(&store).unwrap());
    let named = index.recommend(&alert("A", ThreatType::DoS, 4433), &[]).unwrap();
    assert_eq!(named.action, "new-bulbs");

    let path = folder.path().join("f.csv");
    let import = format!("vesper incidents import {}", path.display());
    let hostile = "symptom,action,id,worked\n\u{1b}[2J=cmd(),\"a, \"\"b\"\"\nc\",INC-2025-001,3\n";
    std::fs::write(&path, hostile).unwrap();
    assert_eq!(vesper(&import, "").unwrap(), "1 added, 0 were there already\n");
    assert_eq!(vesper(&import, "").unwrap(), "0 added, 1 were there already\n");
    let listed = vesper("vesper incidents list --limit 1", "").unwrap();
    assert!(listed.starts_with("INC-2025-001") && !listed.contains('\u{1b}'), "{listed:?}");
    assert!(listed.contains("a, \"b\" c") && listed.contains("worked 3 times"), "{listed}");
    std::fs::write(&path, "symptom,action\ns,a\n,a\n").unwrap();
    let before = store.read(count).unwrap();
    let refused = vesper(&import, "").unwrap_err();
    assert!(
        refused.contains("nothing was imported") && refused.contains("line 3: symptom is empty"),
        "{refused}"
    );
    assert_eq!(store.read(count).unwrap(), before);
    assert!(vesper("vesper incidents import f.txt", "").unwrap_err().contains(".json, .jsonl, .csv"));
    assert!(vesper("vesper incidents import nowhere.csv", "").unwrap_err().contains("No such file"));
}
