//! Paths that backends of the older systems call, with the shapes they know. What is new is under `/api/v1`.

use std::sync::Arc;

use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Caller;
use super::alerts::{self, StoredAlert};
use super::app::App;
use super::captures::{self, Outcome, Start};
use super::connection::Connection;
use super::input::{self, Params};
use super::problem::{Body, Problem};
use crate::status::{ModelState, Summary};

/// A session that began.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Started {
    /// Always `started`.
    status: &'static str,
    /// For `/stop-capture` and `/api/v1/captures/{id}`.
    session_id: String,
}

/// Which session.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Stop {
    /// The latest if not said.
    #[schema(max_length = 64)]
    session_id: Option<String>,
}

/// A session that ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stopped {
    /// `stopped`, or `idle` where no session ran.
    status: &'static str,
    /// The session; absent where none ran.
    session_id: Option<String>,
    /// What was found; absent where none ran.
    #[schema(value_type = Option<Outcome>)]
    result: Option<serde_json::Value>,
}

/// Which threats.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Latest {
    /// How many at most, 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// The latest threats.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Threats {
    /// Newest first.
    threats: Vec<StoredAlert>,
    /// How many these are.
    total: usize,
}

/// Start a session
#[utoipa::path(post, path = "/start-capture", tag = "legacy", security(("token" = ["write"])), request_body = Start,
    responses((status = 200, description = "it runs", body = Started),
        (status = 500, description = "it cannot start, and why", body = Body,
            content_type = "application/problem+json")))]
pub(super) async fn start_capture(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    input::Json(wanted): input::Json<Start>,
) -> Result<Json<Started>, Problem> {
    ready(&app)?;
    // These callers know 500 with the reason, whatever it is.
    let failed = |problem: Problem| match problem.status {
        StatusCode::UNPROCESSABLE_ENTITY => Problem { status: StatusCode::INTERNAL_SERVER_ERROR, ..problem },
        _ => problem,
    };
    let session_id = captures::begin(&app, &caller, wanted).await.map_err(failed)?;
    Ok(Json(Started { status: "started", session_id }))
}

/// Stop a session
#[utoipa::path(post, path = "/stop-capture", tag = "legacy", security(("token" = ["write"])),
    request_body = Option<Stop>,
    responses((status = 200, description = "it is over", body = Stopped)))]
pub(super) async fn stop_capture(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    input::MaybeJson(wanted): input::MaybeJson<Stop>,
) -> Result<Json<Stopped>, Problem> {
    input::short("session_id", wanted.session_id.as_deref().unwrap_or_default(), 64)?;
    let ended = captures::end(&app, &caller, wanted.session_id.as_deref()).await?;
    Ok(Json(match ended {
        Some(capture) => Stopped { status: "stopped", session_id: Some(capture.id), result: capture.result },
        None => Stopped { status: "idle", session_id: None, result: None },
    }))
}

/// Analyse a capture and wait for the result
#[utoipa::path(post, path = "/analyze-pcap", tag = "legacy", security(("token" = ["write"])),
    request_body(content = captures::Form, content_type = "multipart/form-data"),
    responses((status = 200, description = "what was found", body = Outcome)))]
pub(super) async fn analyze_pcap(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(connection): Extension<Arc<Connection>>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Json<serde_json::Value>, Problem> {
    let (id, ended) = captures::submit(&app, &caller, &connection, form).await?;
    match ended.await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => {
            return Err(Problem::unprocessable(why, "send a pcap or pcapng file within the limits"));
        }
        Err(error) => return Err(Problem::internal(error.to_string())),
    }
    let capture = captures::found(&app, id).await?;
    capture.result.map(Json).ok_or_else(|| Problem::internal("the result is gone"))
}

/// The latest threats
#[utoipa::path(get, path = "/threats", tag = "legacy", params(Latest), security(("token" = ["read"])),
    responses((status = 200, description = "newest first", body = Threats)))]
pub(super) async fn threats(
    State(app): State<Arc<App>>,
    Params(latest): Params<Latest>,
) -> Result<Json<Threats>, Problem> {
    let limit = input::limit(latest.limit)?;
    let threats = app.read(move |connection| alerts::latest(connection, limit)).await?;
    Ok(Json(Threats { total: threats.len(), threats }))
}

/// What the sensor has seen since its start
#[utoipa::path(get, path = "/statistics", tag = "legacy", security(("token" = ["read"])),
    responses((status = 200, description = "as /api/v1/statistics", body = Summary)))]
pub(super) async fn statistics(State(app): State<Arc<App>>) -> Json<Summary> {
    Json(Summary::from(&*app.status.latest()))
}

/// These callers expect 503 before the model raises alerts.
fn ready(app: &App) -> Result<(), Problem> {
    let score = app.status.latest().score;
    if score.state == ModelState::Active {
        return Ok(());
    }
    let percent = score.progress.clamp(0.0, 1.0) * 100.0;
    Err(Problem::unavailable(
        format!("the model is not ready yet: {percent:.0} % of its warm-up is done"),
        "try again later; GET /health says how far it is",
    ))
}
