//! `/api/v1/session`: who am I, log in with a token, log out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Caller, Guard, Scope};
use super::app::App;
use super::input;
use super::problem::Problem;

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Session {
    /// Name of the token; `local` where none are configured.
    name: String,
    /// What they may do.
    scope: Scope,
}

/// What a login needs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The token.
    #[schema(max_length = 200)]
    token: String,
}

/// Who am I
#[utoipa::path(get, path = "/api/v1/session", tag = "access", security(("token" = ["read"])),
    responses((status = 200, description = "who asks, and what they may do", body = Session)))]
pub(super) async fn session(Extension(caller): Extension<Caller>) -> Json<Session> {
    Json(Session { name: caller.name, scope: caller.scope })
}

/// Log in
///
/// Exchanges a token for a cookie that scripts cannot read. Where no tokens are configured there is nothing to log in to.
#[utoipa::path(post, path = "/api/v1/session", tag = "access", security(()), request_body = Login,
    responses((status = 200, description = "logged in, with a cookie", body = Session),
        (status = 401, description = "this is no token", body = super::problem::Body,
            content_type = "application/problem+json")))]
pub(super) async fn login(
    State(app): State<Arc<App>>,
    Extension(guard): Extension<Arc<Guard>>,
    input::Json(login): input::Json<Login>,
) -> Result<Response, Problem> {
    input::short("token", &login.token, 200)?;
    let Some(tokens) = &guard.tokens else {
        return Ok(Json(Session { name: "local".to_owned(), scope: Scope::Admin }).into_response());
    };
    let Some(token) = tokens.find(login.token.trim()) else {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "this is no token",
            "`vesper token new NAME` on the sensor makes one",
        ));
    };
    let cookie =
        guard.sessions.begin(&token, guard.tls).map_err(|error| Problem::internal(error.to_string()))?;
    super::audit::record(&app, &token.name, "session.begin", "", "").await?;
    let session = Json(Session { name: token.name.clone(), scope: token.scope });
    Ok(([(header::SET_COOKIE, cookie)], session).into_response())
}

/// Log out
#[utoipa::path(delete, path = "/api/v1/session", tag = "access", security(()),
    responses((status = 204, description = "logged out")))]
pub(super) async fn logout(Extension(guard): Extension<Arc<Guard>>, headers: HeaderMap) -> Response {
    let cookie = guard.sessions.end(&headers, guard.tls);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}
