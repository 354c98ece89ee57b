//! The section `intel` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use sensor_ebpf::control::MOST_LISTED;
use serde::{Deserialize, Serialize};

use crate::alert::{Severity, ThreatType};

/// A label and a folder's entry each; the kernel's trie notes their number.
const MOST_FEEDS: usize = 64;

/// What others know of addresses, names and clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntelConfig {
    /// Whether traffic is compared with the lists below.
    pub enabled: bool,
    /// Networks that no list may name: what one says of them is refused and counted. Private, local and group addresses
    /// by default; add those that you use publicly.
    pub own_networks: Vec<IpNet>,
    /// Networks and domains that never match, whatever lists say.
    pub allow: Vec<String>,
    /// Networks of all lists together. A million takes 128 MiB of kernel memory, twice once another set was
    /// loaded.
    pub max_prefixes: usize,
    /// Domains and JA4 fingerprints of all lists together.
    pub max_names: usize,
    /// Bytes of one list, unpacked.
    #[serde(with = "crate::config::size")]
    pub max_bytes: u64,
    /// The lists, each written as `[[intel.feed]]`.
    pub feed: Vec<FeedConfig>,
}

impl Default for IntelConfig {
    fn default() -> Self {
        let own = [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/127",
            "fc00::/7",
            "fe80::/10",
            "ff00::/8",
        ];
        IntelConfig {
            enabled: true,
            own_networks: own.into_iter().filter_map(|net| net.parse().ok()).collect(),
            allow: Vec::new(),
            max_prefixes: 2_000_000,
            max_names: 1_000_000,
            max_bytes: 256 << 20,
            feed: Vec::new(),
        }
    }
}

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// One network, domain or JA4 fingerprint a line.
    #[default]
    Plain,
    /// A table with a line of names on top.
    Csv,
    /// A MISP feed: `manifest.json` beside a file for each event; as `path`, also one event's file.
    Misp,
    /// A STIX 2.1 bundle.
    Stix,
    /// A collection of a TAXII 2.1 server, by its address.
    Taxii,
}

/// A list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedConfig {
    /// Label in alerts, metrics and logs, and name of its files.
    pub name: String,
    /// How it is written.
    pub kind: FeedKind,
    /// A file, or a MISP feed's folder; either this or `url`.
    pub path: Option<PathBuf>,
    /// Where it is fetched, `https://` or on this machine; for TAXII the collection, `https://.../collections/ID/`.
    pub url: Option<String>,
    /// How often it is looked at.
    #[serde(with = "crate::config::duration")]
    pub poll: Duration,
    /// For one answer of its server.
    #[serde(with = "crate::config::duration")]
    pub timeout: Duration,
    /// Column of the values, by its name in the first line; empty tries the usual names.
    pub column: String,
    /// What a match is.
    #[serde(rename = "type")]
    pub threat: ThreatType,
    /// How bad a match is.
    pub severity: Severity,
    /// How sure a match is, 0 to 100, where the list does not say it itself.
    pub confidence: u8,
    /// What a list says with less confidence is left out.
    pub min_confidence: u8,
    /// It names what must never match.
    pub allow: bool,
    /// Times by which a list may grow or shrink at once; more is refused until it stands for a day. 0 is any.
    pub max_change: u32,
    /// File with a token for `Authorization: Bearer`.
    pub token_file: Option<PathBuf>,
    /// Name for `Authorization: Basic`.
    pub user: String,
    /// File with its password.
    pub password_file: Option<PathBuf>,
    /// File with the certificates that its server may be signed by, PEM; else the usual authorities.
    pub ca_file: Option<PathBuf>,
}

impl Default for FeedConfig {
    fn default() -> Self {
        FeedConfig {
            name: String::new(),
            kind: FeedKind::Plain,
            path: None,
            url: None,
            poll: Duration::from_secs(3600),
            timeout: Duration::from_secs(60),
            column: String::new(),
            threat: ThreatType::Bot,
            severity: Severity::High,
            confidence: 75,
            min_confidence: 0,
            allow: false,
            max_change: 10,
            token_file: None,
            user: String::new(),
            password_file: None,
            ca_file: None,
        }
    }
}

impl IntelConfig {
    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=MOST_LISTED as usize / 2).contains(&self.max_prefixes) {
            let most = MOST_LISTED / 2;
            problems
                .push(format!("max_prefixes = {} is out of range: choose 1 to {most}", self.max_prefixes));
        }
        if !(1..=10_000_000).contains(&self.max_names) {
            problems.push(format!("max_names = {} is out of range: choose 1 to 10000000", self.max_names));
        }
        if !(1 << 10..=4u64 << 30).contains(&self.max_bytes) {
            let size = crate::config::size::format(self.max_bytes);
            problems.push(format!("max_bytes = {size} is out of range: choose 1KiB to 4GiB"));
        }
        for text in &self.allow {
            if super::item::Value::guess(text).is_none() {
                problems.push(format!(
                    "allow: {text:?} is neither a network nor a domain: write 192.0.2.0/24 or example.com"
                ));
            }
        }
        if self.feed.len() > MOST_FEEDS {
            problems.push(format!("feed: {} are too many: at most {MOST_FEEDS}", self.feed.len()));
        }
        let mut names: Vec<&str> = Vec::new();
        for (index, feed) in self.feed.iter().enumerate() {
            problems.extend(feed.problems().into_iter().map(|text| format!("feed[{index}].{text}")));
            if names.contains(&feed.name.as_str()) {
                problems.push(format!(
                    "feed[{index}].name = {:?} is taken by another feed: choose another",
                    feed.name
                ));
            }
            names.push(&feed.name);
        }
        problems
    }
}

impl FeedConfig {
    /// Whether it says this with enough confidence.
    pub fn takes(&self, item: &super::item::Item) -> bool {
        item.confidence.unwrap_or(self.confidence) >= self.min_confidence
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(plain) {
            problems
                .push(format!("name = {:?} is no label: 1 to 40 letters, digits, `_` and `-`", self.name));
        }
        match (&self.path, &self.url) {
            (None, None) => problems.push("path is missing: name a file, or an address with url".to_owned()),
            (Some(_), Some(_)) => problems.push("url is there beside path: remove one of them".to_owned()),
            (Some(_), None) if self.kind == FeedKind::Taxii => {
                problems.push("path is set for TAXII: set url to the collection".to_owned());
            }
            (None, Some(url)) if !super::fetch::allowed(url) => problems.push(
                "url is not an https:// address (http:// is for this machine alone): write https://..."
                    .to_owned(),
            ),
            _ => {}
        }
        let duration = crate::config::duration::format;
        if !(Duration::from_secs(1)..=Duration::from_secs(30 * 86_400)).contains(&self.poll) {
            problems.push(format!("poll = {} is out of range: choose 1s to 30days", duration(self.poll)));
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(600)).contains(&self.timeout) {
            problems
                .push(format!("timeout = {} is out of range: choose 100ms to 10m", duration(self.timeout)));
        }
        for (key, value) in [("confidence", self.confidence), ("min_confidence", self.min_confidence)] {
            if value > 100 {
                problems.push(format!("{key} = {value} is out of range: choose 0 to 100"));
            }
        }
        if self.max_change == 1 {
            problems.push("max_change = 1 refuses every change: choose 2 or more, or 0 for any".to_owned());
        }
        if self.user.is_empty() != self.password_file.is_none() {
            problems.push("user and password_file belong together: set both or neither".to_owned());
        }
        if self.token_file.is_some() && !self.user.is_empty() {
            problems.push("token_file is there beside user: remove one of them".to_owned());
        }
        problems
    }
}
