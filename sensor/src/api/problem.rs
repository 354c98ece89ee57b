//! Errors as `application/problem+json` (RFC 9457), each with a remedy.

use std::borrow::Cow;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// An error as a client sees it.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    /// What is wrong with this request.
    pub detail: String,
    /// What to do.
    pub remedy: Cow<'static, str>,
}

/// Its JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body<'a> {
    /// Always `about:blank`: the status says what kind of error it is.
    r#type: &'static str,
    /// The status in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    detail: &'a str,
    /// What to do.
    remedy: &'a str,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        detail: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Problem {
        Problem { status, detail: detail.into(), remedy: remedy.into() }
    }

    /// The values make no sense.
    pub(super) fn unprocessable(detail: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail, remedy)
    }

    /// There is no such thing.
    pub(super) fn missing(detail: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, detail, remedy)
    }

    /// It cannot be done as things stand.
    pub(super) fn conflict(detail: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::CONFLICT, detail, remedy)
    }

    /// It cannot be done now.
    pub(super) fn unavailable(detail: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail, remedy)
    }

    /// Others came first.
    pub(super) fn busy(detail: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, detail, remedy)
    }

    /// It failed, and the client can do nothing about it.
    pub(super) fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail, "look at the sensor's log")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "api: the store");
        Problem::unavailable("the store cannot be used now", "look at the sensor's log and at the disk")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            remedy: &self.remedy,
        };
        // Text and numbers alone: it cannot fail.
        let json = serde_json::to_string(&body).unwrap_or_default();
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], json).into_response()
    }
}
