//! What was learned: its state, and going on with another.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::access::Caller;
use super::app::{App, blocking, now};
use super::input;
use super::overview::{Shadow, shadow};
use super::problem::Problem;
use crate::model::command::{self, CommandError};
use crate::model::{Mailbox, ModelError};
use crate::status::{ModelState, rfc3339};
use crate::telemetry::printable;

/// The model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelPage)]
pub(super) struct Model {
    /// What it does.
    state: ModelState,
    /// How far it is on the way to `active`, 0 to 1.
    progress: f64,
    /// Score above which a window is unusual; 0 before the model is active.
    threshold: f64,
    /// Training steps of the one saved last.
    generation: u64,
    /// RFC 3339: when it was saved last; absent before.
    saved_at: Option<String>,
    /// Why it could not be saved; empty when it could.
    failing: String,
    /// Models that were taken up on request since the start.
    promoted: u64,
    /// Requests that were refused.
    refused: u64,
    /// Rows it learned from since the start.
    trained: u64,
    /// Rows it did not learn from, by why.
    withheld: Withheld,
    /// How a model in the shadow agrees; absent without one.
    shadow: Option<Shadow>,
    /// The model files: live, older, candidate.
    #[schema(value_type = Vec<Object>)]
    models: Value,
    /// Snapshots to go back to, oldest first.
    #[schema(value_type = Vec<String>)]
    snapshots: Value,
}

/// Rows that the model did not learn from.
#[derive(Debug, Serialize, ToSchema)]
struct Withheld {
    /// They were unusual.
    anomalous: u64,
    /// They take part in an attack.
    attack: u64,
    /// Unusual to the frozen reference.
    reference: u64,
    /// The ledger did not add up.
    ledger: u64,
    /// The training budget was spent.
    budget: u64,
    /// Calibrating: the model stands still.
    calibrating: u64,
}

/// Where to go back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rollback {
    /// A snapshot; the latest that differs from the live model if not said.
    #[schema(max_length = 64)]
    snapshot: Option<String>,
}

/// What was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Asked {
    /// Always `waiting`: the analysis takes the model up between two windows.
    state: &'static str,
    /// In words.
    detail: String,
}

/// The model
#[utoipa::path(get, path = "/api/v1/model", tag = "model", security(("token" = ["read"])),
    responses((status = 200, description = "the model's state and files", body = Model)))]
pub(super) async fn model(State(app): State<Arc<App>>) -> Result<Json<Model>, Problem> {
    let config = app.config();
    let listed = blocking(move || {
        let mut text = Vec::new();
        command::info(&config, now(), true, &mut text).map(|()| text)
    });
    let text = listed.await?.map_err(|error| problem(&error))?;
    let mut files: Value =
        serde_json::from_slice(&text).map_err(|error| Problem::internal(error.to_string()))?;
    for model in files["models"].as_array_mut().into_iter().flatten() {
        // Paths of the machine are nobody's business.
        let name = model["file"].as_str().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
        model["file"] = name.into();
    }
    let status = app.status.latest();
    let bins = &status.ledger.scoring;
    Ok(Json(Model {
        state: status.score.state,
        progress: status.score.progress,
        threshold: status.score.threshold,
        generation: status.model.generation,
        saved_at: (status.model.saved_at != 0).then(|| rfc3339(status.model.saved_at)),
        failing: printable(&status.model.failing, 300),
        promoted: status.model.promoted,
        refused: status.model.refused,
        trained: bins.trained,
        withheld: Withheld {
            anomalous: bins.withheld_anomalous,
            attack: bins.withheld_attack,
            reference: bins.withheld_reference,
            ledger: bins.withheld_ledger,
            budget: bins.withheld_budget,
            calibrating: bins.withheld_calibrating,
        },
        shadow: shadow(&status),
        models: files["models"].take(),
        snapshots: files["snapshots"].take(),
    }))
}

/// Make the candidate live
///
/// As `vesper model promote` does. The present model stays as a snapshot.
#[utoipa::path(post, path = "/api/v1/model/promote", tag = "model", security(("token" = ["admin"])),
    responses((status = 202, description = "the analysis takes it up", body = Asked),
        (status = 409, description = "there is no candidate, or it does not fit", body = super::problem::Body,
            content_type = "application/problem+json")))]
pub(super) async fn promote(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<(axum::http::StatusCode, Json<Asked>), Problem> {
    let config = app.config();
    let asked = ask(&app, move || command::promote(&config, None, &mut std::io::sink())).await?;
    super::audit::record(&app, &caller.name, "model.promote", "candidate", "").await?;
    Ok(asked)
}

/// Go back to a snapshot
#[utoipa::path(post, path = "/api/v1/model/rollback", tag = "model", security(("token" = ["admin"])),
    request_body = Rollback,
    responses((status = 202, description = "the analysis takes it up", body = Asked),
        (status = 409, description = "there is no such snapshot, or it does not fit", body = super::problem::Body,
            content_type = "application/problem+json")))]
pub(super) async fn rollback(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    input::Json(wanted): input::Json<Rollback>,
) -> Result<(axum::http::StatusCode, Json<Asked>), Problem> {
    input::short("snapshot", wanted.snapshot.as_deref().unwrap_or_default(), 64)?;
    let (config, name) = (app.config(), wanted.snapshot.clone());
    let go = move || command::rollback(&config, name.as_deref(), &mut std::io::sink());
    let asked = ask(&app, go).await?;
    let snapshot = wanted.snapshot.unwrap_or_else(|| "latest".to_owned());
    super::audit::record(&app, &caller.name, "model.rollback", &snapshot, "").await?;
    Ok(asked)
}

/// Leaves a model where the mailbox looks, and has it look.
async fn ask(
    app: &Arc<App>,
    command: impl FnOnce() -> Result<(), CommandError> + Send + 'static,
) -> Result<(axum::http::StatusCode, Json<Asked>), Problem> {
    let (config, mailbox): (_, Arc<Mailbox>) = (app.config(), app.mailbox.clone());
    let done = blocking(move || {
        command()?;
        mailbox.look(&config.state_dir).map_err(CommandError::from)
    });
    let taken = done.await?.map_err(|error| problem(&error))?;
    let detail = match taken {
        true => "the analysis takes the model up between two windows; GET /api/v1/model says when",
        false => "the model is live from the next start on",
    };
    let asked = Asked { state: "waiting", detail: detail.to_owned() };
    Ok((axum::http::StatusCode::ACCEPTED, Json(asked)))
}

fn problem(error: &CommandError) -> Problem {
    match error {
        CommandError::Model(ModelError::Missing { .. }) => Problem::conflict(
            "there is no candidate",
            "`vesper model train` or `vesper model import` makes one",
        ),
        other => {
            Problem::conflict(printable(&other.to_string(), 500), "GET /api/v1/model lists what there is")
        }
    }
}
