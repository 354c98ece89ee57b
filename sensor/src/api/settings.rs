//! The configuration.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::access::Caller;
use super::app::App;
use super::problem::Problem;
use crate::config::show;

/// What a reload came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reloaded {
    /// Sections and settings that run now.
    taken_up: Vec<String>,
    /// Settings that differ and need a restart.
    need_restart: Vec<String>,
    /// What a person should know.
    warnings: Vec<String>,
}

/// The configuration that runs
///
/// Every setting with its value. Secrets are never in it: settings name files that hold them, and what a URL may hold
/// beyond host and path is left out.
#[utoipa::path(get, path = "/api/v1/config", tag = "sensor", security(("token" = ["read"])),
    responses((status = 200, description = "the settings", body = Object)))]
pub(super) async fn config(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    let failed = |error: String| Problem::internal(format!("the settings could not be written: {error}"));
    let shown = show::shown(&app.config()).map_err(|error| failed(error.to_string()))?;
    serde_json::to_value(shown).map(Json).map_err(|error| failed(error.to_string()))
}

/// Read the configuration again
///
/// As SIGHUP does. Where something is wrong with it, the old one stays.
#[utoipa::path(post, path = "/api/v1/config/reload", tag = "sensor", security(("token" = ["admin"])),
    responses((status = 200, description = "the new settings run", body = Reloaded),
        (status = 422, description = "the new settings are wrong; the old ones stay", body = super::problem::Body,
            content_type = "application/problem+json")))]
pub(super) async fn reload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Reloaded>, Problem> {
    let busy = || Problem::unavailable("the sensor cannot reload now", "try again in a moment");
    let (answer, answered) = oneshot::channel();
    app.reload.try_send(answer).map_err(|_full_or_closed| busy())?;
    let outcome = answered.await.map_err(|_gone| busy())?;
    let detail = outcome.as_ref().map_or_else(Clone::clone, |reloaded| reloaded.taken_up.join(", "));
    super::audit::record(&app, &caller.name, "config.reload", "", &detail).await?;
    let wrong = |why: String| {
        Problem::unprocessable(why, "correct the file; `vesper check` says the same without a reload")
    };
    let crate::reload::Reloaded { taken_up, need_restart, warnings } = outcome.map_err(wrong)?;
    Ok(Json(Reloaded { taken_up, need_restart, warnings }))
}
