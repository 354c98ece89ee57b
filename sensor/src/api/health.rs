//! Whether the sensor does its job, and if not, why.

use serde::Serialize;

use crate::status::{ModelState, Status};
use crate::telemetry::printable;

/// The pipeline writes a snapshot every second; one this old means that it stands still.
const STALE: u64 = 5_000_000_000;

/// A loss in front of XDP is a warning for so long, nanoseconds.
const LOSS_REMEMBERED: u64 = 60_000_000_000;

/// How bad it is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, not fully yet or no longer.
    Degraded,
    /// The sensor is blind or mute.
    Failed,
}

/// One part of the sensor.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Component {
    /// Its name: `pipeline`, `capture`, `nic`, `model`, `ledger`, `store`, `journal`, `gpu`, `intel`, or
    /// `sink` with a label.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Why, and what to do; empty when it is ok.
    pub reason: String,
}

/// The answer of `/health`.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Health {
    /// The worst state of all components.
    pub status: State,
    /// This program's version.
    pub version: &'static str,
    /// Whether the model is ready to raise alerts.
    pub models_loaded: bool,
    /// Whether packets can arrive.
    pub can_capture: bool,
    /// Whether every sink took the latest alert.
    pub sinks_reachable: bool,
    /// Part by part.
    pub components: Vec<Component>,
}

impl Health {
    /// Judges a snapshot at `now`, nanoseconds since the Unix epoch.
    pub fn of(status: &Status, now: u64) -> Health {
        let capture = capture(status);
        let mut components = vec![
            pipeline(status, now),
            capture.clone(),
            nic(status),
            model(status),
            ledger(status),
            store(status),
            journal(status),
        ];
        components.extend(gpu(status));
        components.extend(intel(status));
        let sinks: Vec<Component> = status
            .sinks
            .iter()
            .map(|sink| {
                component(&format!("sink {}", sink.name), State::Failed, failing(&sink.failing, sink.pending))
            })
            .collect();
        let sinks_reachable = sinks.iter().all(|sink| sink.state == State::Ok);
        components.extend(sinks);
        Health {
            status: components.iter().map(|component| component.state).max().unwrap_or(State::Ok),
            version: crate::status::VERSION,
            models_loaded: status.score.state == ModelState::Active,
            can_capture: capture.state == State::Ok,
            sinks_reachable,
            components,
        }
    }

    /// Whether packets arrive and are looked at, be the model ready or not.
    pub fn ready(&self) -> bool {
        let fine =
            |name: &str| self.components.iter().any(|part| part.name == name && part.state == State::Ok);
        fine("pipeline") && fine("capture")
    }
}

fn component(name: &str, otherwise: State, reason: Option<String>) -> Component {
    let state = if reason.is_none() { State::Ok } else { otherwise };
    Component { name: name.to_owned(), state, reason: reason.unwrap_or_default() }
}

fn pipeline(status: &Status, now: u64) -> Component {
    let reason = if status.time == 0 {
        Some("starting: no packet was looked at yet".to_owned())
    } else {
        let age = now.saturating_sub(status.time);
        (age > STALE).then(|| {
            format!(
                "the analysis has not reported for {} s: look at the log, restart vesper",
                age / 1_000_000_000
            )
        })
    };
    component("pipeline", State::Failed, reason)
}

fn capture(status: &Status) -> Component {
    let reason = match &status.capture {
        None => Some("no interface is watched yet".to_owned()),
        Some(live) if !live.attached => Some(format!(
            "the XDP program is not on {}: was the interface removed? restart vesper",
            live.interface
        )),
        Some(live) if !live.link_up => {
            Some(format!("the link of {} is down: look at the cable and the mirror port", live.interface))
        }
        Some(_) => None,
    };
    component("capture", State::Failed, reason)
}

/// Packets that never reached XDP: the sensor does its job, and does not see everything.
fn nic(status: &Status) -> Component {
    let losing = status.capture.as_ref().filter(|live| {
        live.nic.last_loss != 0 && status.time.saturating_sub(live.nic.last_loss) < LOSS_REMEMBERED
    });
    let reason = losing.map(|live| {
        let nic = &live.nic;
        let by = if nic.missed_by.is_empty() { String::new() } else { format!(" ({})", nic.missed_by) };
        format!(
            "packets never reached XDP on {}: {} had no room in the NIC{by}, {} were received and not seen; larger \
             rings (capture.nic_rings = \"max\") or more queues (ethtool -L) may help",
            live.interface, nic.rx_missed, nic.unseen
        )
    });
    component("nic", State::Degraded, reason)
}

fn model(status: &Status) -> Component {
    let percent = status.score.progress.clamp(0.0, 1.0) * 100.0;
    let reason = match status.score.state {
        ModelState::Active => None,
        ModelState::Warming => Some(format!("warming, {percent:.0} % done: no alerts until it is active")),
        ModelState::Calibrating => {
            Some(format!("calibrating, {percent:.0} % done: no alerts until it is active"))
        }
    };
    component("model", State::Degraded, reason)
}

