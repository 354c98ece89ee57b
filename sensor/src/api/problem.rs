//! Errors as `application/problem+json` (RFC 9457), each with a remedy.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error as a client sees it.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    /// What is wrong with this request.
    pub detail: String,
    /// What to do.
    pub remedy: &'static str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("error");
        let body = json!({
            "type": "about:blank", "title": title, "status": self.status.as_u16(),
            "detail": self.detail, "remedy": self.remedy,
        });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
