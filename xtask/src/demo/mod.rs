//! `cargo xtask demo`: a lab, ordinary traffic, the sensor live on a mirror port, five attacks, and the account.

mod sensor;
mod verdict;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lab::{Lab, SENSOR};
use crate::step::{announced, on_terminal, seconds};
use crate::traffic::{self, ATTACKS, Attack};
use crate::{Reported, interrupt, misused, program, setup};

use sensor::{Sensor, Statistics};
use verdict::{Seen, Staged};

/// The model must be ready by then; it says how far it is.
const WARM_UP_LIMIT: Duration = Duration::from_secs(150);
/// From the start of one attack to that of the next, at least.
const APART: Duration = Duration::from_secs(13);
/// Alerts about the last attack may come so long after its end.
const SETTLE: Duration = Duration::from_secs(4);
const TURN: Duration = Duration::from_millis(100);

/// What was asked for on the command line.
struct Options {
    keep: bool,
    seed: u64,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Options> {
        let mut options = Options { keep: false, seed: 1 };
        let mut rest = args;
        loop {
            rest = match rest {
                [] => return Ok(options),
                ["--keep", rest @ ..] => {
                    options.keep = true;
                    rest
                }
                ["--seed", seed, rest @ ..] => {
                    options.seed = seed.parse().map_err(|_not_a_number| misused("demo", args))?;
                    rest
                }
                _ => return Err(misused("demo", args)),
            }
        }
    }
}

/// `cargo xtask demo [--keep] [--seed N]`.
pub fn command(args: &[&str]) -> Result<()> {
    let options = Options::parse(args)?;
    setup::for_lab()?;
    // The development profile: its dependencies are optimised, and it builds in a fraction of the time.
    let build_start = Instant::now();
    println!("building the sensor (cargo build --package sensor); the first time takes minutes");
    program::run(program::cargo().args(["build", "--package", "sensor", "--bin", "vesper"]))?;
    println!("built in {}\n", seconds(build_start.elapsed()));

    // Dropped in reverse order: the attack, the sensor and the traffic end before the lab goes.
    let mut lab = announced("making the lab: 8 clients, 4 servers, the outside, a mirrored switch", Lab::up)?;
    let workers =
        announced("starting ordinary traffic: web, DNS, logins, copies, clocks, heartbeats", || {
            traffic::start(&lab, options.seed, options.keep)
        })?;
    let sensor = announced("starting vesper on the mirror port", || Sensor::start(&lab))?;
    let mut demo = Demo { sensor, seen: Vec::new(), staged: Vec::new(), active: None, start: Instant::now() };
    demo.warm_up()?;
    for attack in &ATTACKS {
        demo.stage(&lab, attack, options.seed)?;
    }
    demo.watch_until(Instant::now() + SETTLE)?;

    if options.keep {
        let passed = demo.report(&demo.sensor.statistics()?);
        lab.keep();
        workers.leave();
        println!("\nlab, traffic and sensor go on. To look:");
        println!("  {} curl -s http://127.0.0.1:8888/api/v1/statistics", lab.inside_shown(SENSOR));
        println!("  {} curl -s http://127.0.0.1:8888/metrics", lab.inside_shown(SENSOR));
        println!("  tail -f {}", demo.sensor.alerts_path().display());
        println!("  cargo xtask lab attack port-scan\nTo stop:\n  cargo xtask lab down");
        demo.sensor.leave();
        return passed;
    }
    drop(workers);
    // What was in flight arrives, and is counted, before the account is closed.
    interrupt::pause(Duration::from_millis(500))?;
    let closing = demo.sensor.stop().context("stop the sensor")?;
    demo.look()?;
    demo.report(&closing)
}

/// The demo as it goes.
struct Demo {
    sensor: Sensor,
    /// Every alert, in the order in which they came.
    seen: Vec<Seen>,
    /// Every attack so far.
    staged: Vec<Staged>,
    /// When the model was ready.
    active: Option<Duration>,
    start: Instant,
}

