//! Says what is being done before it starts and how long it took after, and keeps the list for the end.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps done so far.
#[derive(Default)]
pub struct Steps {
    done: Vec<(String, Outcome, Duration)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    Failed,
    Skipped(String),
}

impl Steps {
    /// Does one step with its output shown; a failure is kept for the table and returned.
    pub fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n== {name}");
        let start = Instant::now();
        let done = work();
        let outcome = if done.is_ok() { Outcome::Ok } else { Outcome::Failed };
        self.done.push((name.to_owned(), outcome, start.elapsed()));
        done
    }

    /// Notes a step that was not done, and says why.
    pub fn skip(&mut self, name: &str, why: &str) {
        println!("\n== {name}: not run: {why}");
        self.done.push((name.to_owned(), Outcome::Skipped(why.to_owned()), Duration::ZERO));
    }

    /// The table for the end.
    pub fn table(&self) -> String {
        let width = self.done.iter().map(|(name, _, _)| name.len()).max().unwrap_or(0);
        let mut total = Duration::ZERO;
        let mut text = String::new();
        for (name, outcome, took) in &self.done {
            total += *took;
            let line = match outcome {
                Outcome::Ok => format!("  {name:width$}  ok       {:>8}\n", seconds(*took)),
                Outcome::Failed => format!("  {name:width$}  FAILED   {:>8}\n", seconds(*took)),
                Outcome::Skipped(why) => format!("  {name:width$}  not run           {why}\n"),
            };
            text.push_str(&line);
        }
        text.push_str(&format!("  {:width$}           {:>8}\n", "total", seconds(total)));
        text
    }
}

/// Does something quiet that takes a while: one line, begun before and completed after.
pub fn announced<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    print!("{what} ... ");
    std::io::stdout().flush()?;
    let start = Instant::now();
    let done = work();
    match &done {
        Ok(_) => println!("{}", seconds(start.elapsed())),
        Err(_) => println!("failed after {}", seconds(start.elapsed())),
    }
    done
}

/// A duration for people.
pub fn seconds(took: Duration) -> String {
    if took >= Duration::from_secs(60) {
        format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60)
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

/// Whether a person looks at stdout right now.
pub fn on_terminal() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_step_with_its_outcome() {
        let mut steps = Steps::default();
        steps.run("one", || Ok(())).unwrap();
        steps.run("two", || -> Result<()> { anyhow::bail!("no") }).unwrap_err();
        steps.skip("three", "needs root");
        let table = steps.table();
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
        assert_eq!(rows[..3], [["one", "ok"], ["two", "FAILED"], ["three", "not"]]);
        assert_eq!(rows.len(), 4);
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}
