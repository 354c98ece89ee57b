//! The alerts that stand: one attack is one alert, with a count.

use super::candidate::{Candidate, FoldKey, rank};
use super::condition::Condition;
use super::config::AlertConfig;
use super::likeness::Likeness;
use super::report::{Reasons, alert, confidence, date, name, rename, rfc3339};
use super::sighting::{Sighting, SightingKey};
use super::{Alert, ThreatType};
use crate::flow::SECOND;
use crate::ledger::AlertBins;
use std::collections::BTreeMap;

/// A definite alert explains other definite types between the same hosts while it goes on.
const GOES_ON: u64 = 5 * SECOND;
/// And untyped oddities of its hosts for a while after: connections time out, servers recover.
const AFTERMATH: u64 = 60 * SECOND;
/// A host that is new does much for the first time; that it is odd is said once in so long.
const NEWCOMER: u64 = 600 * SECOND;
/// Hosts whose oddities are remembered.
const STRIKES: usize = 10_000;

struct Standing {
    alert: Alert,
    /// What it looks like, over all windows; of use while nothing says what it is.
    likeness: Likeness,
    first: u64,
    last: u64,
    told: u64,
    grew: bool,
}

/// See the module.
pub struct Book {
    config: AlertConfig,
    standing: BTreeMap<FoldKey, Standing>,
    /// What lists know of.
    sightings: BTreeMap<SightingKey, Standing>,
    /// By name.
    conditions: BTreeMap<&'static str, Standing>,
    /// For each odd host: when it was odd last, and one bit per window before.
    strikes: BTreeMap<[u8; 16], (u64, u16)>,
    minute: (u64, u64),
    /// Date and number of the latest alert.
    pub sequence: (String, u64),
    bins: AlertBins,
}

impl Book {
    /// No alert stands.
    pub fn new(config: &AlertConfig) -> Book {
        Book {
            config: config.clone(),
            standing: BTreeMap::new(),
            sightings: BTreeMap::new(),
            conditions: BTreeMap::new(),
            strikes: BTreeMap::new(),
            minute: (0, 0),
            sequence: (String::new(), 0),
            bins: AlertBins::default(),
        }
    }

    /// New settings; what stands stays.
    pub fn reconfigure(&mut self, config: &AlertConfig) {
        self.config = config.clone();
    }

    /// Where every alert went.
    pub fn bins(&self) -> AlertBins {
        self.bins
    }

    /// Takes the candidate of a window that ended at `now`: a new alert, or `None` if it was folded, explained or
    /// suppressed. `explain` is asked only for a new one.
    pub fn consider(
        &mut self,
        candidate: &Candidate,
        now: u64,
        explain: impl FnOnce(&Candidate) -> Reasons,
    ) -> Option<Alert> {
        let key = candidate.fold_key();
        let anomaly = candidate.verdict.kind == ThreatType::Anomaly;
        if anomaly && !self.persists(candidate, now) {
            return None;
        }
        self.bins.raised += 1;
        let quiet = self.config.refold_after.as_nanos() as u64;
        // Likeness has no say against a rule that knows what its hosts are about.
        let ruled = anomaly && self.explained(candidate, now, |kind| kind != ThreatType::Anomaly);
        if let Some(standing) = self.standing.get_mut(&key)
            && now.saturating_sub(standing.last) < quiet
        {
            standing.fold(candidate, now);
            if !ruled {
                standing.name(candidate, &self.config);
            }
            self.bins.suppressed_duplicate += 1;
            return None;
        }
        if let Some(mut standing) = self.take_called(candidate, now) {
            standing.fold(candidate, now);
            rename(&mut standing.alert, candidate, &self.config);
            // Who heard the former name hears this one at once.
            standing.told = 0;
            self.standing.insert(key, standing);
            self.bins.suppressed_duplicate += 1;
            return None;
        }
        if self.explained(candidate, now, |_| true) {
            if !ruled {
                self.tell(candidate, now);
            }
            self.bins.suppressed_duplicate += 1;
            return None;
        }
        if !self.within_limit(now, anomaly) {
            self.bins.suppressed_limit += 1;
            return None;
        }
        let alert = alert(candidate, self.next_id(now), explain(candidate), &self.config, now);
        self.make_room();
        let standing = Standing {
            alert: alert.clone(),
            likeness: candidate.likeness.mean(),
            first: candidate.seen[0].min(candidate.seen[1]),
            last: now,
            told: now,
            grew: false,
        };
        self.standing.insert(key, standing);
        self.bins.stored += 1;
        Some(alert)
    }

