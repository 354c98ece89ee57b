//! The arithmetic of the protocol: events hit, delays, false alarms. Times are nanoseconds since the Unix epoch.
//!
//! An event is hit if an alarm begins in `[start, end + grace]`. A bin of 60 s is benign if it holds traffic and no
//! part of an event with its grace; a benign bin with an alarm is a false alarm. Alarms before the detector has
//! learned count for nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;
/// How long after its end an attack may still be alerted.
pub const GRACE: u64 = 10 * SECOND;
/// Alarms are limited to one a bin.
pub const BIN: u64 = 60 * SECOND;

/// A labelled attack.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// First packet.
    pub start: u64,
    /// Last packet.
    pub end: u64,
    /// What it is called in the tables.
    pub name: String,
    /// Types that are right for it; empty where the label does not say.
    pub types: Vec<String>,
    /// Addresses of which an alert should name one; empty where the label does not say.
    pub hosts: Vec<String>,
    /// It was there while the detector learned.
    pub in_warmup: bool,
}

/// Something that a detector said.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// When it was said.
    pub time: u64,
    /// Until when it was said again, at least `time`.
    pub until: u64,
    /// The type it gives; empty for a baseline.
    pub kind: String,
    /// Addresses it names; [`ANYBODY`] for what names nobody.
    pub hosts: Vec<String>,
    /// It is new: what it repeats was long ago.
    pub fresh: bool,
}

/// What a detector that looks at no host names.
pub const ANYBODY: &str = "*";

/// A stretch of time in which a detector is judged.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// The detector has learned: what it says from here on counts.
    pub from: u64,
    /// Bins, by number since the epoch, that hold traffic.
    pub busy: &'a BTreeSet<u64>,
    /// Attacks, by start.
    pub events: &'a [Event],
}

/// How one event fared.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Seconds to the first alarm that begins in time and names a host of the label.
    pub delay: Option<f64>,
    /// Same, whoever it names.
    pub lax: Option<f64>,
    /// No alarm began, but one that was raised before goes on in it, and names a host of the label.
    pub standing: bool,
    /// Types of the alarms that begin in it and name a host of the label.
    pub types: BTreeSet<String>,
    /// Types that are right.
    pub right: Vec<String>,
}

/// What came of a trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Event by event.
    pub hits: Vec<(String, bool, Hit)>,
    /// Benign bins with an alarm.
    pub false_bins: u64,
    /// Alarms in benign bins.
    pub false_alarms: u64,
    /// And of which types.
    pub false_types: BTreeMap<String, u64>,
    /// Benign bins.
    pub benign_bins: u64,
    /// Benign bins in which an alarm is raised or goes on.
    pub false_marked: u64,
    /// Bins of events that hold traffic, and those of them in which an alarm is raised or goes on.
    pub event_bins: [u64; 2],
}

impl Outcome {
    /// Judges these alarms; they go on in the bins `marked`.
    pub fn of(trial: &Trial<'_>, alarms: &[Alarm], marked: &BTreeSet<u64>) -> Outcome {
        let heard: Vec<&Alarm> = alarms.iter().filter(|alarm| alarm.time >= trial.from).collect();
        let judged = trial.events.iter().filter(|event| event.start >= trial.from);
        let hits = judged.map(|event| (event.name.clone(), event.in_warmup, hit(event, &heard))).collect();
        let mut outcome = Outcome { hits, ..Outcome::default() };
        let attacked = attacked_bins(trial);
        // The bin in which it becomes ready is judged in part only.
        let bins = trial.busy.range(trial.from.div_ceil(BIN)..);
        let benign: BTreeSet<u64> = bins.filter(|bin| !attacked.contains(bin)).copied().collect();
        outcome.benign_bins = benign.len() as u64;
        let mut alarmed = BTreeSet::new();
        for alarm in &heard {
            if benign.contains(&(alarm.time / BIN)) {
                outcome.false_alarms += 1;
                *outcome.false_types.entry(alarm.kind.clone()).or_default() += 1;
                alarmed.insert(alarm.time / BIN);
            }
        }
        outcome.false_bins = alarmed.len() as u64;
        let marked = |bin: &u64| marked.contains(bin) || heard.iter().any(|alarm| alarm.time / BIN == *bin);
        outcome.false_marked = benign.iter().filter(|bin| marked(bin)).count() as u64;
        let judged = trial.events.iter().filter(|event| event.start >= trial.from);
        let touched: BTreeSet<u64> = judged.flat_map(|event| event.start / BIN..=event.end / BIN).collect();
        let touched: Vec<&u64> = touched.intersection(trial.busy).collect();
        let found = touched.iter().filter(|bin| marked(bin)).count();
        outcome.event_bins = [touched.len() as u64, found as u64];
        outcome
    }

