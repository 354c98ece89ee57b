//! Browsers: a token is exchanged once for a cookie that scripts cannot read and other sites cannot use.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};

use super::token::{Token, TokenError, hash, random};

/// Name of the cookie. Over TLS it carries the prefix that makes browsers insist on `Secure` and this host alone.
const COOKIE: [&str; 2] = ["vesper_session", "__Host-vesper_session"];
/// A session ends after this long; its owner logs in again.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Sessions at once; the oldest ends for a further one.
const MOST: usize = 1024;

/// Sessions by the hash of their id: what is in memory opens nothing.
#[derive(Debug, Default)]
pub(in crate::api) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

#[derive(Clone, Debug)]
struct Session {
    token: [u8; 32],
    ends: Instant,
}

impl Sessions {
    /// Begins one; returns the value of `Set-Cookie`.
    pub(in crate::api) fn begin(&self, token: &Token, tls: bool) -> Result<String, TokenError> {
        let id = random()?;
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.ends > now());
        if sessions.len() >= MOST
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.ends).map(|(id, _)| *id)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(hash(&id), Session { token: token.hash(), ends: now() + LIFETIME });
        Ok(cookie(&id, LIFETIME.as_secs(), tls))
    }

    /// The hash of the token that the request's session was begun with.
    pub(super) fn token(&self, headers: &HeaderMap, tls: bool) -> Option<[u8; 32]> {
        let id = id(headers, tls)?;
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&hash(id)).filter(|session| session.ends > now()).map(|session| session.token)
    }

    /// Ends the request's session; returns the `Set-Cookie` that makes the browser forget it.
    pub(in crate::api) fn end(&self, headers: &HeaderMap, tls: bool) -> String {
        if let Some(id) = id(headers, tls) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(id));
        }
        cookie("", 0, tls)
    }
}

fn cookie(id: &str, seconds: u64, tls: bool) -> String {
    let (name, secure) = (COOKIE[usize::from(tls)], if tls { "; Secure" } else { "" });
    format!("{name}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}")
}

fn id(headers: &HeaderMap, tls: bool) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE[usize::from(tls)]).map(|(_, id)| id)
}

#[expect(clippy::disallowed_methods, reason = "sessions end in real time")]
fn now() -> Instant {
    Instant::now()
}