    /// Takes a condition seen at `now`: a new alert, or `None` if it is folded into the one that stands.
    pub fn condition(&mut self, condition: &Condition, now: u64) -> Option<Alert> {
        self.bins.raised += 1;
        let quiet = self.config.refold_after.as_nanos() as u64;
        if let Some(standing) = self.conditions.get_mut(condition.name())
            && now.saturating_sub(standing.last) < quiet
        {
            standing.fold_condition(condition, now);
            self.bins.suppressed_duplicate += 1;
            return None;
        }
        let alert = condition.alert(self.next_id(now), now);
        let likeness = Likeness::default();
        let standing =
            Standing { alert: alert.clone(), likeness, first: now, last: now, told: now, grew: false };
        self.conditions.insert(condition.name(), standing);
        self.bins.stored += 1;
        Some(alert)
    }

    /// Takes what a list knows of a window that ended at `now`: a new alert, or `None` if it is folded or suppressed.
    pub fn sighting(&mut self, sighting: &Sighting, now: u64) -> Option<Alert> {
        self.bins.raised += 1;
        let (key, quiet) = (sighting.fold_key(), self.config.refold_after.as_nanos() as u64);
        if let Some(standing) = self.sightings.get_mut(&key)
            && now.saturating_sub(standing.last) < quiet
        {
            sighting.fold(&mut standing.alert, &self.config, standing.first);
            (standing.last, standing.grew) = (now, true);
            self.bins.suppressed_duplicate += 1;
            return None;
        }
        if !self.within_limit(now, false) {
            self.bins.suppressed_limit += 1;
            return None;
        }
        let alert = sighting.alert(self.next_id(now), &self.config, now);
        if self.sightings.len() >= self.config.max_standing {
            self.sightings.retain(|_, standing| now.saturating_sub(standing.last) < quiet);
            // None is over: the first one makes room.
            if self.sightings.len() >= self.config.max_standing {
                self.sightings.pop_first();
            }
        }
        let (first, likeness) = (sighting.seen[0], Likeness::default());
        let standing = Standing { alert: alert.clone(), likeness, first, last: now, told: now, grew: false };
        self.sightings.insert(key, standing);
        self.bins.stored += 1;
        Some(alert)
    }

    /// Standing alerts that grew since they were last told, each at most every `alert.update_every`.
    pub fn updates(&mut self, now: u64) -> Vec<Alert> {
        let every = self.config.update_every.as_nanos() as u64;
        self.standing
            .values_mut()
            .chain(self.sightings.values_mut())
            .chain(self.conditions.values_mut())
            .filter(|standing| standing.grew && now.saturating_sub(standing.told) >= every)
            .map(|standing| {
                (standing.grew, standing.told) = (false, now);
                standing.alert.clone()
            })
            .collect()
    }

    /// Whether an address takes part in an attack that goes on: nothing is learned from it meanwhile.
    pub fn attackers(&self, now: u64) -> hashbrown::HashSet<[u8; 16]> {
        self.standing
            .iter()
            .filter(|(_, standing)| now.saturating_sub(standing.last) <= 2 * GOES_ON)
            .flat_map(|((_, source, destination), _)| [*source, *destination])
            .flatten()
            .collect()
    }

