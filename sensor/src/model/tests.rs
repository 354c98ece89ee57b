use std::fs;
use std::path::Path;

use super::store::{CANDIDATE, LIVE, OLDER, REQUEST, read};
use super::*;
use crate::analysis::{Analysis, AnalysisConfig, Learned};
use crate::capture::Tick;
use crate::score::ScoreConfig;
use std::time::Duration;

/// An analysis that has seen a minute of traffic.
pub(super) fn trained(seed: u64) -> Analysis {
    let mut traffic = crate::analysis::traffic::Traffic::new(seed);
    traffic.ordinary(45.0);
    let mut analysis = fresh();
    for tick in traffic.ticks() {
        analysis.flows(&tick.deltas);
        analysis.tick(&Tick { time: tick.time, ..Tick::default() }).unwrap();
    }
    assert_eq!(analysis.state().name(), "active");
    analysis
}

pub(super) fn fresh() -> Analysis {
    Analysis::new(&AnalysisConfig::default()).unwrap()
}

fn state(folder: &Path) -> &'static str {
    let mut analysis = fresh();
    Store::new(folder).take_up(&mut analysis);
    analysis.state().name()
}

#[test]
fn three_generations_are_kept_and_a_damaged_one_does_not_push_them_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    assert!(matches!(store.take_up(&mut fresh()), TakenUp::Nothing));
    let good = trained(1).save().unwrap();
    for _ in 0..4 {
        store.save(&good).unwrap();
    }
    let files = || fs::read_dir(folder.path()).unwrap().count();
    assert_eq!((files(), state(folder.path())), (3, "active"));

    // The newest two are damaged: the third is taken, the others are set aside.
    for name in [LIVE, OLDER[0]] {
        fs::write(store.path(name), &good[..good.len() / 2]).unwrap();
    }
    let mut analysis = fresh();
    let TakenUp::From(path) = store.take_up(&mut analysis) else { panic!("nothing was taken up") };
    assert_eq!((path, analysis.state().name()), (store.path(OLDER[1]), "active"));
    assert!(!store.path(LIVE).exists() && files() == 2);
    store.save(&good).unwrap();
    assert_eq!(state(folder.path()), "active");

    // A crash between the renames leaves no newest one.
    fs::remove_file(store.path(LIVE)).unwrap();
    assert_eq!(state(folder.path()), "active");

    for name in [LIVE, OLDER[0], OLDER[1]] {
        fs::write(store.path(name), b"").unwrap();
    }
    assert!(matches!(store.take_up(&mut analysis), TakenUp::Cold));
}

#[test]
fn other_settings_refuse_a_model_and_leave_it_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    store.save(&trained(1).save().unwrap()).unwrap();
    let score = ScoreConfig { layers: [8, 4], ..ScoreConfig::default() };
    let mut other = Analysis::new(&AnalysisConfig { score, ..AnalysisConfig::default() }).unwrap();
    assert!(matches!(store.take_up(&mut other), TakenUp::Cold));
    assert_eq!((other.state().name(), state(folder.path())), ("warming", "active"));
}

#[test]
fn snapshots_are_bounded_and_some_are_old() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    store.save(&trained(1).save().unwrap()).unwrap();
    let mut about = read(&store.path(LIVE)).unwrap().about();
    // Every hour of ten days.
    for hour in 0..240u64 {
        about.saved_at = (1_700_000_000 + hour * 3600) * 1_000_000_000;
        about.generation = hour;
        store.snapshot(&about, 10).unwrap();
    }
    let names: Vec<String> = store.snapshots().unwrap().into_iter().map(|snapshot| snapshot.name).collect();
    assert_eq!(names.len(), 10);
    assert_eq!(names[9], "20231124T211320Z-g239");
    assert_eq!(names[5], "20231124T171320Z-g235", "{names:?}");
    let days: std::collections::BTreeSet<&str> = names.iter().map(|name| &name[..8]).collect();
    assert!(days.len() >= 5, "{names:?}");
    // They live on when the model has gone.
    store.save(&trained(2).save().unwrap()).unwrap();
    let oldest = &store.snapshots().unwrap()[0];
    assert!(read(&store.snapshot_path(oldest)).is_ok());
    // Other files are not counted among them.
    fs::write(folder.path().join("snapshots/readme.safetensors"), "").unwrap();
    assert_eq!(store.snapshots().unwrap().len(), 10);
}

