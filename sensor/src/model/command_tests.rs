use std::fs;
use std::path::{Path, PathBuf};

use super::command::{CommandError, export, import, info, promote, rollback};
use super::store::{CANDIDATE, LIVE, OLDER, REQUEST, read};
use super::tests::{fresh, trained};
use super::train::{Source, TrainError, report, train};
use super::*;
use crate::analysis::AnalysisConfig;
use crate::analysis::traffic::{Traffic, attacks};
use crate::capture::Tick;
use crate::journal::{JournalConfig, Limits, Sample, Writer};

fn config(folder: &Path) -> Config {
    Config { state_dir: folder.to_owned(), ..Config::default() }
}

fn generation(path: PathBuf) -> u64 {
    read(&path).unwrap().about().generation
}

/// A folder with a live model, and a snapshot of an earlier one.
fn folder() -> (tempfile::TempDir, Config, Store) {
    let folder = tempfile::tempdir().unwrap();
    let (config, store) = (config(folder.path()), Store::new(folder.path()));
    for analysis in [trained(1), trained(2)] {
        let learned = analysis.learned().unwrap();
        store.save(&learned.encode().unwrap()).unwrap();
        store.snapshot(&learned.about(), 10).unwrap();
    }
    (folder, config, store)
}

#[test]
fn there_and_back_without_a_sensor() {
    let (folder, config, store) = folder();
    let out = &mut Vec::new();
    let live = generation(store.path(LIVE));
    let earlier = generation(store.path(OLDER[0]));
    assert_ne!(live, earlier);
    rollback(&config, None, out).unwrap();
    assert_eq!((generation(store.path(LIVE)), generation(store.path(OLDER[0]))), (earlier, live));
    let newest = store.snapshots().unwrap().pop().unwrap();
    rollback(&config, Some(&newest.name), out).unwrap();
    assert!(matches!(rollback(&config, Some("../live"), out), Err(CommandError::NoSnapshot { .. })));

    let file = folder.path().join("elsewhere.safetensors");
    export(&config, &file, out).unwrap();
    assert!(matches!(promote(&config, None, out), Err(CommandError::Model(ModelError::Missing { .. }))));
    import(&config, &file, out).unwrap();
    assert!(store.path(CANDIDATE).exists());
    promote(&config, None, out).unwrap();
    promote(&config, Some(&file), out).unwrap();

    // What does not fit changes nothing.
    let before = fs::read(store.path(LIVE)).unwrap();
    let mut bytes = before.clone();
    bytes.truncate(bytes.len() / 3);
    fs::write(&file, &bytes).unwrap();
    assert!(promote(&config, Some(&file), out).is_err() && import(&config, &file, out).is_err());
    let mut other = config.clone();
    other.score.layers = [8, 4];
    assert!(promote(&other, None, out).is_err() && rollback(&other, None, out).is_err());
    assert_eq!(fs::read(store.path(LIVE)).unwrap(), before);
}

#[test]
fn a_running_sensor_is_asked() {
    let (folder, config, store) = folder();
    let lock = request::lock(folder.path()).unwrap();
    let out = &mut Vec::new();
    let before = fs::read(store.path(LIVE)).unwrap();
    rollback(&config, None, out).unwrap();
    let said = String::from_utf8(std::mem::take(out)).unwrap();
    assert!(said.contains(&format!("kill -HUP {}", std::process::id())), "{said}");
    assert!(store.path(REQUEST).exists() && fs::read(store.path(LIVE)).unwrap() == before);
    drop(lock);
}

