//! `cargo xtask eval`: how well the sensor detects, by a protocol that leaves nothing to choose afterwards.
//!
//! Time order only. What is learned, and every threshold, comes from a prefix of the capture, for a budget of alarms
//! stated before the run; what follows can only confirm or refute it. The sensor runs as a user would run it. The
//! rules that anybody could write are judged beside it on the same input: see `docs/evaluation.md`.

mod baseline;
mod capture;
mod case;
mod docs;
pub mod lab;
mod outcome;
mod rate;
mod report;
mod result;
mod sets;
mod vesper;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::step::announced;
use crate::{bench, interrupt, misused, program, setup};
use case::Case;
use outcome::{Outcome, Trial};
use result::Run;
use sets::{SETS, Set};

const SENSOR: &str = "Vesper";
/// Members of its ensemble, as `score.without` names them.
const MEMBERS: [&str; 6] = ["volume", "connection", "content", "evidence", "rarity", "history"];

/// What the command line says.
#[derive(Debug)]
struct Options {
    data: PathBuf,
    only: Vec<String>,
    seeds: u64,
    sensor: Option<PathBuf>,
    baselines: bool,
    ablation: bool,
    budget: Option<f64>,
    write_docs: bool,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Options> {
        let data = program::root().join("../shared/data");
        let mut options = Options {
            data,
            only: Vec::new(),
            seeds: 5,
            sensor: None,
            baselines: true,
            ablation: false,
            budget: None,
            write_docs: false,
        };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or_else(|| misused("eval", args));
            match *word {
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--seeds" => {
                    options.seeds = value()?.parse().map_err(|_not_a_number| misused("eval", args))?
                }
                "--sensor" => options.sensor = Some(PathBuf::from(value()?)),
                "--vesper" => options.baselines = false,
                "--budget" => {
                    options.budget = Some(value()?.parse().map_err(|_not_a_number| misused("eval", args))?)
                }
                "--ablation" => options.ablation = true,
                "--write-docs" => options.write_docs = true,
                word if word.starts_with('-') => return Err(misused("eval", args)),
                word => options.data = PathBuf::from(word),
            }
        }
        let known = |only: &String| SETS.iter().any(|set| set.name == only);
        if options.seeds == 0 || !options.only.iter().all(known) {
            return Err(misused("eval", args));
        }
        Ok(options)
    }
}

/// `cargo xtask eval ...`.
pub fn command(args: &[&str]) -> Result<()> {
    interrupt::catch()?;
    let mut options = Options::parse(args)?;
    options.baselines = options.baselines && !options.ablation && setup::for_eval();
    let sensor = match &options.sensor {
        Some(path) => path.canonicalize().with_context(|| format!("find {}", path.display()))?,
        None => bench::sensor()?,
    };
    let folder = program::root().join("target/eval");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let mut runs = Vec::new();
    for set in SETS.iter().filter(|set| options.only.is_empty() || options.only.iter().any(|o| o == set.name))
    {
        let there = set.folder.is_none_or(|below| options.data.join(below).is_dir());
        if !there {
            println!("\n== {}: NOT RUN: no such captures in {}", set.name, options.data.display());
            continue;
        }
        println!("\n== {}", set.name);
        let before = runs.len();
        measure(set, &options, &sensor, &folder, &mut runs)?;
        let kind = if options.ablation { "ablation-" } else { "" };
        publish(&format!("{kind}{}", set.name), &runs[before..], &folder)?;
        println!("{}", report::markdown(&runs[before..]));
    }
    println!("\n{}", report::legend());
    if options.write_docs {
        let text = report::legend() + &report::markdown(&runs);
        docs::write(if options.ablation { "ablation" } else { "tables" }, &text)?;
    }
    Ok(())
}

