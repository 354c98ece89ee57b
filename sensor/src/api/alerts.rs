//! Alerts: what was found, and what people did about it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::access::{Caller, coarse_bound};
use super::app::{App, now};
use super::flows::address;
use super::input::{self, Id, Params, cursor, limit, time};
use super::problem::{Body, Problem};
use crate::alert::{Severity, ThreatType};
use crate::incidents::{self, Found, Likeness, Resolution};
pub(super) use crate::store::alerts::StoredAlert;
use crate::store::alerts::{self, AlertState, Change};
use crate::store::evidence::{self, PacketSummary};
use crate::store::list::{self, AlertFilter};

/// Incidents that are told to be like an alert.
const SIMILAR: usize = 10;

/// Which alerts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Of this type.
    #[param(inline)]
    r#type: Option<ThreatType>,
    /// This severe.
    #[param(inline)]
    severity: Option<Severity>,
    /// In this state.
    #[param(inline)]
    state: Option<AlertState>,
    /// From this IP address.
    #[param(max_length = 45)]
    source: Option<String>,
    /// To this IP address.
    #[param(max_length = 45)]
    destination: Option<String>,
    /// From or to this IP address.
    #[param(max_length = 45)]
    host: Option<String>,
    /// With all of these words in what is said of it.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Not before this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Not after this time.
    #[param(format = DateTime)]
    until: Option<String>,
    /// With at least this score.
    min_score: Option<f64>,
    /// How many at most, 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the answer before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// Alerts, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List {
    items: Vec<StoredAlert>,
    /// Where the next page begins; absent at the end. A page may be short, even empty, and still have a next one: a search
    /// looks at so much at a time.
    next: Option<String>,
}

/// A word about it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Note {
    /// For the audit log.
    #[schema(max_length = 2000)]
    note: String,
}

/// Sampled packets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Packets {
    items: Vec<PacketSummary>,
}

/// Incidents that are alike.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Similar {
    items: Vec<Found>,
}

/// What may come of a change.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description: handlers answer with these")]
enum Changed {
    /// as it stands now
    #[response(status = 200)]
    Done(Box<StoredAlert>),
    /// it is resolved
    #[response(status = 409, content_type = "application/problem+json")]
    Resolved(Body<'static>),
}

/// Alerts
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(Query), security(("token" = ["read"])),
    responses((status = 200, description = "newest first", body = List),
        (status = 422, description = "this is no address", body = Body, content_type = "application/problem+json")))]
pub(super) async fn alerts(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<Query>,
) -> Result<Json<List>, Problem> {
    let (limit, cursor) = (limit(query.limit)?, cursor(query.cursor.as_deref())?);
    input::short("q", query.q.as_deref().unwrap_or_default(), 200)?;
    let ip = |asked: &Option<String>| asked.as_deref().map(address).transpose();
    let filter = AlertFilter {
        threat_type: query.r#type,
        severity: query.severity,
        state: query.state,
        source: ip(&query.source)?,
        destination: ip(&query.destination)?,
        host: ip(&query.host)?,
        words: query.q.filter(|words| !words.trim().is_empty()),
        since: time("since", query.since.as_deref())?,
        until: time("until", query.until.as_deref())?,
        min_score: query
            .min_score
            .map(|least| if caller.sees_exactly() { least } else { coarse_bound(least) }),
    };
    let page = app.read(move |connection| list::list(connection, &filter, cursor, limit)).await?;
    Ok(Json(List { items: page.items, next: page.next.map(|next| next.to_string()) }))
}

/// An alert
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts", security(("token" = ["read"])),
    params(("id" = String, Path, description = "its threat_id", max_length = 64)),
    responses((status = 200, description = "as it stands", body = StoredAlert)))]
pub(super) async fn alert(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<StoredAlert>, Problem> {
    let alert = app.read(move |connection| alerts::get(connection, &id)).await?;
    alert.map(Json).ok_or_else(missing)
}

/// Acknowledge an alert
///
/// Somebody looks at it. One that is acknowledged already stays as it is.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledge", tag = "alerts", security(("token" = ["write"])),
    params(("id" = String, Path, max_length = 64)), request_body = Note,
    responses(Changed))]
pub(super) async fn acknowledge(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    input::Json(note): input::Json<Note>,
) -> Result<Json<StoredAlert>, Problem> {
    input::short("note", &note.note, 2000)?;
    change(&app, move |tx| alerts::acknowledge(tx, &id, &caller.name, &note.note, now() as i64)).await
}

/// Resolve an alert
///
/// What was done becomes an incident, and helps with the next one of its kind.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/resolve", tag = "alerts", security(("token" = ["write"])),
    params(("id" = String, Path, max_length = 64)), request_body = Resolution,
    responses(Changed))]
