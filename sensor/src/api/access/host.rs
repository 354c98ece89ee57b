//! Requests that a web page of somebody else had the user's browser send: they name the page's host (DNS rebinding), or
//! the page's origin.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Guard;
use crate::api::problem::Problem;
use crate::telemetry::printable;

/// Refuses requests that name another host than this machine.
pub(in crate::api) async fn check_host(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|_| hosts.next().is_none()) else {
        let detail = "the request has no single Host header";
        let remedy = "send one, such as Host: 127.0.0.1:8888";
        return Problem::new(StatusCode::BAD_REQUEST, detail, remedy).into_response();
    };
    // An absolute URI names a host too.
    let named = request.uri().authority().map(|authority| authority.as_str());
    for host in [Some(host), named].into_iter().flatten() {
        if !is_ours(host, &guard.names) {
            let detail = format!("this address serves this machine alone, not {}", printable(host, 100));
            let remedy = "ask for localhost or an IP address, or add the name to api.names";
            return Problem::new(StatusCode::MISDIRECTED_REQUEST, detail, remedy).into_response();
        }
    }
    next.run(request).await
}

/// `localhost`, an IP address or a configured name, with or without a port.
fn is_ours(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok()
        || names.iter().any(|known| known.eq_ignore_ascii_case(bare))
}

/// Whether a page of another origin sends this, as far as a browser says so. `None`: no browser says anything.
pub(super) fn foreign(headers: &HeaderMap) -> Option<bool> {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    let origin = text(header::ORIGIN);
    if let Some(site) = site
        && !matches!(site, "same-origin" | "none")
    {
        return Some(true);
    }
    let Some(origin) = origin else { return site.map(|_| false) };
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let host = text(header::HOST).unwrap_or("");
    Some(!authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let names = ["sensor.example".to_owned()];
        for (host, ours) in [
            ("localhost", true),
            ("LOCALHOST:8888", true),
            ("127.0.0.1:8888", true),
            ("[::1]:8888", true),
            ("[::1]", true),
            ("10.0.0.1", true),
            ("Sensor.example:8888", true),
            ("evil.example", false),
            ("sensor.example.evil.example", false),
            ("localhost.evil.example:8888", false),
            ("localhost.", false),
            ("2130706433", false),
            ("0x7f.1", false),
            ("127.1", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_ours(host, &names), ours, "{host}");
        }
    }

    #[test]
    fn origins() {
        for (site, origin, expected) in [
            (None, None, None),
            (Some("same-origin"), None, Some(false)),
            (Some("none"), None, Some(false)),
            (Some("cross-site"), None, Some(true)),
            (Some("same-site"), Some("http://localhost:8888"), Some(true)),
            (None, Some("http://localhost:8888"), Some(false)),
            (None, Some("https://localhost:8888"), Some(false)),
            (None, Some("http://localhost:9999"), Some(true)),
            (None, Some("http://evil.example"), Some(true)),
            (Some("same-origin"), Some("null"), Some(true)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:8888".parse().unwrap());
            if let Some(site) = site {
                headers.insert("sec-fetch-site", site.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(foreign(&headers), expected, "{site:?} {origin:?}");
        }
    }
}