fn store(status: &Status) -> Component {
    let failing = status.store.as_ref().filter(|store| !store.failing.is_empty()).map(|store| {
        let why = printable(&store.failing, 300);
        format!("{} alerts wait for the disk: {why}; look at its room and at the log", store.waiting)
    });
    let aside = status.warnings.iter().find(|warning| warning.contains(".corrupt-")).cloned();
    match failing {
        Some(reason) => component("store", State::Failed, Some(reason)),
        None => component("store", State::Degraded, aside),
    }
}

/// A list that fails is no reason to look elsewhere than at the list: the last good one is in use.
fn intel(status: &Status) -> Option<Component> {
    let intel = status.intel.as_ref()?;
    let failing = intel.feeds.iter().filter(|feed| !feed.failing.is_empty());
    let mut reasons: Vec<String> = failing
        .map(|feed| format!("list {}: {}", feed.name, printable(&feed.failing, 200)))
        .take(3)
        .collect();
    if !intel.failing.is_empty() {
        reasons.insert(0, printable(&intel.failing, 300));
    }
    let reason = (!reasons.is_empty()).then(|| format!("the last good lists stay: {}", reasons.join("; ")));
    Some(component("intel", State::Degraded, reason))
}

/// The CPU does its work: nothing is lost but time.
fn gpu(status: &Status) -> Option<Component> {
    let gpu = status.gpu.as_ref()?;
    let reason = (!gpu.ready).then(|| {
        let why = if gpu.reason.is_empty() { "it is being opened" } else { &gpu.reason };
        format!("the model runs on the CPU: {}", printable(why, 300))
    });
    Some(component("gpu", State::Degraded, reason))
}

fn journal(status: &Status) -> Component {
    let failing = &status.journal.failing;
    let reason = (!failing.is_empty()).then(|| format!("windows are not kept: {}", printable(failing, 300)));
    component("journal", State::Degraded, reason)
}

fn ledger(status: &Status) -> Component {
    let off: Vec<String> = status
        .residues()
        .filter(|(_, residue)| *residue != 0)
        .map(|(equation, residue)| format!("{equation} is off by {residue}"))
        .collect();
    let reason =
        (!off.is_empty()).then(|| format!("the books do not balance ({}): please report it", off.join(", ")));
    component("ledger", State::Degraded, reason)
}

fn failing(reason: &str, pending: u64) -> Option<String> {
    (!reason.is_empty()).then(|| format!("{pending} pending, last attempt: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Mode;
    use crate::sinks::SinkStatus;
    use crate::status::CaptureStatus;

    const NOW: u64 = 1_700_000_000_000_000_000;

    fn well() -> Status {
        let mut status = Status { time: NOW, ..Status::default() };
        status.score.state = ModelState::Active;
        status.capture = Some(CaptureStatus {
            interface: "eth0".to_owned(),
            mode: Mode::Mirror,
            link_up: true,
            attached: true,
            ..CaptureStatus::default()
        });
        status.sinks = vec![SinkStatus { name: "jsonl".to_owned(), ..SinkStatus::default() }];
        status
    }

    #[test]
    fn each_kind_of_blindness_has_a_reason() {
        type Spoil = fn(&mut Status);
        let cases: [(Spoil, State, bool, &str); 9] = [
            (|_| {}, State::Ok, true, ""),
            (|s| s.time = 0, State::Failed, false, "starting"),
            (|s| s.time -= 60_000_000_000, State::Failed, false, "not reported for 60 s"),
            (|s| s.capture.as_mut().unwrap().link_up = false, State::Failed, false, "link of eth0 is down"),
            (|s| s.capture.as_mut().unwrap().attached = false, State::Failed, false, "not on eth0"),
            (
                |s| {
                    let nic = &mut s.capture.as_mut().unwrap().nic;
                    (nic.rx_missed, nic.missed_by, nic.last_loss) = (7, "rx_missed_errors".to_owned(), NOW);
                },
                State::Degraded,
                true,
                "never reached XDP on eth0: 7 had no room in the NIC (rx_missed_errors)",
            ),
            (|s| s.score.state = ModelState::Warming, State::Degraded, true, "warming, 0 % done"),
            (|s| s.residue.wire = 3, State::Degraded, true, "wire is off by 3"),
            (|s| s.sinks[0].failing = "refused".to_owned(), State::Failed, true, "last attempt: refused"),
        ];
        for (spoil, state, ready, reason) in cases {
            let mut status = well();
            spoil(&mut status);
            let health = Health::of(&status, NOW);
            assert_eq!((health.status, health.ready()), (state, ready), "{reason}");
            let reasons: String = health.components.iter().map(|part| part.reason.as_str()).collect();
            assert!(reasons.contains(reason), "{reason} in {reasons}");
        }
    }
}
