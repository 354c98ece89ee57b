//! A part of a day without an attack, then one: how many alarms there are is part of every test run, not only of an
//! evaluation.

use std::time::Duration;

use sensor::analyze::{AnalyzeOptions, analyze};
use sensor::config::Config;

use super::attack::{Kind, Strength, attack};
use super::{calm_wire, finish, inside};
use crate::eval::capture::nanoseconds;
use crate::eval::outcome::Alarm;
use crate::eval::vesper;

const HOUR: f64 = 3600.0;
const LEARN: f64 = 3.0 * HOUR;
const CALIBRATE: f64 = HOUR;
const ALL: f64 = 10.5 * HOUR;
/// Part of the end of it.
const LATE: f64 = 3.0 * HOUR;

/// The budget is one alarm an hour of a day. A morning that is busier than the hours of the warm-up shows more, from which the
/// tails have to learn: in the last hours it is kept. Where they learned too little of it, there were 181 alarms a day.
#[test]
fn hours_without_an_attack_come_to_keep_the_budget_and_the_scan_after_them_is_told() {
    let folder = std::env::temp_dir().join(format!("vesper-calm-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Who joins, and what is new, comes after what is judged.
    let mut wire = calm_wire(1, ALL, [ALL - 200.0, ALL - 100.0]);
    let scan = Strength { name: "at the end", tries: 100, gap: 3.0 };
    let event = attack(&mut wire, Kind::PortScan, scan, ALL - 400.0, inside(0, 19));
    let case = finish("calm-test", "seed1".to_owned(), wire, &folder).unwrap().warmup(LEARN, CALIBRATE);

    let mut config = Config::default();
    config.score.warmup_rows = 50;
    config.score.calibration_rows = 50;
    config.score.warmup_time = Duration::from_secs_f64(LEARN);
    config.score.calibration_time = Duration::from_secs_f64(CALIBRATE);
    let alerts = folder.join("alerts.jsonl");
    let files = vec![case.path.clone()];
    let options = AnalyzeOptions { files, alerts: Some(alerts.clone()), json: true, ..Default::default() };
    analyze(&options, &config).unwrap();
    let alarms = vesper::read_alerts(&alerts).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();

    let calm: Vec<_> = alarms.iter().filter(|alarm| alarm.time < event.start).collect();
    let late = calm.iter().filter(|alarm| alarm.time > event.start - nanoseconds(LATE)).count();
    println!("{} alarms, {late} of them in the last three hours", calm.len());
    assert!(
        calm.len() <= 26 && late <= 6,
        "{} alarms, {late} in the last three hours: {calm:#?}",
        calm.len()
    );
    assert!(calm.iter().all(|alarm| alarm.time >= case.ready()), "nothing before it is active");
    let scans =
        |alarm: &&Alarm| alarm.kind == "PortScan" && alarm.hosts.iter().any(|host| host == "10.20.0.19");
    assert!(alarms.iter().find(scans).is_some(), "the scan is not told: {alarms:#?}");
}
