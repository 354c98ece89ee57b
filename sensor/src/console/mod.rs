//! The console: a web page in the program. Its files are those of `sensor/console`, embedded as they are.
//!
//! In come requests for a file, out goes the file with a policy under which a browser runs nothing else: no script,
//! style or connection of another origin, no script from text. Never here: data; the page asks the API for it.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

#[derive(rust_embed::RustEmbed)]
#[folder = "console"]
struct Files;

/// What the page may do. `require-trusted-types-for` makes the browser refuse to turn text into markup, whoever
/// wrote the text; the console's own modules never try.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; frame-ancestors 'none'; form-action 'self'; require-trusted-types-for 'script'";

/// `/` and everything the page needs, below `/console/`. Nothing here is secret: the page asks for a token itself
/// where the API wants one.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async |headers: HeaderMap| file("index.html", &headers)))
        .route("/favicon.ico", get(async |headers: HeaderMap| file("icon.svg", &headers)))
        .route(
            "/console/{*path}",
            get(async |Path(path): Path<String>, headers: HeaderMap| file(&path, &headers)),
        )
}

/// A file, or that the client has it already: names carry no version, so browsers ask each time.
fn file(path: &str, headers: &HeaderMap) -> Response {
    let (Some(found), Some(kind)) = (Files::get(path), kind(path)) else {
        return (StatusCode::NOT_FOUND, "the console has no such file\n").into_response();
    };
    let tag = tag(&found.metadata.sha256_hash());
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut response = if known.is_some_and(|known| has(known, &tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        found.data.into_owned().into_response()
    };
    let fixed = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let answer = response.headers_mut();
    for (name, value) in fixed {
        answer.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        answer.insert(header::ETAG, tag);
    }
    response
}

/// By the ending; a file of another kind is not served.
fn kind(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    match ending {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

fn tag(hash: &[u8; 32]) -> String {
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// Whether `If-None-Match` names the tag, weakly or not.
fn has(known: &str, tag: &str) -> bool {
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

#[cfg(test)]
mod tests;
