//! How it went: rates of the last minutes, hours and days, in memory.
//!
//! Every second the latest snapshot is read. Three rings keep it in steps of 1 s for ten minutes, 10 s for six hours and a
//! minute for a week. A second that nothing was reported in has no point.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::app::App;
use super::input::Params;
use super::problem::Problem;
use crate::status::{Status, Top, rfc3339};

/// Seconds of a step, and steps that are kept.
const LEVELS: [(u64, usize); 3] = [(1, 600), (10, 2160), (60, 10_080)];
/// Longest history, minutes.
const LONGEST: u32 = 7 * 24 * 60;
const SECOND: u64 = 1_000_000_000;

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    time: u64,
    packets: u64,
    bytes: u64,
    flows: u64,
    samples: u64,
    lost: u64,
    alerts: u64,
}

impl Counters {
    fn of(status: &Status) -> Counters {
        let (totals, bins) = (&status.ledger.totals, &status.ledger.samples);
        Counters {
            time: status.time,
            packets: totals.seen.packets,
            bytes: totals.seen.bytes,
            flows: status.flow.total,
            samples: totals.sampled,
            lost: totals.lost_no_socket
                + totals.lost_ringbuf_full
                + totals.lost_no_headroom
                + bins.lost_rx_ring_full
                + bins.lost_fill_ring_empty
                + bins.lost_rx_dropped
                + bins.lost_invalid_descs
                + bins.lost_restart
                + bins.shed_queue_full,
            alerts: status.ledger.alerts.stored,
        }
    }
}

/// What happened in one step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// Number of the step since 1970.
    number: u64,
    seconds: f64,
    counts: Counters,
    max_score: Option<f64>,
}

impl Step {
    fn add(&mut self, other: &Step) {
        self.seconds += other.seconds;
        let (sum, more) = (&mut self.counts, &other.counts);
        sum.packets += more.packets;
        sum.bytes += more.bytes;
        sum.flows += more.flows;
        sum.samples += more.samples;
        sum.lost += more.lost;
        sum.alerts += more.alerts;
        self.max_score = highest(self.max_score, other.max_score);
    }

    fn point(&self, step: u64) -> Point {
        let rate = |count: u64| count as f64 / self.seconds.max(1e-3);
        Point {
            time: rfc3339(self.number.saturating_mul(step * SECOND)),
            packets: rate(self.counts.packets),
            bytes: rate(self.counts.bytes),
            flows: rate(self.counts.flows),
            samples: rate(self.counts.samples),
            lost: rate(self.counts.lost),
            alerts: self.counts.alerts,
            max_score: self.max_score,
        }
    }
}

fn highest(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

#[derive(Debug, Default)]
struct Rings {
    before: Option<Counters>,
    steps: [VecDeque<Step>; LEVELS.len()],
}

impl Rings {
    fn add(&mut self, now: Counters, max_score: Option<f64>) {
        let Some(before) = self.before.replace(now) else { return };
        // The same snapshot again: nothing was reported. A clock that was set back begins anew.
        if now.time <= before.time {
            return;
        }
        let since = |now: u64, before: u64| now.saturating_sub(before);
        let counts = Counters {
            time: now.time,
            packets: since(now.packets, before.packets),
            bytes: since(now.bytes, before.bytes),
            flows: since(now.flows, before.flows),
            samples: since(now.samples, before.samples),
            lost: since(now.lost, before.lost),
            alerts: since(now.alerts, before.alerts),
        };
        let seconds = (now.time - before.time) as f64 / SECOND as f64;
        for ((step, most), ring) in LEVELS.iter().zip(&mut self.steps) {
            let step = Step { number: now.time / (step * SECOND), seconds, counts, max_score };
            match ring.back_mut() {
                Some(last) if last.number == step.number => last.add(&step),
                _ => ring.push_back(step),
            }
            while ring.len() > *most {
                ring.pop_front();
            }
        }
    }
}

/// The rings.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Rings>);

impl History {
    /// Takes the latest snapshot in.
    pub(super) fn sample(&self, status: &Status, top: &Top) {
        if status.time == 0 {
            return;
        }
        let scores = top.flows.iter().map(|flow| flow.score).chain(top.hosts.iter().map(|host| host.score));
        let fresh = top.time.saturating_add(5 * SECOND) > status.time;
        let max_score = if fresh { scores.fold(None, highest) } else { None };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(Counters::of(status), max_score);
    }

    fn last(&self, minutes: u32) -> Answer {
        let rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::from(minutes) * 60;
        let level = LEVELS.iter().position(|(step, kept)| seconds <= step * *kept as u64);
        let level = level.unwrap_or(LEVELS.len() - 1);
        let (step, ring) = (LEVELS[level].0, &rings.steps[level]);
        let newest = ring.back().map_or(0, |step| step.number);
        let begin = newest.saturating_sub(seconds / step);
        let points = ring.iter().filter(|step| step.number > begin).map(|point| point.point(step));
        Answer { step_s: step, points: points.collect() }
    }
}

/// Samples the snapshot every second, for ever.
pub(super) async fn run(app: Arc<App>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        seconds.tick().await;
        app.history.sample(&app.status.latest(), &app.top.latest());
    }
}

