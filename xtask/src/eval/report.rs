//! The tables, in Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::outcome::{BIN, Outcome};
use super::rate::{poisson_interval, precision};
use super::result::{Group, Run, groups};

/// How a detector is called that is judged as if it folded its alarms.
pub const FOLDED: &str = ", folded";
/// With less benign traffic a rate of false alarms means nothing.
const LEAST_HOURS: f64 = 0.25;

/// All tables of these runs.
pub fn markdown(runs: &[Run]) -> String {
    let mut sets: Vec<&str> = Vec::new();
    for run in runs {
        if !sets.contains(&run.set.as_str()) {
            sets.push(&run.set);
        }
    }
    let tables = sets.iter().map(|set| table(set, &groups(runs, set)));
    tables.collect::<String>() + &calibration(&sets, runs)
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
    text + &by_type(groups) + &confusion(groups) + &by_warmup(groups)
}

fn line(group: &Group, middle: &Outcome, worst: &Outcome) -> String {
    let (found, all) = middle.recall();
    let count = |chosen: fn(&Outcome) -> usize| chosen(middle);
    let standing = count(|outcome| outcome.hits.iter().filter(|(_, _, hit)| hit.standing).count());
    let lax = count(|outcome| outcome.hits.iter().filter(|(_, _, hit)| hit.lax.is_some()).count());
    let delays =
        group.delays().map_or_else(|| "-".to_owned(), |(half, most)| format!("{half:.1} / {most:.1} s"));
    let benign = group.benign();
    format!(
        "| {} | {} | {found}/{all} ({}) | {standing} | {lax} | {delays} | {} ({:.2}) | {:.1} | {}/{} | {} |\n",
        group.detector,
        budget(group.budget),
        worst.recall().0,
        rate(&benign),
        group.worst_rate(),
        benign.benign_hours(),
        middle.event_bins[1],
        middle.event_bins[0],
        precisions(middle, &benign),
    )
}

/// False alarms an hour with their interval.
fn rate(benign: &Outcome) -> String {
    let hours = benign.benign_hours();
    if hours < LEAST_HOURS {
        return "-".to_owned();
    }
    let (low, high) = poisson_interval(benign.false_bins);
    format!("{:.2} [{:.2}, {:.2}]", benign.false_bins as f64 / hours, low / hours, high / hours)
}

/// Where no benign bin alarmed, the upper end of the interval stands for the rate: at least so precise.
fn precisions(outcome: &Outcome, benign: &Outcome) -> String {
    let (found, all) = outcome.recall();
    if all == 0 || benign.benign_hours() < LEAST_HOURS {
        return "-".to_owned();
    }
    let (seen, sign) = match benign.false_bins {
        0 => (poisson_interval(0).1, ">= "),
        count => (count as f64, ""),
    };
    let alarming = (seen / benign.benign_bins as f64).min(1.0);
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
    let chosen: Vec<&Group> = groups
        .iter()
        .filter(|group| group.budget == first.budget && !group.detector.ends_with(FOLDED))
        .collect();
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

/// What the sensor calls the events that have a type, at its first budget, over all seeds. An event may have alerts of
/// several types; it is called right if one of them is.
fn confusion(groups: &[Group]) -> String {
    let Some(group) = groups.first() else { return String::new() };
    let typed = || group.seeds.iter().flat_map(|seed| &seed.hits).filter(|(_, _, hit)| !hit.right.is_empty());
    let said: BTreeSet<&str> = typed().flat_map(|(_, _, hit)| &hit.types).map(String::as_str).collect();
    let names: BTreeSet<&str> = typed().map(|(name, _, _)| class(name)).collect();
    if names.is_empty() {
        return String::new();
    }
    let mut text =
        format!("\nWhat {} calls them, at {}:\n\n| event | right |", group.detector, budget(group.budget));
    said.iter().for_each(|name| text.push_str(&format!(" {name} |")));
    text.push_str(" missed |\n|---|---|---|");
    text.push_str(&"---|".repeat(said.len()));
    text.push('\n');
    for name in names {
        let own: Vec<_> = typed().filter(|(own, _, _)| class(own) == name).map(|(_, _, hit)| hit).collect();
        let right = own.iter().filter(|hit| hit.types.iter().any(|kind| hit.right.contains(kind))).count();
        let _ = write!(text, "| {name} | {right}/{} |", own.len());
        for kind in &said {
            let _ = write!(text, " {} |", own.iter().filter(|hit| hit.types.contains(*kind)).count());
        }
        let _ = writeln!(text, " {} |", own.iter().filter(|hit| hit.types.is_empty()).count());
    }
    let false_types = group.benign().false_types;
    let shown: Vec<String> = false_types.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    if !shown.is_empty() {
        let _ = writeln!(text, "\nFalse alarms by type: {}.", shown.join(", "));
    }
    text
}

/// The kind of an event without its strength.
fn class(name: &str) -> &str {
    name.rsplit_once(", ").map_or(name, |(kind, _)| kind)
}

/// Where the warm-up held attacks: those of its kinds, and those of others.
fn by_warmup(groups: &[Group]) -> String {
    if groups.iter().all(|group| group.by_warmup(true).1 == 0) {
        return String::new();
    }
    let mut text = "\nEvents of all seeds together, by whether their kind was in the warm-up:\n\n\
                    | detector | budget | was in the warm-up | was not |\n|---|---|---|---|\n"
        .to_owned();
    for group in groups {
        let ((known, all_known), (new, all_new)) = (group.by_warmup(true), group.by_warmup(false));
        let budget = budget(group.budget);
        let _ = writeln!(text, "| {} | {budget} | {known}/{all_known} | {new}/{all_new} |", group.detector);
    }
    text
}

/// Budget set and alarms seen where nothing was attacked.
fn calibration(sets: &[&str], runs: &[Run]) -> String {
    let mut text = String::new();
    for set in sets {
        for group in groups(runs, set) {
            let benign = group.benign();
            if benign.hits.is_empty() && benign.benign_hours() > 12.0 {
                let hours = benign.benign_hours();
                let _ = writeln!(
                    text,
                    "| {set} | {} | {} | {hours:.1} | {} | {} |",
                    group.detector,
                    budget(group.budget),
                    benign.false_bins,
                    rate(&benign)
                );
            }
        }
    }
    if text.is_empty() {
        return text;
    }
    "\n### Calibration: alarms where there is no attack\n\n\
     | set | detector | budget | hours | alarms | alarms/h [95 %] |\n|---|---|---|---|---|---|\n"
        .to_owned()
        + &text
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
        assert_eq!((class("SYN flood, spoofed, fast"), class("DoS")), ("SYN flood, spoofed", "DoS"));
    }

    #[test]
    fn no_false_alarm_is_a_bound_on_the_precision_and_no_event_is_none() {
        let mut outcome = Outcome { benign_bins: 369, ..Outcome::default() };
        assert_eq!(precisions(&outcome, &outcome), "-");
        let hit = super::super::outcome::Hit {
            delay: Some(1.0),
            lax: Some(1.0),
            standing: false,
            types: BTreeSet::new(),
            right: Vec::new(),
        };
        outcome.hits.push(("scan".to_owned(), false, hit));
        assert_eq!(precisions(&outcome, &outcome), ">= 0.50 / >= 0.0099");
        outcome.false_bins = 369;
        assert_eq!(precisions(&outcome, &outcome), "0.01 / 0.0001");
    }
}