fn measure(set: &Set, options: &Options, sensor: &Path, folder: &Path, runs: &mut Vec<Run>) -> Result<()> {
    let mut cases = Vec::new();
    for seed in 1..=options.seeds.min(set.most_seeds) {
        if cases.is_empty() || set.traffic_per_seed {
            cases =
                announced(&format!("{}: captures", set.name), || (set.cases)(&options.data, folder, seed))?;
        }
        for case in &cases {
            one_case(set, case, seed, options, sensor, folder, runs)?;
        }
    }
    Ok(())
}

/// Every detector on one capture, at every budget.
fn one_case(
    set: &Set,
    case: &Case,
    seed: u64,
    options: &Options,
    sensor: &Path,
    folder: &Path,
    runs: &mut Vec<Run>,
) -> Result<()> {
    let mut keep = |detector: &str, budget: f64, how: String, outcome: Outcome| {
        let own_traffic = set.traffic_per_seed;
        let (set, case, detector) = (case.set.to_owned(), case.name.clone(), detector.to_owned());
        runs.push(Run { set, case, detector, budget, seed, own_traffic, how, outcome });
    };
    let members = MEMBERS.iter().copied().map(Some).filter(|_| options.ablation);
    for without in std::iter::once(None).chain(members) {
        // What a member is worth is shown at one budget.
        let budgets = if options.ablation { &set.budgets[..1] } else { set.budgets };
        for &budget in budgets.iter().filter(|&&budget| options.budget.is_none_or(|only| only == budget)) {
            let name = without.map_or_else(|| SENSOR.to_owned(), |member| format!("without {member}"));
            let what = format!("{} {}, seed {seed}, {}, {name}", case.set, case.name, report::budget(budget));
            let settings = vesper::Settings { budget, seed, without, rows: options.baselines };
            let said = announced(&what, || vesper::run(sensor, case, &settings, folder))?;
            keep(&name, budget, String::new(), judge(case, &said));
            if interrupt::asked() {
                bail!("interrupted");
            }
        }
    }
    if options.baselines {
        let what = format!("{} {}, seed {seed}, baselines", case.set, case.name);
        let rows = vesper::rows_of(case, folder);
        let all = announced(&what, || baseline::run(case, &rows, set.budgets, seed, folder))?;
        for said in all {
            let by_bin = Outcome::of(&trial(case), &said.alarms, &said.marked);
            keep(&said.detector, said.budget, said.how.clone(), by_bin);
            // As if it folded what it says, as the sensor does: only what is new counts, in events and elsewhere.
            let folded: Vec<_> = said.alarms.into_iter().filter(|alarm| alarm.fresh).collect();
            let outcome = Outcome::of(&trial(case), &folded, &said.marked);
            keep(&format!("{}{}", said.detector, report::FOLDED), said.budget, said.how, outcome);
        }
    }
    Ok(())
}

/// What the sensor says counts from the end of the warm-up that was stated; later it may not be.
fn judge(case: &Case, said: &vesper::Said) -> Outcome {
    match said.active {
        Some(active) if active > case.ready() + 120 * 1_000_000_000 => {
            println!(
                "  note: active only {} s after the stated warm-up",
                (active - case.ready()) / 1_000_000_000
            );
        }
        None => println!("  note: never active"),
        Some(_) => {}
    }
    Outcome::of(&trial(case), &said.alarms, &said.marked)
}

fn trial(case: &Case) -> Trial<'_> {
    Trial { from: case.ready(), busy: &case.busy, events: &case.events }
}

/// Every run of a set in one file.
fn publish(name: &str, runs: &[Run], folder: &Path) -> Result<()> {
    let path = folder.join(format!("{name}.json"));
    let all = json!({ "set": name, "runs": runs.iter().map(Run::json).collect::<Vec<_>>() });
    let text = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_nonsense_is_refused() {
        let options = Options::parse(&["data", "--only", "dnp3", "--seeds", "2"]).unwrap();
        assert_eq!((options.data, options.seeds), (PathBuf::from("data"), 2));
        for wrong in [&["--seeds"][..], &["--seeds", "0"], &["--only", "nosuch"], &["--fast"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