impl Demo {
    fn warm_up(&mut self) -> Result<()> {
        println!("\nthe sensor learns what is normal here; it raises no alert before it is active");
        let mut shown = Progress::default();
        while self.active.is_none() {
            if self.start.elapsed() > WARM_UP_LIMIT {
                bail!(
                    "the sensor was not active after {}\n{}",
                    seconds(WARM_UP_LIMIT),
                    self.sensor.last_words()
                );
            }
            self.look()?;
            let now = self.sensor.statistics()?;
            if now.state == "active" {
                self.active = Some(self.start.elapsed());
            }
            shown.show(&format!(
                "  {:11} {:3.0} %   {:>9} packets   {:>6} flows   {:>6} windows   {:>5.1} s",
                now.state,
                now.progress * 100.0,
                now.packets,
                now.flows,
                now.windows,
                self.start.elapsed().as_secs_f64()
            ));
            interrupt::pause(TURN * 2)?;
        }
        shown.end();
        println!("active after {}\n", seconds(self.start.elapsed()));
        Ok(())
    }

    /// Runs one attack, to its end and at least until the next one may start.
    fn stage(&mut self, lab: &Lab, attack: &'static Attack, seed: u64) -> Result<()> {
        println!("{:>7.1} s  ATTACK  {}: {}", self.start.elapsed().as_secs_f64(), attack.name, attack.story);
        let began = Instant::now();
        self.staged.push(Staged { attack, start: self.start.elapsed(), end: None });
        let mut attacker = traffic::start_attack(lab, attack, seed)?;
        let watched = loop {
            if let Err(error) = self.watch_until(Instant::now() + TURN) {
                break Err(error);
            }
            match attacker.try_wait()? {
                Some(status) if !status.success() => {
                    bail!("the attack {} could not run: {status}", attack.name)
                }
                Some(_) => break Ok(()),
                None => {}
            }
        };
        if let Err(error) = watched {
            attacker.kill().and_then(|()| attacker.wait().map(drop))?;
            return Err(error);
        }
        if let Some(staged) = self.staged.last_mut() {
            staged.end = Some(self.start.elapsed());
        }
        self.watch_until(began + APART)
    }

    fn watch_until(&mut self, end: Instant) -> Result<()> {
        while Instant::now() < end {
            self.look()?;
            interrupt::pause(TURN.min(end.saturating_duration_since(Instant::now())))?;
        }
        Ok(())
    }

    /// Takes in what the sensor wrote since the last time, and shows it.
    fn look(&mut self) -> Result<()> {
        for alert in self.sensor.new_alerts()? {
            let at = self.start.elapsed();
            // It may have become active after the last look.
            let active =
                self.active.is_some() || self.sensor.statistics().is_ok_and(|now| now.state == "active");
            let seen = Seen::new(at, active, &alert);
            if self.seen.iter().any(|earlier| earlier.id == seen.id) {
                println!(
                    "{:>7.1} s  goes on {}  {} windows so far",
                    at.as_secs_f64(),
                    seen.headline(),
                    seen.count
                );
            } else {
                println!("{:>7.1} s  alert   {}", at.as_secs_f64(), seen.headline());
                println!("                   {}", seen.narrative);
            }
            self.seen.push(seen);
        }
        self.sensor.still_runs()
    }

    /// The table and the ledger; an error when something is not as it should be.
    fn report(&self, closing: &Statistics) -> Result<()> {
        let account = verdict::judge(&self.staged, &self.seen);
        println!("\n{}", account.table);
        println!("{}", closing.ledger());
        let mut problems = account.problems;
        problems.extend(closing.residues().into_iter().filter(|(_, left)| *left != 0).map(|(name, left)| {
            format!("residue `{name}` is {left}: something was counted in no bin or in two")
        }));
        if closing.residues().is_empty() {
            problems.push("the closing summary has no residues".to_owned());
        }
        println!();
        if problems.is_empty() {
            println!("every attack was alerted, nothing else was, and every packet is accounted for");
            return Ok(());
        }
        for problem in problems {
            println!("problem: {problem}");
        }
        Err(Reported.into())
    }
}

/// One line that is written over on a terminal; elsewhere a line now and then.
#[derive(Default)]
struct Progress {
    last: Option<Instant>,
}

impl Progress {
    fn show(&mut self, line: &str) {
        if on_terminal() {
            print!("\r{line}\x1b[K");
            // A terminal that went away is noticed elsewhere.
            let _ = std::io::stdout().flush();
        } else if self.last.is_none_or(|last| last.elapsed() >= Duration::from_secs(5)) {
            println!("{line}");
            self.last = Some(Instant::now());
        }
    }

    fn end(&self) {
        if on_terminal() {
            println!();
        }
    }
}