    /// Adds what came of another capture.
    pub fn add(&mut self, other: &Outcome) {
        self.hits.extend_from_slice(&other.hits);
        self.false_bins += other.false_bins;
        self.false_alarms += other.false_alarms;
        self.false_marked += other.false_marked;
        self.benign_bins += other.benign_bins;
        for (kind, count) in &other.false_types {
            *self.false_types.entry(kind.clone()).or_default() += count;
        }
        for (sum, more) in self.event_bins.iter_mut().zip(other.event_bins) {
            *sum += more;
        }
    }

    /// Events hit, of how many.
    pub fn recall(&self) -> (usize, usize) {
        (self.hits.iter().filter(|(_, _, hit)| hit.delay.is_some()).count(), self.hits.len())
    }

    /// Same, by name.
    pub fn by_name(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut names: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (name, _, hit) in &self.hits {
            let (found, all) = names.entry(name).or_default();
            *found += usize::from(hit.delay.is_some());
            *all += 1;
        }
        names
    }

    /// Events hit and their number, by whether they were there while it learned.
    pub fn by_warmup(&self, in_warmup: bool) -> (usize, usize) {
        let chosen: Vec<_> = self.hits.iter().filter(|(_, was, _)| *was == in_warmup).collect();
        (chosen.iter().filter(|(_, _, hit)| hit.delay.is_some()).count(), chosen.len())
    }

    /// Delays of the events that were hit, seconds, ascending.
    pub fn delays(&self) -> Vec<f64> {
        let mut delays: Vec<f64> = self.hits.iter().filter_map(|(_, _, hit)| hit.delay).collect();
        delays.sort_by(f64::total_cmp);
        delays
    }

    /// Hours of benign bins.
    pub fn benign_hours(&self) -> f64 {
        (self.benign_bins * BIN) as f64 / (3600 * SECOND) as f64
    }

    /// All of it, for the file.
    pub fn json(&self) -> Value {
        let hits = self.hits.iter().map(|(name, in_warmup, hit)| {
            json!({
                "event": name, "in_warmup": in_warmup, "delay_s": hit.delay, "lax_delay_s": hit.lax,
                "standing": hit.standing, "types": hit.types,
            })
        });
        json!({
            "events": hits.collect::<Vec<_>>(),
            "false_bins": self.false_bins,
            "false_alarms": self.false_alarms,
            "false_types": self.false_types,
            "false_bins_marked": self.false_marked,
            "benign_hours": self.benign_hours(),
            "event_bins": self.event_bins[0],
            "event_bins_alarmed": self.event_bins[1],
        })
    }
}

/// Bins that an event touches, its grace included.
fn attacked_bins(trial: &Trial<'_>) -> BTreeSet<u64> {
    trial.events.iter().flat_map(|event| event.start / BIN..=(event.end + GRACE) / BIN).collect()
}

fn hit(event: &Event, alarms: &[&Alarm]) -> Hit {
    let named = |host: &String| host == ANYBODY || event.hosts.contains(host);
    let names = |alarm: &Alarm| event.hosts.is_empty() || alarm.hosts.iter().any(named);
    let begins = |alarm: &Alarm| (event.start..=event.end + GRACE).contains(&alarm.time);
    let delay = |alarm: &Alarm| (alarm.time - event.start) as f64 / 1e9;
    let inside: Vec<&Alarm> = alarms.iter().copied().filter(|alarm| begins(alarm)).collect();
    let first = |alarms: &mut dyn Iterator<Item = &Alarm>| alarms.map(delay).min_by(f64::total_cmp);
    let strict = first(&mut inside.iter().copied().filter(|alarm| names(alarm)));
    let goes_on = |alarm: &&&Alarm| alarm.time < event.start && alarm.until >= event.start && names(alarm);
    Hit {
        delay: strict,
        lax: first(&mut inside.iter().copied()),
        standing: strict.is_none() && alarms.iter().any(|alarm| goes_on(&alarm)),
        types: inside.iter().filter(|alarm| names(alarm)).map(|alarm| alarm.kind.clone()).collect(),
        right: event.types.clone(),
    }
}

