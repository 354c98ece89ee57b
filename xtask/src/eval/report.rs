//! The tables, in Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::outcome::{BIN, Outcome};
use super::rate::{poisson_interval, precision};
use super::result::{Group, Run, groups};

/// All tables of these runs.
pub fn markdown(runs: &[Run]) -> String {
    let mut sets: Vec<&str> = Vec::new();
    for run in runs {
        if !sets.contains(&run.set.as_str()) {
            sets.push(&run.set);
        }
    }
    sets.into_iter().map(|set| table(set, &groups(runs, set))).collect()
}

/// The tables of one set.
pub fn table(set: &str, groups: &[Group]) -> String {
    let mut text = format!("\n### {set}\n\n");
    text.push_str(
        "| detector | budget | events hit (worst seed) | + standing | any host | delay, median / p90 | false alarms/h \
         [95 %] (worst seed) | benign hours | event bins | precision at 1 % / 0.01 % |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for group in groups {
        if let Some((middle, worst)) = group.middle_and_worst() {
            text.push_str(&line(group, middle, worst));
        }
    }
    text.push_str(&by_type(groups));
    text
}

fn line(group: &Group, middle: &Outcome, worst: &Outcome) -> String {
    let (found, all) = middle.recall();
    let count = |chosen: fn(&Outcome) -> usize| chosen(middle);
    let standing = count(|outcome| outcome.hits.iter().filter(|(_, _, hit)| hit.standing).count());
    let lax = count(|outcome| outcome.hits.iter().filter(|(_, _, hit)| hit.lax.is_some()).count());
    let delays =
        group.delays().map_or_else(|| "-".to_owned(), |(half, most)| format!("{half:.1} / {most:.1} s"));
    let hours = middle.benign_hours();
    let (low, high) = poisson_interval(middle.false_bins);
    let per_hour = |count: f64| if hours > 0.0 { count / hours } else { 0.0 };
    format!(
        "| {} | {} | {found}/{all} ({}) | {standing} | {lax} | {delays} | {:.2} [{:.2}, {:.2}] ({:.2}) | {hours:.1} | \
         {}/{} | {} |\n",
        group.detector,
        budget(group.budget),
        worst.recall().0,
        per_hour(middle.false_bins as f64),
        per_hour(low),
        per_hour(high),
        per_hour(group.most_false_bins() as f64),
        middle.event_bins[1],
        middle.event_bins[0],
        precisions(middle),
    )
}

/// Where no benign bin alarmed, the upper end of the interval stands for the rate: at least so precise.
fn precisions(outcome: &Outcome) -> String {
    let (found, all) = outcome.recall();
    if all == 0 || outcome.benign_bins == 0 {
        return "-".to_owned();
    }
    let (seen, sign) = match outcome.false_bins {
        0 => (poisson_interval(0).1, ">= "),
        count => (count as f64, ""),
    };
    let alarming = (seen / outcome.benign_bins as f64).min(1.0);
    let at = |base| precision(base, found as f64 / all as f64, alarming);
    format!("{sign}{:.2} / {sign}{:.4}", at(0.01), at(0.0001))
}

/// Alarms an hour as people say it.
pub fn budget(per_hour: f64) -> String {
    let a_day = per_hour * 24.0;
    if (a_day - a_day.round()).abs() < 0.01 && a_day < 10.0 {
        format!("{a_day:.0}/day")
    } else {
        format!("{per_hour}/h")
    }
}

/// Events hit by type, at the first budget of each detector, over all seeds.
fn by_type(groups: &[Group]) -> String {
    let Some(first) = groups.first() else { return String::new() };
    let chosen: Vec<&Group> = groups.iter().filter(|group| group.budget == first.budget).collect();
    let names: BTreeSet<&str> = chosen.iter().flat_map(|group| group.by_name().into_keys()).collect();
    if names.is_empty() {
        return String::new();
    }
    let mut text = format!("\nEvents hit of all seeds together, at {}:\n\n| event |", budget(first.budget));
    for group in &chosen {
        let _ = write!(text, " {} |", group.detector);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(chosen.len()));
    text.push('\n');
    for name in names {
        let _ = write!(text, "| {name} |");
        for group in &chosen {
            let (found, all) = group.by_name().get(name).copied().unwrap_or_default();
            let _ = write!(text, " {found}/{all} |");
        }
        text.push('\n');
    }
    text
}

/// What every table means.
pub fn legend() -> String {
    format!(
        "An event is hit if an alarm begins between its start and 10 s after its end and names a host of its label; \
         `any host`: whoever it names; `+ standing`: no new alarm, but one raised before goes on and names a host. A \
         false alarm is a bin of {} s with traffic and without a part of an event in which an alarm begins. Figures \
         are of the seed in the middle, in brackets of the worst seed. `event bins`: bins of events in which an alarm \
         begins or goes on. Precision: by Bayes from the parts of events hit and of benign bins with an alarm.\n",
        BIN / 1_000_000_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_read_well() {
        let read = [1.0, 0.5, 2.0, 0.0417].map(budget);
        assert_eq!(read, ["1/h", "0.5/h", "2/h", "1/day"]);
    }

    #[test]
    fn no_false_alarm_is_a_bound_on_the_precision_and_no_event_is_none() {
        let mut outcome = Outcome { benign_bins: 369, ..Outcome::default() };
        assert_eq!(precisions(&outcome), "-");
        let hit = super::super::outcome::Hit {
            delay: Some(1.0),
            lax: Some(1.0),
            standing: false,
            types: BTreeSet::new(),
        };
        outcome.hits.push(("scan".to_owned(), false, hit));
        assert_eq!(precisions(&outcome), ">= 0.50 / >= 0.0099");
        outcome.false_bins = 369;
        assert_eq!(precisions(&outcome), "0.01 / 0.0001");
    }
}
