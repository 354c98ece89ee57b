//! The OpenAPI description and a page that shows it, all of it our own.

use axum::Extension;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The text of the description.
#[derive(Clone, Debug)]
pub(super) struct Description(pub(super) &'static str);

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "sensor", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi(Extension(Description(text)): Extension<Description>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The page.
pub(super) async fn page() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], include_str!("docs/index.html")).into_response()
}

/// Its code.
pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("docs/reference.js"))
        .into_response()
}

/// Its looks.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("docs/reference.css")).into_response()
}
