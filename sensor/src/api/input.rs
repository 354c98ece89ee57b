//! What clients send, or a problem that says what is wrong with it.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::telemetry::printable;

/// A JSON body.
#[derive(Debug)]
pub(super) struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let value = axum::Json::<serde_json::Value>::from_request(request, state).await;
        let axum::Json(value) = value.map_err(|rejection| refusal(&rejection))?;
        // serde would take a list for a struct as well, its fields in their order.
        if !value.is_object() {
            return Err(Problem::unprocessable("the body is no JSON object", DESCRIBED));
        }
        let unfit =
            |error: serde_json::Error| Problem::unprocessable(printable(&error.to_string(), 300), DESCRIBED);
        serde_json::from_value(value).map(Json).map_err(unfit)
    }
}

/// A JSON body, or none.
#[derive(Debug)]
pub(super) struct MaybeJson<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if axum::body::HttpBody::is_end_stream(request.body()) {
            return Ok(MaybeJson(T::default()));
        }
        Json::from_request(request, state).await.map(|Json(value)| MaybeJson(value))
    }
}

const DESCRIBED: &str = "/docs describes what belongs here";

fn refusal(rejection: &JsonRejection) -> Problem {
    let remedy = match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "send Content-Type: application/json",
        StatusCode::PAYLOAD_TOO_LARGE => "send less than 1 MiB",
        _ => DESCRIBED,
    };
    Problem::new(rejection.status(), printable(&rejection.body_text(), 300), remedy)
}

/// Parameters in the query.
#[derive(Debug)]
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Params(value)),
            Err(rejection) => Err(bad_query(&rejection)),
        }
    }
}

fn bad_query(rejection: &QueryRejection) -> Problem {
    let remedy = "/docs describes the parameters of this path";
    Problem::new(StatusCode::BAD_REQUEST, printable(&rejection.body_text(), 300), remedy)
}

/// A part of the path, at most 64 characters.
#[derive(Debug)]
pub(super) struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        match path {
            Ok(axum::extract::Path(id)) if id.len() <= 64 => Ok(Id(id)),
            _ => Err(Problem::missing("there is no such thing", "ids have at most 64 characters")),
        }
    }
}

/// Which part of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// How many at most, 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `next` of the answer before.
    #[param(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
}

/// A text of at most so many characters.
pub(super) fn short(name: &str, text: &str, most: usize) -> Result<(), Problem> {
    if text.chars().nth(most).is_none() {
        return Ok(());
    }
    let detail = format!("{name} has more than {most} characters");
    Err(Problem::new(StatusCode::BAD_REQUEST, detail, "say it in fewer"))
}

/// A limit within its range; 50 if not said.
pub(super) fn limit(asked: Option<u32>) -> Result<usize, Problem> {
    match asked.unwrap_or(50) {
        limit @ 1..=500 => Ok(limit as usize),
        other => {
            Err(Problem::new(StatusCode::BAD_REQUEST, format!("limit={other}"), "give a limit from 1 to 500"))
        }
    }
}

/// A cursor that an earlier answer gave.
pub(super) fn cursor(asked: Option<&str>) -> Result<Option<i64>, Problem> {
    let bad = || {
        let detail = format!("cursor={} is none of ours", printable(asked.unwrap_or_default(), 30));
        Problem::new(StatusCode::BAD_REQUEST, detail, "give `next` of the answer before, or none")
    };
    let parse = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 18 {
        true => text.parse().map_err(|_not_a_number| bad()),
        false => Err(bad()),
    };
    asked.map(parse).transpose()
}

/// Nanoseconds since the Unix epoch of an RFC 3339 time; before 1970 is 1970.
pub(super) fn time(name: &str, asked: Option<&str>) -> Result<Option<i64>, Problem> {
    let bad = |text: &str| {
        let detail = format!("{name}={} is no time", printable(text, 40));
        Problem::new(StatusCode::BAD_REQUEST, detail, "write it as in RFC 3339: 2026-11-21T08:00:00Z")
    };
    asked.map(|text| parse_time(text).ok_or_else(|| bad(text))).transpose()
}

fn parse_time(text: &str) -> Option<i64> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let (local, offset) = match text.as_bytes().last()? {
        b'Z' | b'z' => (&text[..text.len() - 1], 0),
        _ => {
            let (local, zone) = text.split_at(text.len() - 6);
            let sign = match zone.as_bytes()[0] {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = zone[1..].split_once(':')?;
            let digits =
                |text: &str| text.parse::<i64>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
            let (hours, minutes) = (digits(hours)?, digits(minutes)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (local, sign * (hours * 3600 + minutes * 60))
        }
    };
    let year = local.get(..4)?.parse::<i64>().ok()?;
    if year < 1970 {
        return Some(0);
    }
    // A leap second counts as the second before it; humantime takes only what UTC writes.
    let local = local.to_ascii_uppercase().replace(' ', "T");
    let whole = match local.get(17..19) {
        Some("60") => format!("{}59{}", &local[..17], &local[19..]),
        _ => local,
    };
    let (seconds, fraction) =
        whole.split_once('.').map_or((whole.as_str(), ""), |(seconds, part)| (seconds, part));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || (whole.contains('.') && fraction.is_empty()) {
        return None;
    }
    let digits: String = fraction.chars().take(9).collect();
    let nanoseconds = if digits.is_empty() { 0 } else { format!("{digits:0<9}").parse::<i64>().ok()? };
    let since = humantime::parse_rfc3339(&format!("{seconds}Z")).ok()?;
    let seconds = since.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    let seconds = i64::try_from(seconds).ok()? - offset;
    Some(seconds.max(0).saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T08:00:00Z", Some(1_795_248_000)),
            ("2026-11-21t08:00:00z", Some(1_795_248_000)),
            ("2026-11-21T09:30:00+01:30", Some(1_795_248_000)),
            ("2026-11-21T03:00:00-05:00", Some(1_795_248_000)),
            ("2026-11-21T07:59:60Z", Some(1_795_247_999)),
            ("0001-01-01T00:00:00Z", Some(0)),
            ("2026-11-21", None),
            ("2026-13-21T08:00:00Z", None),
            ("2026-11-21T08:00:00", None),
            ("2026-11-21T08:00:00+25:00", None),
            ("2026-11-21T08:00:00.Z", None),
            ("tomorrow, at about noon", None),
        ] {
            assert_eq!(parse_time(text), seconds.map(|seconds: i64| seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(parse_time("1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
        assert_eq!(parse_time("1970-01-01T00:00:01.1234567891Z"), Some(1_123_456_789));
    }
}
