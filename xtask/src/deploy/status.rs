//! `cargo xtask deploy --status`: how the sensors on all machines are, asked at once, a block each.

use std::thread;

use anyhow::Result;

use super::options::Options;
use super::probe::Facts;
use super::remote::Remote;
use super::sensor::Sensor;
use crate::Reported;

/// Asks all; an error when one is not ready.
pub fn show(options: &Options) -> Result<()> {
    let answers: Vec<(String, Result<(bool, String)>)> = thread::scope(|scope| {
        let asked: Vec<_> = options
            .hosts
            .iter()
            .enumerate()
            .map(|(number, name)| (name, scope.spawn(move || one(name, options, number))))
            .collect();
        let answer = |panicked| Err(anyhow::anyhow!("asking it went wrong: {panicked:?}"));
        asked.into_iter().map(|(name, thread)| (name.clone(), thread.join().unwrap_or_else(answer))).collect()
    });
    let mut ready = 0;
    for (name, answer) in &answers {
        match answer {
            Ok((is_ready, text)) => {
                ready += usize::from(*is_ready);
                println!("{name}\n  {}", text.replace('\n', "\n  "));
            }
            Err(error) => println!("{name}\n  NOT KNOWN: {error:#}"),
        }
    }
    println!("\n{ready} of {} ready", answers.len());
    if ready == answers.len() { Ok(()) } else { Err(Reported.into()) }
}

/// Whether it is ready, and what is shown.
fn one(name: &str, options: &Options, number: usize) -> Result<(bool, String)> {
    let mut remote = Remote::new(name, options, number)?;
    let facts = Facts::ask(&mut remote)?;
    facts.administrable()?;
    if facts.installed().is_none() {
        return Ok((false, facts.line()));
    }
    let sensor = Sensor::ask(&remote)?;
    let verdict = if sensor.is_ready() { "ready" } else { "NOT READY" };
    let lines = [
        facts.line(),
        format!("{verdict}: {} since {}, started anew {} times", sensor.state, sensor.since, sensor.restarts),
        format!("says: {}", sensor.words),
        format!("ledger: {}", sensor.ledger()),
    ];
    Ok((sensor.is_ready(), lines.join("\n")))
}
