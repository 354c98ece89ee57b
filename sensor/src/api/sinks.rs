//! Sinks: what became of what they were to be told, a test of one, and dead letters tried again.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Caller;
use super::app::{App, blocking, now};
use super::input::Id;
use super::overview::{self, Sink};
use super::problem::{Body, Problem};
use crate::sinks::Outcome;
use crate::sinks::trial::{self, TrialError};
use crate::store::audit;
use crate::store::outbox::{self, DeadLetter};
use crate::telemetry::printable;

/// Every sink.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sinks {
    items: Vec<Page>,
}

/// A sink, and what it could not be told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SinkPage)]
pub(super) struct Page {
    #[serde(flatten)]
    sink: Sink,
    /// The dead letters, those given up last first; 20 at most, `dead_letter` counts all.
    dead_letters: Vec<DeadLetter>,
}

/// Dead letters that are listed of each sink.
const LETTERS: usize = 20;

/// What a test came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tested {
    /// Whether the target took the message.
    delivered: bool,
    /// Why not; empty when it did.
    error: String,
}

/// Dead letters that wait again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Retried {
    /// How many.
    messages: usize,
}

/// Sinks
#[utoipa::path(get, path = "/api/v1/sinks", tag = "sensor", security(("token" = ["read"])),
    responses((status = 200, description = "every sink, and what became of its messages", body = Sinks)))]
pub(super) async fn sinks(State(app): State<Arc<App>>) -> Result<Json<Sinks>, Problem> {
    let sinks = overview::sinks(&app.status.latest());
    let items = app.read(move |connection| {
        let page = |sink: Sink| {
            let dead_letters = outbox::dead(connection, &sink.name, LETTERS)?;
            Ok(Page { sink, dead_letters })
        };
        sinks.into_iter().map(page).collect()
    });
    Ok(Json(Sinks { items: items.await? }))
}

/// Test a sink
///
/// Sends a message that says it is a test through the real target. A target that groups messages may take a minute.
#[utoipa::path(post, path = "/api/v1/sinks/{name}/test", tag = "sensor", security(("token" = ["admin"])),
    params(("name" = String, Path, max_length = 64)),
    responses((status = 200, description = "what the target said", body = Tested),
        (status = 429, description = "another test is under way", body = Body,
            content_type = "application/problem+json")))]
pub(super) async fn test(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Id(name): Id,
) -> Result<Json<Tested>, Problem> {
    let Ok(_turn) = app.tests.try_acquire() else {
        let status = axum::http::StatusCode::TOO_MANY_REQUESTS;
        return Err(Problem::new(status, "another test is under way", "try again when it is done"));
    };
    let (config, sink) = (app.config(), name.clone());
    let outcome = blocking(move || trial::send(&config.sinks, &config.state_dir, &sink, now())).await?;
    let outcome =
        outcome.map_err(|error: TrialError| Problem::missing(printable(&error.to_string(), 400), LISTED))?;
    super::audit::record(&app, &caller.name, "sink.test", &name, "").await?;
    let error = match outcome {
        Outcome::Delivered => String::new(),
        Outcome::Retry { error, .. } | Outcome::Refused { error } => printable(&error, 400),
        Outcome::Wait { .. } => "the target still waits for further messages".to_owned(),
    };
    Ok(Json(Tested { delivered: error.is_empty(), error }))
}

/// Try dead letters again
#[utoipa::path(post, path = "/api/v1/sinks/{name}/retry", tag = "sensor", security(("token" = ["write"])),
    params(("name" = String, Path, max_length = 64)),
    responses((status = 200, description = "they wait again", body = Retried)))]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Id(name): Id,
) -> Result<Json<Retried>, Problem> {
    if !app.status.latest().sinks.iter().any(|sink| sink.name == name) {
        return Err(Problem::missing("there is no such sink", LISTED));
    }
    let messages = app.write(move |tx| {
        let now = now() as i64;
        let messages = outbox::retry(tx, Some(&name), now)?;
        audit::record(tx, &caller.name, "sink.retry", &name, &messages.to_string(), now)?;
        Ok(messages)
    });
    Ok(Json(Retried { messages: messages.await? }))
}

const LISTED: &str = "GET /api/v1/sinks lists those there are";
