//! Paths to answers.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::health::Health;
use super::problem::Problem;
use crate::status::{Shared, Summary, metrics};
use crate::telemetry::printable;

/// No request of today has a body; later ones are small.
const LARGEST_BODY: usize = 64 * 1024;
const PATHS: &str = "known paths: /health, /metrics, /-/healthy, /-/ready, /api/v1/statistics";

/// All paths. `local_only`: the address is a loopback address.
pub(super) fn routes(status: Arc<Shared>, local_only: bool) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(scrape))
        .route("/-/healthy", get(async || "vesper is alive\n"))
        .route("/-/ready", get(ready))
        .route("/api/v1/statistics", get(statistics))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(move |request, next| check_host(local_only, request, next)))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(status)
}

async fn health(State(status): State<Arc<Shared>>) -> Response {
    let health = Health::of(&status.latest(), now());
    let code = match health.status {
        super::health::State::Failed => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (code, Json(health)).into_response()
}

async fn ready(State(status): State<Arc<Shared>>) -> Response {
    if Health::of(&status.latest(), now()).ready() {
        return "vesper watches packets\n".into_response();
    }
    let detail = "no packets can be watched now".to_owned();
    Problem { status: StatusCode::SERVICE_UNAVAILABLE, detail, remedy: "GET /health says why" }
        .into_response()
}

async fn scrape(State(status): State<Arc<Shared>>) -> Response {
    match metrics::render(&status.latest()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => Problem {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            detail: format!("the metrics could not be written: {error}"),
            remedy: "please report it",
        }
        .into_response(),
    }
}

async fn statistics(State(status): State<Arc<Shared>>) -> Json<Summary> {
    Json(Summary::from(&*status.latest()))
}

async fn unknown_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}", printable(uri.path(), 100));
    Problem { status: StatusCode::NOT_FOUND, detail, remedy: PATHS }
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail =
        format!("{} cannot be used on {}", printable(method.as_str(), 20), printable(uri.path(), 100));
    Problem { status: StatusCode::METHOD_NOT_ALLOWED, detail, remedy: "use GET" }
}

/// Refuses requests that a web page of somebody else sent to this machine through the user's browser: they name
/// the page's host (DNS rebinding).
async fn check_host(local_only: bool, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|_| hosts.next().is_none()) else {
        let detail = "the request has no single Host header".to_owned();
        let remedy = "send one, such as Host: 127.0.0.1:8888";
        return Problem { status: StatusCode::BAD_REQUEST, detail, remedy }.into_response();
    };
    if local_only && !is_local(host) {
        let detail = format!("this address serves this machine alone, not {}", printable(host, 100));
        let remedy = "ask for localhost or an IP address; a proxy in front must send one of these as Host";
        return Problem { status: StatusCode::MISDIRECTED_REQUEST, detail, remedy }.into_response();
    }
    next.run(request).await
}

/// `localhost` or an IP address, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

#[expect(clippy::disallowed_methods, reason = "whether a snapshot is fresh is about real time")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn hosts() {
        for (host, local) in [
            ("localhost", true),
            ("LOCALHOST:8888", true),
            ("127.0.0.1:8888", true),
            ("[::1]:8888", true),
            ("[::1]", true),
            ("10.0.0.1", true),
            ("evil.example", false),
            ("localhost.evil.example:8888", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
