//! Who changed what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::{App, now};
use super::input::{Paging, Params, cursor, limit};
use super::problem::Problem;
use crate::store::audit::{self, Entry};

/// Entries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entries {
    items: Vec<Entry>,
    /// Where the next page begins; absent at the end.
    next: Option<String>,
}

/// Who changed what
#[utoipa::path(get, path = "/api/v1/audit", tag = "access", params(Paging), security(("token" = ["read"])),
    responses((status = 200, description = "changes, the latest first", body = Entries)))]
pub(super) async fn entries(
    State(app): State<Arc<App>>,
    Params(paging): Params<Paging>,
) -> Result<Json<Entries>, Problem> {
    let (limit, cursor) = (limit(paging.limit)?, cursor(paging.cursor.as_deref())?);
    let items = app.read(move |connection| audit::list(connection, cursor, limit)).await?;
    let next = items.last().filter(|_| items.len() == limit).map(|entry| entry.id.to_string());
    Ok(Json(Entries { items, next }))
}

/// Notes a change.
pub(super) async fn record(
    app: &App,
    who: &str,
    action: &'static str,
    target: &str,
    detail: &str,
) -> Result<(), Problem> {
    let (who, target, detail) = (who.to_owned(), target.to_owned(), detail.to_owned());
    let now = now() as i64;
    app.write(move |tx| audit::record(tx, &who, action, &target, &detail, now).map(drop)).await
}
