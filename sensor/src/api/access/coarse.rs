//! Scores as callers who may only look get them: in steps of half a decade, and without what would have passed.
//!
//! A token that reads lies in dashboards and scripts, and is the first to leak. Whoever has one and sends traffic could
//! else watch the score of his own flows, and stay just below the threshold. Half a decade tells a person what is more
//! unusual than what, and an attacker that he is near, but not how near.

use axum::body::{Body, to_bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::super::problem::Problem;

/// Answers are pages of lists: none is longer.
const LARGEST: usize = 64 << 20;
const STEPS: f64 = 2.0;

/// The step that a score is on.
pub(in crate::api) fn coarse(score: f64) -> f64 {
    (score * STEPS).floor() / STEPS
}

/// The least step that is no lower, for a bound on scores: else asking for bounds would tell the score.
pub(in crate::api) fn coarse_bound(score: f64) -> f64 {
    (score * STEPS).ceil() / STEPS
}

/// An answer as a caller who may only look gets it. What is no JSON stays.
pub(super) async fn answer(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, LARGEST).await else {
        return Problem::internal("the answer is too large").into_response();
    };
    if bytes.is_empty() {
        // To HEAD.
        return Response::from_parts(head, Body::empty());
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
        return Problem::internal("the answer is no JSON").into_response();
    };
    blur(&mut value);
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(value.to_string()))
}

/// The same for the text of a message.
pub(in crate::api) fn text(exact: &str) -> String {
    match serde_json::from_str::<Value>(exact) {
        Ok(mut value) => {
            blur(&mut value);
            value.to_string()
        }
        Err(_) => exact.to_owned(),
    }
}

fn blur(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.remove("accepted");
            for (key, value) in object {
                match value.as_f64() {
                    Some(score) if matches!(key.as_str(), "score" | "max_score") => {
                        *value = coarse(score).into()
                    }
                    _ => blur(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blur),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_and_asked_for_agree() {
        for (score, shown) in [(0.0, 0.0), (0.49, 0.0), (0.5, 0.5), (4.99, 4.5), (5.0, 5.0), (-0.1, -0.5)] {
            assert_eq!(coarse(score), shown, "{score}");
        }
        for bound in [0.0, 0.1, 4.5, 4.51, 4.99] {
            for score in [0.0, 4.4, 4.5, 4.6, 4.999, 5.0, 5.2] {
                assert_eq!(score >= coarse_bound(bound), coarse(score) >= bound, "{score} {bound}");
            }
        }
    }

    #[test]
    fn only_scores_change_however_deep() {
        let exact = r#"{"items":[{"score":5.4321,"threshold":4.64,"max_score":null,"explanation":[{"value":1.25,"accepted":0.7,"share":0.9}]}],"q":"score"}"#;
        let blurred: Value = serde_json::from_str(&text(exact)).unwrap();
        let expected = serde_json::json!({
            "items": [{"score": 5.0, "threshold": 4.64, "max_score": null, "explanation": [{"value": 1.25, "share": 0.9}]}],
            "q": "score",
        });
        assert_eq!(blurred, expected);
    }
}