/// The value below which this part of the sorted values lies; the nearest one.
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((part * last as f64).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(start: u64, end: u64, hosts: &[&str]) -> Event {
        Event {
            start: start * SECOND,
            end: end * SECOND,
            name: "scan".to_owned(),
            types: Vec::new(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            in_warmup: false,
        }
    }

    fn alarm(time: u64, host: &str) -> Alarm {
        Alarm {
            time: time * SECOND,
            until: time * SECOND,
            kind: "DoS".to_owned(),
            hosts: vec![host.to_owned()],
            fresh: true,
        }
    }

    fn judge(events: &[Event], alarms: &[Alarm]) -> Outcome {
        let busy = (0..10).collect();
        Outcome::of(&Trial { from: 60 * SECOND, busy: &busy, events }, alarms, &[5].into())
    }

    #[test]
    fn an_alarm_counts_from_the_start_to_the_end_of_the_grace() {
        let events = [event(100, 110, &[])];
        for (time, wanted) in [(99, None), (100, Some(0.0)), (104, Some(4.0)), (120, Some(20.0)), (121, None)]
        {
            let outcome = judge(&events, &[alarm(time, "a")]);
            assert_eq!(outcome.hits[0].2.delay, wanted, "alarm at {time}");
            assert_eq!(outcome.false_bins, 0, "the bin holds a part of the event");
        }
    }

    #[test]
    fn who_is_named_decides_the_strict_count_only() {
        let outcome = judge(&[event(100, 110, &["a", "b"])], &[alarm(101, "c"), alarm(105, "b")]);
        assert_eq!(judge(&[event(100, 110, &["a"])], &[alarm(102, ANYBODY)]).recall(), (1, 1));
        let hit = &outcome.hits[0].2;
        assert_eq!((hit.delay, hit.lax), (Some(5.0), Some(1.0)));
        let mut standing = alarm(90, "a");
        standing.until = 102 * SECOND;
        let outcome = judge(&[event(100, 110, &["a"])], &[standing]);
        assert_eq!((outcome.recall(), outcome.hits[0].2.standing), ((0, 1), true));
    }

    #[test]
    fn benign_bins_hold_no_part_of_an_event_and_count_one_alarm_each() {
        // Bins 1 to 9 are judged; the event with its grace lies in 3 and 4.
        let events = [event(200, 235, &[])];
        let alarms = [alarm(30, "x"), alarm(70, "x"), alarm(71, "x"), alarm(241, "x"), alarm(310, "x")];
        let outcome = judge(&events, &alarms);
        assert_eq!((outcome.benign_bins, outcome.false_bins, outcome.false_alarms), (7, 2, 3));
        assert!((outcome.benign_hours() - 7.0 / 60.0).abs() < 1e-9);
    }

    #[test]
    fn an_alarm_that_goes_on_marks_bins_without_being_a_new_one() {
        let outcome = judge(&[event(250, 370, &[])], &[alarm(251, "x")]);
        // Bins 4, 5 and 6; raised in 4, marked in 5.
        assert_eq!((outcome.event_bins, outcome.false_marked), ([3, 2], 0));
        let outcome = judge(&[event(130, 140, &[])], &[]);
        assert_eq!((outcome.false_bins, outcome.false_marked), (0, 1));
    }

    #[test]
    fn events_before_it_has_learned_are_not_judged_but_their_bins_are_not_benign() {
        let outcome = judge(&[event(10, 70, &[]), event(130, 140, &[])], &[alarm(131, "x")]);
        assert_eq!((outcome.recall(), outcome.benign_bins), ((1, 1), 7));
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[1.0, 2.0, 9.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0, 9.0], 0.9), Some(9.0));
    }
}
