//! How many alerts somebody should look at. Counting a million takes a while: then an older number is told while a new one
//! is counted.

use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::app::App;
use super::overview::{Alerts, BySeverity};
use super::problem::Problem;
use crate::store::list;

/// A request may count by itself if it takes no longer.
const QUICK: Duration = Duration::from_millis(10);

/// What was counted last.
#[derive(Debug, Default)]
pub(super) struct Standing {
    last: Mutex<Option<Counted>>,
    /// Somebody counts.
    busy: AtomicBool,
}

#[derive(Clone, Debug)]
struct Counted {
    /// The newest event by then.
    event: i64,
    took: Duration,
    alerts: Alerts,
}

/// Alerts that somebody should look at.
pub(super) async fn standing(app: &Arc<App>) -> Result<Alerts, Problem> {
    let last = app.standing.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let event = *app.store.newest_event().borrow();
    match last {
        Some(last) if last.event == event => Ok(last.alerts),
        Some(last) if last.took > QUICK => {
            // One counts, whoever else asks meanwhile: what was counted before is in `last` when the flag is seen down.
            if !app.standing.busy.swap(true, AcqRel) {
                let app = app.clone();
                tokio::spawn(async move {
                    if count(&app, event).await.is_err() {
                        tracing::warn!("api: alerts cannot be counted");
                    }
                    app.standing.busy.store(false, Release);
                });
            }
            Ok(last.alerts)
        }
        _ => count(app, event).await,
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a request takes is about real time")]
async fn count(app: &App, event: i64) -> Result<Alerts, Problem> {
    let begun = Instant::now();
    let counts = app.read(list::counts).await?;
    let count = |count: i64| count.max(0).cast_unsigned();
    let of = |severity: &str| counts.by_severity.get(severity).copied().map_or(0, count);
    let alerts = Alerts {
        open: count(counts.open),
        acknowledged: count(counts.acknowledged),
        by_severity: BySeverity {
            low: of("low"),
            medium: of("medium"),
            high: of("high"),
            critical: of("critical"),
        },
    };
    let counted = Counted { event, took: begun.elapsed(), alerts: alerts.clone() };
    *app.standing.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
    Ok(alerts)
}