    /// Whether an attack that has a name goes on: nothing is learned from anybody meanwhile.
    pub fn attack_goes_on(&self, now: u64) -> bool {
        self.standing.iter().any(|((kind, ..), standing)| {
            *kind != ThreatType::Anomaly && now.saturating_sub(standing.last) <= 2 * GOES_ON
        })
    }

    /// Whether something odd without a type was odd enough, for long enough.
    fn persists(&mut self, candidate: &Candidate, now: u64) -> bool {
        if candidate.margin() < self.config.anomaly_margin || self.config.anomaly_windows <= 1 {
            return candidate.margin() >= self.config.anomaly_margin;
        }
        let Some(host) = candidate.fold_key().1 else {
            return false;
        };
        if self.strikes.len() >= STRIKES && !self.strikes.contains_key(&host) {
            self.strikes.retain(|_, (last, _)| now.saturating_sub(*last) < 10 * SECOND);
            if self.strikes.len() >= STRIKES {
                return false;
            }
        }
        let (last, windows) = self.strikes.entry(host).or_insert((now, 0));
        let passed = (now.saturating_sub(*last) + SECOND / 2) / SECOND;
        *windows = if passed > 15 { 0 } else { *windows << passed };
        *windows |= 1;
        *last = now;
        (*windows & 0x3ff).count_ones() >= self.config.anomaly_windows
    }

    /// Whether an alert that stands, of a type that counts, says what this is: the victim's answers, a flood's sources.
    fn explained(&self, candidate: &Candidate, now: u64, counts: impl Fn(ThreatType) -> bool) -> bool {
        let anomaly = candidate.verdict.kind == ThreatType::Anomaly;
        let (source, destination) = (candidate.verdict.source, candidate.verdict.destination);
        self.standing.iter().filter(|((kind, ..), _)| counts(*kind)).any(
            |((kind, attacker, victim), standing)| {
                let age = now.saturating_sub(standing.last);
                let is = |one: Option<[u8; 16]>, other: Option<[u8; 16]>| one.is_some() && one == other;
                if *kind == ThreatType::Anomaly {
                    // What a host does to many at once is one oddity; so are the two sides of a conversation.
                    let same = is(source, *attacker) || (is(source, *victim) && is(destination, *attacker));
                    let patience = if candidate.newcomer { NEWCOMER } else { GOES_ON };
                    return anomaly && age <= patience && same;
                }
                if anomaly {
                    // What the attacker does next is news; that its victims stumble, or answer, is not.
                    let stumbles =
                        is(source, *victim) || is(destination, *victim) || is(destination, *attacker);
                    let patience = if is(source, *attacker) { GOES_ON } else { AFTERMATH };
                    return age <= patience && (stumbles || is(source, *attacker));
                }
                // A scan of a host is no part of what merely looks like a beacon of it.
                let stronger = rank(*kind) <= rank(candidate.verdict.kind);
                let same_pair = stronger
                    && ((is(source, *attacker) && is(destination, *victim))
                        || (is(source, *victim) && is(destination, *attacker)));
                let flood = *kind == ThreatType::DDoS && (is(destination, *victim) || is(source, *victim));
                let scan =
                    *kind == ThreatType::PortScan && (is(source, *attacker) || is(destination, *attacker));
                age <= GOES_ON && (same_pair || flood || scan)
            },
        )
    }

    /// Takes out the alert that stands for what a rule now names, where only its likeness had a name for it so far: the rule
    /// knows better.
    fn take_called(&mut self, candidate: &Candidate, now: u64) -> Option<Standing> {
        let (kind, source, destination) = candidate.fold_key();
        if kind == ThreatType::Anomaly || source.is_none() {
            return None;
        }
        let place = self.standing.iter().find(|((key, attacker, victim), standing)| {
            let called = *key == ThreatType::Anomaly && standing.alert.threat_type != ThreatType::Anomaly;
            let same = *victim == destination || standing.alert.threat_type == kind;
            called && *attacker == source && same && now.saturating_sub(standing.last) <= GOES_ON
        });
        let place = *place?.0;
        self.standing.remove(&place)
    }