#[test]
fn info_says_what_there_is() {
    let (_folder, config, store) = folder();
    fs::write(store.path(CANDIDATE), "nonsense").unwrap();
    let shown = |json| {
        let mut out = Vec::new();
        info(&config, 1_700_100_000_000_000_000, json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let text = shown(false);
    for part in [
        "no sensor runs",
        "live: ",
        "before: ",
        "active, ",
        "members volume",
        "2 snapshots",
        "CANNOT BE USED",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let object: serde_json::Value = serde_json::from_str(&shown(true)).unwrap();
    assert_eq!(object["models"][0]["state"], "active");
    assert_eq!(object["models"].as_array().unwrap().len(), 3);
    assert!(object["models"][2]["problem"].as_str().unwrap().contains("damaged"));
    assert_eq!(object["snapshots"].as_array().unwrap().len(), 2);
}

/// Two minutes of traffic, the last of them with attacks, into a live model and a journal.
fn with_journal() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut traffic = Traffic::new(7);
    traffic.ordinary(240.0);
    attacks(&mut traffic, 180.0, 10.0);
    let mut analysis = fresh();
    analysis.keep_journal(Sample::new(&JournalConfig { ordinary_rows: 60, ..config.journal.clone() }, 1));
    let path = folder.path().join(&config.journal.path);
    let mut writer = Writer::open(&path, Limits::of(&config.journal), &analysis.layout()).unwrap();
    for tick in traffic.ticks() {
        analysis.flows(&tick.deltas);
        let output = analysis.tick(&Tick { time: tick.time, ..Tick::default() }).unwrap();
        output.journal.iter().for_each(|window| writer.append(window).unwrap());
    }
    Store::new(folder.path()).save(&analysis.save().unwrap()).unwrap();
    (folder, config)
}

#[test]
fn a_candidate_from_the_journal_agrees_with_the_live_model_and_does_not_replace_it() {
    let (_folder, config) = with_journal();
    let store = Store::new(&config.state_dir);
    let before = fs::read(store.path(LIVE)).unwrap();
    let trained = train(&config, &Source::Journal).unwrap();
    let found = trained.comparison.clone().unwrap();
    println!("{found:?}");
    assert!(found.rows > 1000 && found.agreement > 0.97, "{found:?}");
    assert!(found.loss[1] < found.loss[0] * 1.5 && found.loss[1] > 0.0, "{found:?}");
    assert!(found.alerted > 0 && found.alerted_found[1] * 2 > found.alerted_found[0], "{found:?}");
    assert_eq!(fs::read(store.path(LIVE)).unwrap(), before);

    let mut out = Vec::new();
    report(&trained, false, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("further alerts a day"));
    promote(&config, None, &mut Vec::new()).unwrap();
    let mut analysis = fresh();
    store.take_up(&mut analysis);
    assert_eq!(analysis.state().name(), "active");
}

#[test]
fn nothing_to_learn_from_is_said() {
    let (_folder, config, _store) = folder();
    let error = train(&config, &Source::Journal).unwrap_err();
    assert!(matches!(error, TrainError::Journal(_)), "{error}");
    fs::create_dir(config.state_dir.join("journal")).unwrap();
    let error = train(&config, &Source::Journal).unwrap_err();
    assert!(matches!(error, TrainError::Empty { rows: 0 }), "{error}");
}

#[test]
fn a_shadow_of_the_same_model_agrees_about_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let store = Store::new(folder.path());
    store.save(&trained(1).save().unwrap()).unwrap();
    config.score.shadow = LIVE.into();
    config.score.active_steps = 0;
    let mut analysis = Analysis::new(&AnalysisConfig::from(&config)).unwrap();
    store.take_up(&mut analysis);
    run_shadow(&mut analysis, &config);
    let mut traffic = Traffic::new(2);
    traffic.ordinary(20.0);
    for tick in traffic.ticks() {
        analysis.flows(&tick.deltas);
        analysis.tick(&Tick { time: tick.time, ..Tick::default() }).unwrap();
    }
    let agreement = analysis.agreement().unwrap();
    assert!(agreement.rows > 100 && agreement.same_side == agreement.rows, "{agreement:?}");
    // The live one fits its tails anew from time to time.
    assert!(agreement.correlation() > 0.95 && agreement.difference().abs() < 0.1, "{agreement:?}");

    // None is no reason not to run.
    config.score.shadow = "missing.safetensors".into();
    let mut alone = fresh();
    run_shadow(&mut alone, &config);
    assert_eq!(alone.agreement(), None);
}
