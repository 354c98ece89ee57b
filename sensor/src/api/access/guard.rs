//! Lets a request pass, or says why not.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::coarse;
use super::host::foreign;
use super::token::{Token, Tokens};
use super::{Caller, Scope, Sessions};
use crate::api::problem::Problem;

/// What a route asks of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Need {
    /// Nothing.
    Nobody,
    /// A token with at least this scope.
    Token(Scope),
}

/// What the guard knows.
#[derive(Debug)]
pub(in crate::api) struct Guard {
    /// Absent: whoever reaches the address may do everything.
    pub(in crate::api) tokens: Option<Tokens>,
    pub(in crate::api) sessions: Sessions,
    pub(in crate::api) names: Vec<String>,
    pub(in crate::api) tls: bool,
    /// By method and path as registered.
    pub(in crate::api) needs: HashMap<(Method, String), Need>,
}

impl Guard {
    /// Who sends a request with these headers; nobody known without a valid token or session.
    fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let Some(tokens) = &self.tokens else {
            return Some(Caller { name: "local".to_owned(), scope: Scope::Admin });
        };
        let found = match bearer(headers) {
            Some(secret) => tokens.find(secret),
            None => self.sessions.token(headers, self.tls).and_then(|hash| tokens.find_hash(&hash)),
        };
        found.map(|Token { name, scope, .. }| Caller { name, scope })
    }

    /// Whether whoever opened a long connection with these headers may still have it.
    pub(in crate::api) fn still_welcome(&self, headers: &HeaderMap) -> bool {
        self.caller(headers).is_some()
    }

    fn need(&self, method: &Method, path: &str) -> Need {
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.needs.get(&(method, path.to_owned())).copied().unwrap_or(Need::Token(Scope::Admin))
    }

    fn check(&self, request: &Request) -> Result<Option<Caller>, Problem> {
        let headers = request.headers();
        let method = request.method();
        // What is no route or no method of one has no scope; its answer says so and nothing else.
        let Some(path) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) else {
            return Ok(None);
        };
        let socket = headers.contains_key(header::UPGRADE);
        if socket || !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            refuse_foreign(headers, socket, self.tokens.is_some() && bearer(headers).is_none())?;
        }
        match (self.need(method, path), self.caller(headers)) {
            (Need::Nobody, caller) => Ok(caller),
            (Need::Token(_), None) => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "this needs a token",
                "send Authorization: Bearer TOKEN, or log in; `vesper token new NAME` on the sensor makes a token",
            )),
            (Need::Token(scope), Some(caller)) if caller.scope < scope => Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("this needs the scope {}; {} has {}", scope.name(), caller.name, caller.scope.name()),
                "use a token with that scope: `vesper token new NAME --scope SCOPE`",
            )),
            (_, caller) => Ok(caller),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, secret) = value.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Changes and WebSockets are not for pages of others. Browsers always say where a WebSocket comes from: without a word
/// it must bring a token itself, not a cookie.
fn refuse_foreign(headers: &HeaderMap, socket: bool, no_bearer: bool) -> Result<(), Problem> {
    let said = foreign(headers);
    if said == Some(true) || (socket && no_bearer && !headers.contains_key(header::ORIGIN)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a page of another origin sends this",
            "open the console at the sensor's own address, or send a token without Origin and cookies",
        ));
    }
    Ok(())
}

/// Passes requests on with their [`Caller`], and refuses others.
pub(in crate::api) async fn guard(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Response {
    match guard.check(&request) {
        Ok(Some(caller)) => {
            let exactly = caller.sees_exactly();
            request.extensions_mut().insert(caller);
            let response = next.run(request).await;
            if exactly { response } else { coarse::answer(response).await }
        }
        Ok(None) => next.run(request).await,
        Err(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                let challenge = axum::http::HeaderValue::from_static("Bearer realm=\"vesper\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}
