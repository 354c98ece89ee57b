//! `GET /api/v1/status`: what the first page of a console shows, in one object.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{Caller, Scope};
use super::app::{App, now};
use super::health::{Component, Health, State as Condition};
use super::problem::Problem;
use crate::capture::Mode;
use crate::status::{ModelState, Rates, Status, VERSION, rfc3339};

/// Everything at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(super) struct Overview {
    /// RFC 3339: when the snapshot was taken.
    time: String,
    /// This program's version.
    version: &'static str,
    /// RFC 3339: when the sensor started.
    started: String,
    /// Seconds since then.
    uptime_s: f64,
    /// The interface that is watched; empty before one is.
    interface: String,
    /// What the interface is.
    #[schema(value_type = String)]
    mode: Mode,
    /// Whether the sensor does its job.
    health: Brief,
    /// How fast, over the last second.
    rates: Rates,
    /// Since the start.
    totals: Totals,
    /// What is left over in each equation of the ledger.
    ledger: Vec<Equation>,
    /// Where packets and samples were lost since the start; those with a count of 0, too.
    drops: Vec<Drop>,
    /// The model.
    model: Model,
    /// The flow table.
    flow_table: FlowTable,
    /// Every sink.
    sinks: Vec<Sink>,
    /// Alerts that somebody should look at.
    alerts: Alerts,
    /// What the caller may do.
    access: Access,
}

/// Whether the sensor does its job, part by part.
#[derive(Debug, Serialize, ToSchema)]
struct Brief {
    /// The worst of all parts.
    status: Condition,
    /// Part by part.
    components: Vec<Component>,
}

/// Since the start.
#[derive(Debug, Serialize, ToSchema)]
struct Totals {
    /// Packets seen.
    packets: u64,
    /// Their bytes.
    bytes: u64,
    /// Flows seen.
    flows: u64,
    /// Windows scored.
    windows: u64,
    /// New alerts.
    alerts: u64,
}

/// One equation of the ledger.
#[derive(Debug, Serialize, ToSchema)]
struct Equation {
    /// Its name.
    equation: &'static str,
    /// What is left over: 0, or the sensor is at fault.
    residue: i64,
}

/// Packets or samples that were lost in one place.
#[derive(Debug, Serialize, ToSchema)]
struct Drop {
    /// Where.
    r#where: &'static str,
    /// How many.
    count: u64,
}

/// The model.
#[derive(Debug, Serialize, ToSchema)]
struct Model {
    /// What it does.
    state: ModelState,
    /// How far it is on the way to `active`, 0 to 1.
    progress: f64,
    /// Score above which a window is unusual; 0 before the model is active.
    threshold: f64,
    /// Its name with its training steps, as alerts carry it in `model_used`.
    name: String,
    /// False alarms an hour that it may raise on ordinary traffic.
    budget_per_hour: f64,
    /// How a model in the shadow agrees; absent without one.
    shadow: Option<Shadow>,
}

/// A model in the shadow of the live one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Shadow {
    /// Rows that both scored.
    rows: u64,
    /// Of these, rows that are ordinary or unusual to both, 0 to 1.
    agreement: f64,
    /// Rows that are unusual to the live model.
    unusual_live: u64,
    /// Rows that are unusual to the other.
    unusual_shadow: u64,
}

/// The flow table.
#[derive(Debug, Serialize, ToSchema)]
struct FlowTable {
    /// Flows in it.
    entries: u64,
    /// Flows it can hold.
    limit: u64,
}

/// A sink.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sink {
    /// Its label.
    pub(super) name: String,
    /// Messages it took.
    delivered: u64,
    /// Messages that wait.
    pending: u64,
    /// Messages given up.
    dead_letter: u64,
    /// Messages that were too old.
    expired: u64,
    /// Why the latest attempt failed; empty when it did not.
    failing: String,
}

/// Alerts that somebody should look at.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(super) struct Alerts {
    /// Nobody has looked yet.
    pub(super) open: u64,
    /// Somebody looks.
    pub(super) acknowledged: u64,
    /// The open ones by severity.
    pub(super) by_severity: BySeverity,
}

/// Alerts by severity.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(super) struct BySeverity {
    /// Worth a look.
    pub(super) low: u64,
    /// Look today.
    pub(super) medium: u64,
    /// Look now.
    pub(super) high: u64,
    /// Act now.
    pub(super) critical: u64,
}