pub(super) async fn resolve(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    input::Json(resolution): input::Json<Resolution>,
) -> Result<Json<StoredAlert>, Problem> {
    let texts = [&resolution.action, &resolution.root_cause, &resolution.note];
    if texts.iter().any(|text| text.chars().count() > 4000) {
        return Err(Problem::unprocessable("a text has more than 4000 characters", "say it in fewer"));
    }
    let max = app.config().incidents.max;
    change(&app, move |tx| {
        let Some(stored) = alerts::get(tx, &id)? else { return Ok(Change::Missing) };
        if stored.state == AlertState::Resolved {
            return Ok(Change::Refused(Box::new(stored)));
        }
        let fingerprint = alerts::fingerprint(tx, &id)?;
        let fingerprint = (!fingerprint.is_empty()).then_some(fingerprint.as_slice());
        let now = now() as i64;
        let incident = incidents::from_resolution(tx, &stored.alert, &resolution, fingerprint, now, max)?;
        alerts::resolve(tx, &id, &caller.name, &resolution, Some(&incident), now)
    })
    .await
}

/// Open an alert again
#[utoipa::path(post, path = "/api/v1/alerts/{id}/reopen", tag = "alerts", security(("token" = ["write"])),
    params(("id" = String, Path, max_length = 64)), request_body = Note,
    responses((status = 200, description = "as it stands now", body = StoredAlert)))]
pub(super) async fn reopen(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    input::Json(note): input::Json<Note>,
) -> Result<Json<StoredAlert>, Problem> {
    input::short("note", &note.note, 2000)?;
    change(&app, move |tx| alerts::reopen(tx, &id, &caller.name, &note.note, now() as i64)).await
}

async fn change(
    app: &App,
    change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Change> + Send + 'static,
) -> Result<Json<StoredAlert>, Problem> {
    match app.write(change).await? {
        Change::Done(alert) => Ok(Json(*alert)),
        Change::Missing => Err(missing()),
        Change::Refused(alert) => {
            let detail = format!("the alert is {}", alert.state.name());
            Err(Problem::conflict(detail, "open it again first: POST .../reopen"))
        }
    }
}

/// The sampled packets of an alert, as a file
///
/// pcapng, which Wireshark opens; type and, for those who may write, score are in the first packet's comment.
#[utoipa::path(get, path = "/api/v1/alerts/{id}/evidence", tag = "alerts", security(("token" = ["read"])),
    params(("id" = String, Path, max_length = 64)),
    responses((status = 200, description = "a pcapng file", body = Vec<u8>,
        content_type = "application/vnd.tcpdump.pcap")))]
pub(super) async fn evidence(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let (read, exactly) = (id.clone(), caller.sees_exactly());
    let file = app.read(move |connection| evidence::pcapng(connection, &read, exactly)).await?;
    let Some(file) = file else {
        return Err(Problem::missing("there are no packets of this alert", "the oldest evidence goes first"));
    };
    // There is such an alert, so this is an id of ours; a name that is none would be one character here.
    let name: String = id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
        .collect();
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.pcapng\"")),
    ];
    Ok((headers, file).into_response())
}

/// The sampled packets of an alert, a line each
#[utoipa::path(get, path = "/api/v1/alerts/{id}/packets", tag = "alerts", security(("token" = ["read"])),
    params(("id" = String, Path, max_length = 64)),
    responses((status = 200, description = "in the order of time", body = Packets)))]
pub(super) async fn packets(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<Packets>, Problem> {
    let items = app.read(move |connection| match alerts::get(connection, &id)? {
        Some(_) => evidence::packets(connection, &id).map(Some),
        None => Ok(None),
    });
    items.await?.map(|items| Json(Packets { items })).ok_or_else(missing)
}

/// Incidents that are like an alert
#[utoipa::path(get, path = "/api/v1/alerts/{id}/similar", tag = "alerts", security(("token" = ["read"])),
    params(("id" = String, Path, max_length = 64)),
    responses((status = 200, description = "most alike first", body = Similar)))]
pub(super) async fn similar(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<Similar>, Problem> {
    let index = app.index.clone();
    let found = app.read(move |connection| match Likeness::of_alert(connection, &id)? {
        Some(likeness) => incidents::similar(connection, &index, &likeness, SIMILAR).map(Some),
        None => Ok(None),
    });
    found.await?.map(|items| Json(Similar { items })).ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::missing("there is no such alert", "GET /api/v1/alerts lists those there are")
}

/// The latest alerts.
pub(super) fn latest(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<StoredAlert>> {
    Ok(list::list(connection, &AlertFilter::default(), None, limit)?.items)
}

/// The latest alerts from or to a host.
pub(super) fn about_host(connection: &Connection, host: &str) -> rusqlite::Result<Vec<StoredAlert>> {
    let filter = AlertFilter { host: Some(host.to_owned()), ..AlertFilter::default() };
    Ok(list::list(connection, &filter, None, 50)?.items)
}