    /// What is told already by another oddity of the same source says what that one looks like.
    fn tell(&mut self, candidate: &Candidate, now: u64) {
        let source = candidate.fold_key().1;
        let mut same = self.standing.iter_mut().filter(|((kind, attacker, _), standing)| {
            let goes_on = now.saturating_sub(standing.last) <= GOES_ON;
            *kind == ThreatType::Anomaly && goes_on && attacker.is_some() && *attacker == source
        });
        if candidate.verdict.kind == ThreatType::Anomaly
            && let Some((_, standing)) = same.next()
        {
            standing.name(candidate, &self.config);
        }
    }

    /// Whether one more alert may rise in this minute. What has no type takes half of them at most: the oddities around an
    /// attack must not keep its name from being told.
    fn within_limit(&mut self, now: u64, anomaly: bool) -> bool {
        let minute = now / (60 * SECOND);
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        let most = if anomaly { self.config.max_per_minute.div_ceil(2) } else { self.config.max_per_minute };
        let within = self.minute.1 < most;
        self.minute.1 += u64::from(within);
        within
    }

    fn next_id(&mut self, now: u64) -> String {
        let date = date(now);
        if self.sequence.0 != date {
            self.sequence = (date, 0);
        }
        self.sequence.1 += 1;
        format!("THREAT_{}_{:03}", self.sequence.0, self.sequence.1)
    }

    /// Forgets the alert that was quiet longest when there is no room.
    fn make_room(&mut self) {
        if self.standing.len() < self.config.max_standing {
            return;
        }
        let quietest = self.standing.iter().min_by_key(|(_, standing)| standing.last).map(|(key, _)| *key);
        if let Some(key) = quietest {
            self.standing.remove(&key);
        }
    }
}

impl Standing {
    /// Another sighting of the same condition; the worst one is told.
    fn fold_condition(&mut self, condition: &Condition, now: u64) {
        let details = &mut self.alert.details;
        details.count += 1;
        details.packet_count += condition.packets();
        details.last_seen = rfc3339(now);
        details.duration = now.saturating_sub(self.first) as f64 / 1e9;
        if condition.value() > details.score {
            details.score = condition.value();
            details.narrative = condition.narrative();
        }
        self.last = now;
        self.grew = true;
    }

    /// Another window of what has no rule: once it looks enough like a type, it is called by that.
    fn name(&mut self, candidate: &Candidate, config: &AlertConfig) {
        self.likeness.add(&candidate.likeness.mean());
        if self.alert.threat_type != ThreatType::Anomaly {
            return;
        }
        if let Some(seems) = self.likeness.best(config.likeness) {
            name(&mut self.alert, candidate, seems, config);
            self.grew = true;
        }
    }

    /// Another window of the same attack.
    fn fold(&mut self, candidate: &Candidate, now: u64) {
        let details = &mut self.alert.details;
        details.count += 1;
        details.packet_count += candidate.packets;
        details.total_bytes += candidate.bytes;
        let last = candidate.seen[1];
        details.last_seen = rfc3339(last);
        details.duration = last.saturating_sub(self.first) as f64 / 1e9;
        // Of a type that it only looks like it is as sure as the likeness is.
        if candidate.verdict.kind == self.alert.threat_type {
            self.alert.confidence = self.alert.confidence.max(confidence(candidate));
        }
        if candidate.score > details.score {
            details.score = candidate.score;
            // Without a rule the words are about what raised it, as its explanation is.
            if candidate.verdict.kind != ThreatType::Anomaly {
                details.narrative.clone_from(&candidate.verdict.narrative);
            }
        }
        self.last = now;
        self.grew = true;
    }
}