fn keeper(folder: &Path) -> Keeper {
    let config = ScoreConfig { snapshot_every: Duration::from_secs(60), ..ScoreConfig::default() };
    Keeper::start(folder, &config).unwrap()
}

#[test]
fn a_running_sensor_saves_when_it_becomes_active_every_hour_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = keeper(folder.path());
    let second = 1_000_000_000;
    let (mut young, mut grown) = (fresh(), trained(3));
    keeper.tend(&mut young, second);
    keeper.tend(&mut young, 2 * second);
    let wait = |keeper: &Keeper, saved: u64| {
        for _ in 0..2000 {
            if keeper.status().saved == saved {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{:?}", keeper.status());
    };
    wait(&keeper, 0);
    keeper.tend(&mut grown, 3 * second);
    wait(&keeper, 1);
    keeper.tend(&mut grown, 62 * second);
    wait(&keeper, 1);
    keeper.tend(&mut grown, 63 * second);
    wait(&keeper, 2);
    let status = keeper.stop(&grown, Duration::from_secs(20));
    assert_eq!((status.saved, status.failed, status.skipped, status.failing.as_str()), (3, 0, 0, ""));
    assert_eq!((status.snapshots, state(folder.path())), (1, "active"));
}

#[test]
fn a_disk_that_fails_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let status = keeper(&missing).stop(&fresh(), Duration::from_secs(20));
    assert_eq!((status.saved, status.failed), (0, 1));
    assert!(!status.failing.is_empty());
}

#[test]
fn another_model_is_taken_up_while_the_sensor_runs() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let mut keeper = keeper(folder.path());
    let mut running = fresh();
    keeper.tend(&mut running, 1);
    assert!(!keeper.mailbox.look(folder.path()).unwrap());

    // What is no model is refused at once, and asked for once.
    fs::write(store.path(REQUEST), "nonsense").unwrap();
    assert!(keeper.mailbox.look(folder.path()).is_err());
    assert!(!keeper.mailbox.look(folder.path()).unwrap());

    fs::write(store.path(REQUEST), trained(4).save().unwrap()).unwrap();
    assert!(keeper.mailbox.look(folder.path()).unwrap() && !store.path(REQUEST).exists());
    keeper.tend(&mut running, 2);
    assert_eq!(running.state().name(), "active");

    // One that does not fit changes nothing.
    let score = ScoreConfig { layers: [8, 4], ..ScoreConfig::default() };
    let other = Analysis::new(&AnalysisConfig { score, ..AnalysisConfig::default() }).unwrap();
    fs::write(store.path(REQUEST), other.save().unwrap()).unwrap();
    assert!(keeper.mailbox.look(folder.path()).unwrap());
    keeper.tend(&mut running, 3);
    assert_eq!(running.state().name(), "active");
    let status = keeper.stop(&running, Duration::from_secs(20));
    assert_eq!((status.promoted, status.refused), (1, 1));
}

#[test]
fn a_state_folder_has_one_sensor() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(request::running(folder.path()), None);
    let lock = request::lock(folder.path()).unwrap();
    assert!(lock.is_some());
    assert!(request::lock(folder.path()).unwrap().is_none());
    assert_eq!(request::running(folder.path()), Some(std::process::id().to_string()));
    drop(lock);
    assert_eq!(request::running(folder.path()), None);
    assert!(!Store::new(folder.path()).path(CANDIDATE).exists());
}

#[test]
fn alerts_are_numbered_on_whatever_model_is_taken_up() {
    let (older, newer) = (trained(1).learned().unwrap(), trained(5));
    let mut with = older.clone();
    with.number_on(&newer.learned().unwrap());
    let bytes = with.encode().unwrap();
    assert_eq!(Learned::decode(&bytes).unwrap().encode().unwrap(), bytes, "the same bytes every time");
    let mut analysis = newer;
    analysis.take_up(older).unwrap();
    assert!(analysis.save().is_ok());
}
