//! Paths to answers, and what every request passes on its way.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Guard, check_host, guard};
use super::app::App;
use super::problem::Problem;
use super::reference::Description;
use super::{
    alerts, audit, captures, decisions, flows, history, incidents, legacy, live, login, model, openapi,
    overview, probes, reference, settings, sinks,
};
use crate::telemetry::printable;

/// Bodies other than uploads.
const LARGEST_BODY: usize = 1 << 20;
/// For the answer to a request, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// These have limits of their own.
const LONG: [&str; 5] = [
    "/ws/incidents",
    "/api/v1/events",
    "/api/v1/captures/analyze",
    "/analyze-pcap",
    "/api/v1/sinks/{name}/test",
];
const UPLOADS: [&str; 2] = ["/api/v1/captures/analyze", "/analyze-pcap"];

/// Nothing but what this sensor serves itself, and no page of others around it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// Every route with its description.
pub(super) fn described() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let uploads = OpenApiRouter::new()
        .routes(routes!(captures::analyze))
        .routes(routes!(legacy::analyze_pcap))
        .layer(DefaultBodyLimit::disable());
    let (router, mut document) = OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(probes::health))
        .routes(routes!(probes::healthy))
        .routes(routes!(probes::ready))
        .routes(routes!(probes::scrape))
        .routes(routes!(probes::statistics))
        .routes(routes!(overview::status))
        .routes(routes!(history::history))
        .routes(routes!(flows::flows))
        .routes(routes!(flows::hosts))
        .routes(routes!(flows::host))
        .routes(routes!(alerts::alerts))
        .routes(routes!(alerts::alert))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::resolve))
        .routes(routes!(alerts::reopen))
        .routes(routes!(alerts::evidence))
        .routes(routes!(alerts::packets))
        .routes(routes!(alerts::similar))
        .routes(routes!(incidents::incidents, incidents::add))
        .routes(routes!(incidents::search))
        .routes(routes!(incidents::incident, incidents::remove))
        .routes(routes!(decisions::list))
        .routes(routes!(decisions::decide))
        .routes(routes!(captures::captures, captures::start))
        .routes(routes!(captures::capture))
        .routes(routes!(captures::stop))
        .routes(routes!(model::model))
        .routes(routes!(model::promote))
        .routes(routes!(model::rollback))
        .routes(routes!(sinks::sinks))
        .routes(routes!(sinks::test))
        .routes(routes!(sinks::retry))
        .routes(routes!(settings::config))
        .routes(routes!(settings::reload))
        .routes(routes!(audit::entries))
        .routes(routes!(login::session, login::login, login::logout))
        .routes(routes!(live::events))
        .routes(routes!(live::incidents))
        .routes(routes!(legacy::start_capture))
        .routes(routes!(legacy::stop_capture))
        .routes(routes!(legacy::threats))
        .routes(routes!(legacy::statistics))
        .routes(routes!(reference::openapi))
        .merge(uploads)
        .split_for_parts();
    openapi::complete(&mut document);
    (router, document)
}

/// All paths, behind everything that a request must pass.
pub(super) fn routes(
    router: Router<Arc<App>>,
    document: &utoipa::openapi::OpenApi,
    app: Arc<App>,
    guarded: Arc<Guard>,
) -> Router {
    let pages = crate::console::routes()
        .route("/docs", get(reference::page))
        .route("/docs/reference.js", get(reference::script))
        .route("/docs/reference.css", get(reference::style));
    app.counts.know(document.paths.paths.keys().cloned());
    // Once a process: the text lives as long as it.
    let text: &'static str = Box::leak(openapi::text(document).into_boxed_str());
    router
        .layer(middleware::from_fn_with_state(guarded.clone(), guard))
        .merge(pages)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(Description(text)))
        .layer(Extension(guarded.clone()))
        .layer(middleware::from_fn(fitting_bodies))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(guarded.clone(), check_host))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .layer(middleware::from_fn_with_state(guarded, harden))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(app)
}

async fn unknown_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}", printable(uri.path(), 100));
    Problem::missing(detail, "/docs lists all paths; /health and /metrics are among them")
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail =
        format!("{} cannot be used on {}", printable(method.as_str(), 20), printable(uri.path(), 100));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail, "/docs says what can; the header Allow too")
}

/// Requests that are slow to come or slow to answer end.
async fn in_time(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    if path.is_some_and(|path| LONG.contains(&path.as_str())) {
        return next.run(request).await;
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("the request took more than {} s", REQUEST_TIMEOUT.as_secs());
            Problem::unavailable(detail, "send it faster, or ask for less").into_response()
        }
    }
}

/// A body is JSON, or an upload where uploads belong: what a plain form of a foreign page could send is refused, and what
/// says that it is too large, before it comes.
async fn fitting_bodies(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let has_body = length.is_some_and(|length| length > 0) || headers.contains_key(header::TRANSFER_ENCODING);
    let upload = path.is_some_and(|path| UPLOADS.contains(&path.as_str()));
    if !upload && length.is_some_and(|length| length > LARGEST_BODY as u64) {
        let (status, detail) = (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
        return Problem::new(status, detail, "send less than 1 MiB").into_response();
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let fits = if upload { "multipart/form-data" } else { "application/json" };
    if has_body && *request.method() != Method::GET && !kind.eq_ignore_ascii_case(fits) {
        let detail = format!(
            "the body is {}",
            if kind.is_empty() { "of no type".into() } else { printable(kind, 60) }
        );
        return Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            detail,
            format!("send Content-Type: {fits}"),
        )
        .into_response();
    }
    next.run(request).await
}

async fn count(
    State(app): State<Arc<App>>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    app.counts.answered(path.as_ref().map(MatchedPath::as_str), response.status().as_u16());
    response
}

/// What browsers are told with every answer.
async fn harden(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if guard.tls {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}
