//! Tells systemd how the sensor is (sd_notify(3)). Without systemd nobody listens, and nothing happens.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sd_notify::NotifyState;

use crate::status::{ModelState, Shared, Status};

/// The analysis writes a status every second, after a drain: one this old means that packets are not counted or windows not
/// closed.
const STALE: Duration = Duration::from_secs(5);

fn tell(states: &[NotifyState<'_>]) {
    // A socket that is gone is systemd's affair.
    let _told = sd_notify::notify(states);
}

/// Packets are watched, and the API answers.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The settings are read again.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now().ok());
    tell(&states);
}

/// The sensor stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: what was counted is analysed")]);
}

/// Feeds the watchdog for as long as drains and windows go on, and says in a line how it goes. Stops with the status.
pub fn watch(shared: &Arc<Shared>) -> std::io::Result<()> {
    let Some(patience) = sd_notify::watchdog_enabled() else { return Ok(()) };
    let shared = Arc::downgrade(shared);
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || feed(&shared, patience / 3))?;
    Ok(())
}

fn feed(shared: &Weak<Shared>, every: Duration) {
    while let Some(shared) = shared.upgrade() {
        let status = shared.latest();
        drop(shared);
        if is_alive(&status, now()) {
            tell(&[NotifyState::Watchdog, NotifyState::Status(&line(&status))]);
        } else {
            tracing::error!("no window was closed for {} s: the watchdog is not fed", STALE.as_secs());
        }
        std::thread::sleep(every);
    }
}

fn is_alive(status: &Status, now: u64) -> bool {
    // Before the first status there is a limit of its own: TimeoutStartSec.
    status.time == 0 || u128::from(now.saturating_sub(status.time)) < STALE.as_nanos()
}

/// `systemctl status` shows it.
fn line(status: &Status) -> String {
    let score = &status.score;
    let model = match score.state {
        ModelState::Active => "active".to_owned(),
        ModelState::Warming => format!("warming, {:.0} %", score.progress * 100.0),
        ModelState::Calibrating => format!("calibrating, {:.0} %", score.progress * 100.0),
    };
    let alerts: u64 = status.threats.values().sum();
    let off = status.residues().filter(|(_, residue)| *residue != 0).count();
    let ledger =
        if off == 0 { "ledger balanced".to_owned() } else { format!("LEDGER OFF in {off} equations") };
    format!("{:.0} packets/s, model {model}, {alerts} alerts since start, {ledger}", status.rates.packets)
}

#[expect(clippy::disallowed_methods, reason = "whether a status is fresh is about real time")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fresh_status_is_alive_and_the_line_says_how_it_goes() {
        let mut status = Status { time: 10_000_000_000, ..Status::default() };
        assert!(is_alive(&status, 14_000_000_000));
        assert!(!is_alive(&status, 16_000_000_000));
        status.rates.packets = 1234.4;
        assert_eq!(
            line(&status),
            "1234 packets/s, model warming, 0 %, 0 alerts since start, ledger balanced"
        );
        status.residue.wire = 1;
        assert!(line(&status).ends_with("LEDGER OFF in 1 equations"));
    }
}