/// How far back.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Back {
    /// Minutes, 60 if not said. Up to 10 come in steps of a second, up to 360 of 10 s, more of a minute.
    #[param(minimum = 1, maximum = 10080)]
    minutes: Option<u32>,
}

/// Rates over time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = History)]
pub(super) struct Answer {
    /// Seconds of a step.
    step_s: u64,
    /// Oldest first. A step that is missing was not seen.
    points: Vec<Point>,
}

/// One step.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Point {
    /// RFC 3339: when it began.
    time: String,
    /// Packets a second.
    packets: f64,
    /// Bytes a second.
    bytes: f64,
    /// New flows a second.
    flows: f64,
    /// Samples a second.
    samples: f64,
    /// Samples lost a second, for whatever reason.
    lost: f64,
    /// New alerts.
    alerts: u64,
    /// Highest score of a flow or host.
    max_score: Option<f64>,
}

/// Rates over the last minutes
#[utoipa::path(get, path = "/api/v1/history", tag = "now", params(Back), security(("token" = ["read"])),
    responses((status = 200, description = "rates, oldest first", body = Answer)))]
pub(super) async fn history(
    State(app): State<Arc<App>>,
    Params(back): Params<Back>,
) -> Result<Json<Answer>, Problem> {
    match back.minutes.unwrap_or(60) {
        minutes @ 1..=LONGEST => Ok(Json(app.history.last(minutes))),
        other => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("minutes={other}"),
            format!("give 1 to {LONGEST}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Counters {
        Counters { time: second * SECOND, packets: second * 100, alerts: second / 60, ..Counters::default() }
    }

    #[test]
    fn rings_are_bounded_and_steps_add_up() {
        let history = History::default();
        {
            let mut rings = history.0.lock().unwrap();
            for second in 1_000_000..1_000_000 + 8 * 24 * 3600 {
                // Ten seconds of silence, an hour before the end.
                if !(1_687_600..1_687_610).contains(&second) {
                    rings.add(at(second), Some((second % 60) as f64));
                }
            }
            let lengths: Vec<usize> = rings.steps.iter().map(VecDeque::len).collect();
            assert_eq!(lengths, [600, 2160, 10_080]);
        }
        let minute = history.last(1);
        assert_eq!((minute.step_s, minute.points.len()), (1, 60));
        assert!(minute.points.iter().all(|point| (point.packets - 100.0).abs() < 1e-9));
        let hours = history.last(120);
        assert_eq!(hours.step_s, 10);
        assert_eq!(hours.points.len(), 719, "a step without a report has no point");
        let week = history.last(LONGEST);
        assert_eq!((week.step_s, week.points.len()), (60, 10_080));
        assert_eq!(week.points.iter().map(|point| point.alerts).max(), Some(1));
        assert!(week.points[5].max_score.is_some_and(|score| (score - 59.0).abs() < 1e-9));
    }
}
