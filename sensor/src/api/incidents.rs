//! What happened before and what was done.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::app::{App, blocking, now};
use super::input::{self, Id, Params, cursor, limit};
use super::problem::Problem;
use crate::incidents::{self, Draft, Filter, Found, Incident, Likeness, Origin, Written};
use crate::store::audit;
use crate::telemetry::printable;

/// Which incidents.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// With some of these words, best first; then there is one page.
    #[param(max_length = 200)]
    q: Option<String>,
    /// How many at most, 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the answer before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// Incidents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Incidents {
    items: Vec<Incident>,
    /// Where the next page begins; absent at the end.
    next: Option<String>,
}

/// What to look for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Search {
    /// Words, in any order.
    #[schema(max_length = 2000)]
    words: String,
    /// An alert that it should be like.
    #[schema(max_length = 64)]
    threat_id: String,
    /// How many at most, 50 if not said.
    #[schema(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Incidents, best first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundIncidents {
    items: Vec<Found>,
}

/// Incidents
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", params(Query), security(("token" = ["read"])),
    responses((status = 200, description = "newest first, or best first for a search", body = Incidents)))]
pub(super) async fn incidents(
    State(app): State<Arc<App>>,
    Params(query): Params<Query>,
) -> Result<Json<Incidents>, Problem> {
    let (limit, cursor) = (limit(query.limit)?, cursor(query.cursor.as_deref())?);
    input::short("q", query.q.as_deref().unwrap_or_default(), 200)?;
    let words = query.q.filter(|words| !words.trim().is_empty());
    let searched = words.is_some();
    let items = app.read(move |connection| match words {
        Some(words) => incidents::search(connection, &words, limit),
        None => incidents::list(connection, &Filter::default(), cursor, limit),
    });
    let items = items.await?;
    let next = items.last().filter(|_| !searched && items.len() == limit);
    Ok(Json(Incidents { next: next.map(|last| last.number.to_string()), items }))
}

/// An incident
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "incidents", security(("token" = ["read"])),
    params(("id" = String, Path, description = "such as INC-2026-001", max_length = 64)),
    responses((status = 200, description = "the incident", body = Incident)))]
pub(super) async fn incident(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<Incident>, Problem> {
    app.read(move |connection| incidents::get(connection, &id)).await?.map(Json).ok_or_else(missing)
}

/// Add an incident
#[utoipa::path(post, path = "/api/v1/incidents", tag = "incidents", security(("token" = ["write"])),
    request_body = Written,
    responses((status = 201, description = "with its id", body = Incident)))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    input::Json(written): input::Json<Written>,
) -> Result<(StatusCode, Json<Incident>), Problem> {
    let unfit =
        |why: incidents::Unfit| Problem::unprocessable(printable(&why.to_string(), 400), "correct it");
    let draft = Draft::new(written, Origin::User).map_err(unfit)?;
    let (max, now) = (app.config().incidents.max, now() as i64);
    let added = app.write(move |tx| {
        let incident = incidents::add(tx, &draft, now, max)?;
        audit::record(tx, &caller.name, "incident.add", &incident.id, &incident.title, now)?;
        Ok(incident)
    });
    let incident = added.await?;
    refresh(&app).await?;
    Ok((StatusCode::CREATED, Json(incident)))
}

/// Remove an incident
#[utoipa::path(delete, path = "/api/v1/incidents/{id}", tag = "incidents", security(("token" = ["admin"])),
    params(("id" = String, Path, max_length = 64)),
    responses((status = 204, description = "it is gone")))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let removed = app.write(move |tx| {
        let removed = incidents::remove(tx, &id)?;
        if removed {
            audit::record(tx, &caller.name, "incident.remove", &id, "", now() as i64)?;
        }
        Ok(removed)
    });
    if !removed.await? {
        return Err(missing());
    }
    refresh(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Search incidents
///
/// By words, by likeness to an alert, or by both.
#[utoipa::path(post, path = "/api/v1/incidents/search", tag = "incidents", security(("token" = ["read"])),
    request_body = Search,
    responses((status = 200, description = "best first", body = FoundIncidents),
        (status = 404, description = "there is no such alert", body = super::problem::Body,
            content_type = "application/problem+json")))]
pub(super) async fn search(
    State(app): State<Arc<App>>,
    input::Json(search): input::Json<Search>,
) -> Result<Json<FoundIncidents>, Problem> {
    let limit = limit(search.limit)?;
    input::short("words", &search.words, 2000)?;
    input::short("threat_id", &search.threat_id, 64)?;
    let index = app.index.clone();
    let found = app.read(move |connection| {
        let likeness = match search.threat_id.as_str() {
            "" => None,
            id => match Likeness::of_alert(connection, id)? {
                None => return Ok(None),
                likeness => likeness,
            },
        };
        incidents::find(connection, &index, &search.words, likeness.as_ref(), limit).map(Some)
    });
    let found = found.await?;
    found
        .map(|items| Json(FoundIncidents { items }))
        .ok_or_else(|| Problem::missing("there is no such alert", "GET /api/v1/alerts lists those there are"))
}

fn missing() -> Problem {
    Problem::missing("there is no such incident", "GET /api/v1/incidents lists those there are")
}

/// What was written counts from now on.
async fn refresh(app: &App) -> Result<(), Problem> {
    let (index, store) = (app.index.clone(), app.store.clone());
    blocking(move || index.refresh(&store)).await??;
    Ok(())
}
