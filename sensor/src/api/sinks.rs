//! Sinks: what became of what they were to be told.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::overview::{self, Sink};

/// Every sink.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sinks {
    items: Vec<Sink>,
}

/// Sinks
#[utoipa::path(get, path = "/api/v1/sinks", tag = "sensor", security(("token" = ["read"])),
    responses((status = 200, description = "every sink, and what became of its messages", body = Sinks)))]
pub(super) async fn sinks(State(app): State<Arc<App>>) -> Json<Sinks> {
    Json(Sinks { items: overview::sinks(&app.status.latest()) })
}
