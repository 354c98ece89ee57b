//! The section `incidents.language_model` of the configuration.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{duration, size};
use crate::sinks::redacted;

/// Words alerts anew; nothing depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LanguageConfig {
    /// Whether alerts are sent to it: addresses, ports, and text from packets, escaped.
    pub enabled: bool,
    /// An OpenAI-compatible endpoint; `/chat/completions` is appended. https, or http on this machine.
    pub url: String,
    /// Name of the model.
    pub model: String,
    /// File with the API key, readable by its owner alone; empty for none. A relative path starts at `state_dir`.
    pub key_file: PathBuf,
    /// For one answer. 1s to 5m.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Tokens it may answer with. 16 to 4096.
    pub max_tokens: u32,
    /// An answer is read this far, and refused if it is larger. 4KiB to 1MiB.
    #[serde(with = "size")]
    pub max_answer: u64,
    /// Alerts it is asked about in a minute; others keep their own words. 1 to 600.
    pub per_minute: u32,
}

impl Default for LanguageConfig {
    fn default() -> Self {
        LanguageConfig {
            enabled: false,
            url: String::new(),
            model: String::new(),
            key_file: PathBuf::new(),
            timeout: Duration::from_secs(20),
            max_tokens: 400,
            max_answer: 64 << 10,
            per_minute: 6,
        }
    }
}

impl LanguageConfig {
    /// Where questions go.
    pub(super) fn endpoint(&self) -> String {
        format!("{}/chat/completions", self.url.trim_end_matches('/'))
    }

    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut add = |key: &str, text: String| problems.push(format!("language_model.{key} {text}"));
        if (self.enabled || !self.url.is_empty()) && !is_safe(&self.url) {
            add(
                "url",
                format!(
                    "= {:?} is neither https:// nor http:// on this machine: write one such as http://127.0.0.1:11434/v1",
                    redacted(&self.url)
                ),
            );
        }
        if self.enabled && self.model.is_empty() {
            add("model", "is empty: name the model to ask".to_owned());
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&self.timeout) {
            add("timeout", format!("= {} is out of range: choose 1s to 5m", duration::format(self.timeout)));
        }
        if !(16..=4096).contains(&self.max_tokens) {
            add("max_tokens", format!("= {} is out of range: choose 16 to 4096", self.max_tokens));
        }
        if !((4 << 10)..=(1 << 20)).contains(&self.max_answer) {
            add(
                "max_answer",
                format!("= {} is out of range: choose 4KiB to 1MiB", size::format(self.max_answer)),
            );
        }
        if !(1..=600).contains(&self.per_minute) {
            add("per_minute", format!("= {} is out of range: choose 1 to 600", self.per_minute));
        }
        problems
    }
}

/// Whether what is sent there can be read by its owner alone: encrypted, or never on a wire. A password belongs into
/// `key_file`, not here.
fn is_safe(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty()
        || authority.contains('@')
        || url.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    scheme == "https" || scheme == "http" && here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_nobody_listens_in() {
        for (url, safe) in [
            ("https://models.example.net/v1", true),
            ("http://127.0.0.1:11434/v1", true),
            ("http://[::1]:8080", true),
            ("http://localhost/v1", true),
            ("http://models.example.net", false),
            ("http://127.0.0.1.example.net", false),
            ("http://127.0.0.1@example.net", false),
            ("https://user:secret@example.net", false),
            ("ftp://127.0.0.1", false),
            ("https://", false),
            ("", false),
        ] {
            assert_eq!(is_safe(url), safe, "{url}");
        }
        assert!(LanguageConfig::default().problems().is_empty());
        let on =
            LanguageConfig { enabled: true, url: "http://a:b@c".to_owned(), ..LanguageConfig::default() };
        let problems = on.problems().join("\n");
        assert!(
            problems.contains("language_model.model is empty") && !problems.contains("a:b"),
            "{problems}"
        );
    }
}
