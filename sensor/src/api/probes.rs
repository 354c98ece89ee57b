//! Health, readiness, metrics and the summary.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::{App, now};
use super::health::{self, Health};
use super::problem::{Body, Problem};
use crate::status::{Summary, metrics};

/// Whether the sensor does its job
#[utoipa::path(get, path = "/health", tag = "now", security(("token" = ["read"])),
    responses((status = 200, description = "it does, perhaps not fully", body = Health),
        (status = 503, description = "it is blind or mute, and why", body = Health)))]
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let health = Health::of(&app.status.latest(), now());
    let code = match health.status {
        health::State::Failed => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (code, Json(health)).into_response()
}

/// Whether the process lives
#[utoipa::path(get, path = "/-/healthy", tag = "now", security(()),
    responses((status = 200, description = "it does", body = String)))]
pub(super) async fn healthy() -> &'static str {
    "vesper is alive\n"
}

/// Whether packets are watched
#[utoipa::path(get, path = "/-/ready", tag = "now", security(()),
    responses((status = 200, description = "they are", body = String),
        (status = 503, description = "they are not", body = Body, content_type = "application/problem+json")))]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if Health::of(&app.status.latest(), now()).ready() {
        return Ok("vesper watches packets\n");
    }
    Err(Problem::unavailable("no packets can be watched now", "GET /health says why"))
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "now", security(("token" = ["read"])),
    responses((status = 200, description = "all of them", body = String),
        (status = 500, description = "they cannot be written", body = Body,
            content_type = "application/problem+json")))]
pub(super) async fn scrape(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    match metrics::render(&app.status.latest(), &app.counts.read()) {
        Ok(text) => Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()),
        Err(error) => Err(Problem::internal(format!("the metrics could not be written: {error}"))),
    }
}

/// What the sensor has seen since its start
#[utoipa::path(get, path = "/api/v1/statistics", tag = "now", security(("token" = ["read"])),
    responses((status = 200, description = "the summary that is printed at the end, so far", body = Summary)))]
pub(super) async fn statistics(State(app): State<Arc<App>>) -> Json<Summary> {
    Json(Summary::from(&*app.status.latest()))
}
