//! Alerts to an HTTP endpoint, as the JSON that is stored, signed if there is a secret.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::http::{Client, redacted};
use super::pace::Notify;
use super::summary::Summary;
use super::{Message, Outcome, secret, wall};
use crate::sinks::config::WebhookConfig;

/// One endpoint.
#[derive(Debug)]
pub struct Webhook {
    client: Client,
    endpoint: String,
    shown: String,
    secret_file: PathBuf,
    token_file: PathBuf,
    sensor: String,
}

impl Webhook {
    /// The endpoint of the settings.
    pub fn new(config: &WebhookConfig, sensor: &str) -> Webhook {
        let endpoint = config.endpoint();
        Webhook {
            client: Client::new(&config.ca_file),
            shown: redacted(&endpoint),
            endpoint,
            secret_file: config.secret_file.clone(),
            token_file: config.token_file.clone(),
            sensor: sensor.to_owned(),
        }
    }

    fn post(&mut self, id: &str, told: &str, body: &str, timeout: Duration) -> Outcome {
        let mut headers = vec![("x-vesper-id", id.to_owned()), ("x-vesper-event", told.to_owned())];
        if !self.secret_file.as_os_str().is_empty() {
            match secret::read(&self.secret_file) {
                Ok(key) => {
                    let time = wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                    headers.push(("x-vesper-signature", signature(key.expose(), time, body)));
                }
                Err(error) => return Outcome::Retry { error: error.to_string(), after: None },
            }
        }
        if !self.token_file.as_os_str().is_empty() {
            match secret::read(&self.token_file) {
                Ok(token) => headers.push(("authorization", format!("Bearer {}", token.expose()))),
                Err(error) => return Outcome::Retry { error: error.to_string(), after: None },
            }
        }
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.client.post(&self.endpoint, &self.shown, &headers, body.as_bytes(), timeout)
    }
}

impl Notify for Webhook {
    fn one(&mut self, message: &Message, timeout: Duration) -> Outcome {
        // A test has no event, and receivers are not to take a second one for the first.
        let id = match message.event {
            0 => format!("{}:{}", self.sensor, message.about),
            event => format!("{}:{event}", self.sensor),
        };
        self.post(&id, message.told.name(), &message.json, timeout)
    }

    fn summary(&mut self, summary: &Summary, timeout: Duration) -> Outcome {
        let id = format!("{}:{}-{}", self.sensor, summary.first_event, summary.last_event);
        self.post(&id, "summary", &summary.json().to_string(), timeout)
    }
}

/// `t=UNIX,v1=HEX`: HMAC-SHA256 over the time, a dot and the body, so that neither can be changed nor sent again later.
fn signature(key: &str, time: u64, body: &str) -> String {
    let mut hex = String::new();
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) {
        mac.update(format!("{time}.{body}").as_bytes());
        hex.extend(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")));
    }
    format!("t={time},v1={hex}")
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