/// What the caller may do.
#[derive(Debug, Serialize, ToSchema)]
struct Access {
    /// Acknowledge, resolve and the like.
    write: bool,
    /// Change the model, reload the configuration, delete.
    admin: bool,
}

/// The overview
#[utoipa::path(get, path = "/api/v1/status", tag = "now", security(("token" = ["read"])),
    responses((status = 200, description = "what the sensor is doing now", body = Overview)))]
pub(super) async fn status(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Overview>, Problem> {
    let alerts = super::standing::standing(&app).await?;
    let status = app.status.latest();
    let budget_per_hour = app.config().alert.budget_per_hour;
    Ok(Json(overview(&status, &caller, alerts, budget_per_hour)))
}

fn overview(status: &Status, caller: &Caller, alerts: Alerts, budget_per_hour: f64) -> Overview {
    let health = Health::of(status, now());
    let totals = &status.ledger.totals;
    let residues = status.residues();
    Overview {
        time: rfc3339(status.time),
        version: VERSION,
        started: rfc3339(status.started),
        uptime_s: status.time.saturating_sub(status.started) as f64 / 1e9,
        interface: status.capture.as_ref().map(|live| live.interface.clone()).unwrap_or_default(),
        mode: status.capture.as_ref().map(|live| live.mode).unwrap_or_default(),
        health: Brief { status: health.status, components: health.components },
        rates: status.rates,
        totals: Totals {
            packets: totals.seen.packets,
            bytes: totals.seen.bytes,
            flows: status.flow.total,
            windows: status.ledger.scoring.scored,
            alerts: status.ledger.alerts.stored,
        },
        ledger: residues.map(|(equation, residue)| Equation { equation, residue }).collect(),
        drops: drops(status),
        model: Model {
            state: status.score.state,
            progress: status.score.progress,
            threshold: status.score.threshold,
            name: status.model_name.clone(),
            budget_per_hour,
            shadow: shadow(status),
        },
        flow_table: FlowTable { entries: status.flow.entries, limit: status.flow.limit },
        sinks: sinks(status),
        alerts,
        access: Access { write: caller.scope >= Scope::Write, admin: caller.scope >= Scope::Admin },
    }
}

/// How a model in the shadow agrees.
pub(super) fn shadow(status: &Status) -> Option<Shadow> {
    status.shadow.map(|agreement| Shadow {
        rows: agreement.rows,
        agreement: agreement.same_side as f64 / agreement.rows.max(1) as f64,
        unusual_live: agreement.unusual[0],
        unusual_shadow: agreement.unusual[1],
    })
}

/// What became of the messages of every sink.
pub(super) fn sinks(status: &Status) -> Vec<Sink> {
    let sink = |sink: &crate::sinks::SinkStatus| Sink {
        name: sink.name.clone(),
        delivered: sink.delivered,
        pending: sink.pending,
        dead_letter: sink.dead_letters(),
        expired: sink.expired(),
        failing: sink.failing.clone(),
    };
    status.sinks.iter().map(sink).collect()
}

fn drops(status: &Status) -> Vec<Drop> {
    let (totals, bins) = (&status.ledger.totals, &status.ledger.samples);
    let nic = status.capture.as_ref().map(|live| live.nic.clone()).unwrap_or_default();
    [
        ("nic_missed", nic.rx_missed),
        ("nic_unseen", nic.unseen),
        ("flow_map_full", totals.overflow_table_full.packets),
        ("flow_not_admitted", totals.overflow_not_admitted.packets),
        ("no_lane", totals.overflow_no_lane.packets),
        ("no_socket", totals.lost_no_socket),
        ("ringbuf_full", totals.lost_ringbuf_full),
        ("no_headroom", totals.lost_no_headroom),
        ("rx_ring_full", bins.lost_rx_ring_full),
        ("fill_ring_empty", bins.lost_fill_ring_empty),
        ("rx_dropped", bins.lost_rx_dropped),
        ("invalid_descs", bins.lost_invalid_descs),
        ("restart", bins.lost_restart),
        ("queue_full", bins.shed_queue_full),
        ("flow_table_full", status.flow.refused),
        ("rows_limit", status.ledger.scoring.shed_limit),
    ]
    .map(|(place, count)| Drop { r#where: place, count })
    .into()
}
