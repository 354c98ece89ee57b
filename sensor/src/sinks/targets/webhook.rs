//! Alerts to an HTTP endpoint. Redirects are not followed: an answer must not choose whom the sensor talks to.

use std::io::Read;
use std::time::Duration;

use super::{Message, Outcome, Target};
use crate::sinks::config::WebhookConfig;
use crate::telemetry::printable;

/// An answer is read this far; more only if it is small does the connection serve again.
const LONGEST_ANSWER: u64 = 4096;
/// A peer cannot silence its sink for longer than this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// One endpoint.
#[derive(Debug)]
pub struct Webhook {
    agent: ureq::Agent,
    endpoint: String,
}

impl Webhook {
    /// The endpoint of the settings.
    pub fn new(config: &WebhookConfig) -> Webhook {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(16 * 1024)
            .max_idle_connections(1)
            .user_agent(concat!("vesper/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Webhook { agent, endpoint: config.endpoint() }
    }

    /// Posts an alert.
    fn post(&self, json: &str, timeout: Duration) -> Outcome {
        let request = self.agent.post(&self.endpoint).config().timeout_global(Some(timeout)).build();
        match request.content_type("application/json").send(json) {
            Err(error) => Outcome::Retry { error: self.explain(&error), after: None },
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
                let after = after.and_then(|seconds| seconds.trim().parse().ok());
                let after = after.map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
                let mut body = Vec::new();
                // The status decides; what an endless or broken body says does not matter.
                let _best_effort = answer.body_mut().as_reader().take(LONGEST_ANSWER).read_to_end(&mut body);
                judge(status, after, &String::from_utf8_lossy(&body))
            }
        }
    }

    fn explain(&self, error: &ureq::Error) -> String {
        // ureq's messages can hold the address, and the address a password.
        let text = error.to_string().replace(&self.endpoint, &redacted(&self.endpoint));
        printable(&format!("{}: {text}", redacted(&self.endpoint)), 300)
    }
}

impl Target for Webhook {
    fn deliver(&mut self, messages: &[Message], timeout: Duration) -> Vec<Outcome> {
        messages.iter().map(|message| self.post(&message.json, timeout)).collect()
    }
}

fn judge(status: u16, after: Option<Duration>, body: &str) -> Outcome {
    let said =
        if body.trim().is_empty() { String::new() } else { format!(": {}", printable(body.trim(), 200)) };
    match status {
        200..=299 => Outcome::Delivered,
        429 | 503 => Outcome::Retry { error: format!("answered {status}{said}"), after },
        408 | 500..=599 => Outcome::Retry { error: format!("answered {status}{said}"), after: None },
        300..=399 => Outcome::Refused {
            error: format!("answered {status}: redirects are not followed, set the final address"),
        },
        _ => Outcome::Refused { error: format!("answered {status}{said}") },
    }
}

/// An address as logs may show it: without user, password and query, which hold secrets.
pub fn redacted(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let mut shown = match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://***@{host}{path}"),
                None => bare.to_owned(),
            }
        }
        None => bare.to_owned(),
    };
    if bare.len() < url.len() {
        shown.push_str("?***");
    }
    printable(&shown, 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_logs() {
        for (url, shown) in [
            ("https://soc.example.net/api", "https://soc.example.net/api"),
            ("https://user:pass@soc/api?token=x#y", "https://***@soc/api?***"),
            ("https://a:p@ss@host", "https://***@host"),
            ("https://host?key=1", "https://host?***"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
