//! Answers to anomalies that other systems saw.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::{App, blocking, now};
use super::input::{self, Paging, Params, cursor, limit};
use super::problem::Problem;
use crate::incidents::decisions::{self, AnomalyRequest, Decision, DecisionError};
use crate::telemetry::printable;

/// Decisions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Decisions {
    items: Vec<Decision>,
    /// Where the next page begins; absent at the end.
    next: Option<String>,
}

/// What to do about an anomaly
#[utoipa::path(post, path = "/api/v1/decisions/stream-anomaly", tag = "decisions",
    security(("token" = ["write"])), request_body = AnomalyRequest,
    responses((status = 200, description = "what worked before, and how sure that is", body = Decision)))]
pub(super) async fn decide(
    State(app): State<Arc<App>>,
    input::Json(request): input::Json<AnomalyRequest>,
) -> Result<Json<Decision>, Problem> {
    let (store, index) = (app.store.clone(), app.index.clone());
    let decided =
        blocking(move || decisions::decide(&store, &index, &request, now() as i64, |_tx, _event| Ok(())));
    match decided.await? {
        Ok(decision) => Ok(Json(decision)),
        Err(DecisionError::Request(why)) => Err(Problem::unprocessable(printable(&why, 400), "correct it")),
        Err(DecisionError::Store(error)) => Err(error.into()),
    }
}

/// Decisions
#[utoipa::path(get, path = "/api/v1/decisions", tag = "decisions", params(Paging), security(("token" = ["read"])),
    responses((status = 200, description = "newest first", body = Decisions)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(paging): Params<Paging>,
) -> Result<Json<Decisions>, Problem> {
    let (limit, cursor) = (limit(paging.limit)?, cursor(paging.cursor.as_deref())?);
    let found = app.read(move |connection| decisions::list(connection, cursor, limit)).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|(cursor, _)| cursor.to_string());
    Ok(Json(Decisions { items: found.into_iter().map(|(_, decision)| decision).collect(), next }))
}
