//! The section `api` of the configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// API and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Address and port. Another address than a loopback one needs `tls_cert`, `tls_key` and `tokens_file`.
    pub listen: SocketAddr,
    /// Certificate chain, PEM; empty for plain HTTP. A relative path starts at `state_dir`.
    pub tls_cert: PathBuf,
    /// Its private key, PEM; likewise.
    pub tls_key: PathBuf,
    /// Who may do what: lines `name scope sha256`, written by `vesper token new`. Empty: whoever reaches the (loopback)
    /// address may do everything. A relative path starts at `state_dir`.
    pub tokens_file: PathBuf,
    /// Names under which browsers and proxies may ask, beside `localhost` and IP addresses.
    pub names: Vec<String>,
    /// Clients of the live streams (WebSocket, server-sent events) at once.
    pub live_clients: u32,
    /// Largest capture that may be uploaded; 0 refuses all.
    #[serde(with = "crate::config::size")]
    pub upload_max_bytes: u64,
    /// Uploaded captures analysed at once; further ones wait.
    pub analyses: u32,
}

impl Default for ApiConfig {
    fn default() -> Self {
        ApiConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8888)),
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            tokens_file: PathBuf::new(),
            names: Vec::new(),
            live_clients: 1000,
            upload_max_bytes: 256 << 20,
            analyses: 3,
        }
    }
}

impl ApiConfig {
    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let settings =
            [("tls_cert", &self.tls_cert), ("tls_key", &self.tls_key), ("tokens_file", &self.tokens_file)];
        let missing: Vec<&str> =
            settings.iter().filter(|(_, path)| path.as_os_str().is_empty()).map(|(name, _)| *name).collect();
        if !self.listen.ip().is_loopback() && !missing.is_empty() {
            problems.push(format!(
                "listen = \"{}\" can be reached from elsewhere: set api.{} too (`vesper token new NAME` makes a token), or \
                 listen on 127.0.0.1",
                self.listen,
                missing.join(" and api.")
            ));
        }
        if self.tls_cert.as_os_str().is_empty() != self.tls_key.as_os_str().is_empty() {
            problems.push("tls_cert and tls_key belong together: set both or none".to_owned());
        }
        for name in &self.names {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if name.is_empty() || !name.chars().all(plain) {
                problems.push(format!("names holds {name:?}: give host names without scheme and port"));
            }
        }
        for (name, value, range) in
            [("live_clients", self.live_clients, 1..=100_000), ("analyses", self.analyses, 1..=16)]
        {
            if !range.contains(&value) {
                problems.push(format!("{name} = {value}: give {} to {}", range.start(), range.end()));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of address, TLS and tokens: what reaches beyond this machine needs both.
    #[test]
    fn an_address_that_others_reach_needs_tls_and_tokens() {
        for address in ["127.0.0.1:8888", "[::1]:8888", "0.0.0.0:8888", "192.0.2.1:443"] {
            for bits in 0..8u8 {
                let path = |bit: u8| if bits & bit == 0 { PathBuf::new() } else { PathBuf::from("file") };
                let config = ApiConfig {
                    listen: address.parse().unwrap(),
                    tls_cert: path(1),
                    tls_key: path(2),
                    tokens_file: path(4),
                    ..ApiConfig::default()
                };
                let problems = config.problems().join("\n");
                let pair = (bits & 1 == 0) == (bits & 2 == 0);
                let allowed = pair && (config.listen.ip().is_loopback() || bits == 7);
                assert_eq!(problems.is_empty(), allowed, "{address} {bits}: {problems}");
                if !config.listen.ip().is_loopback() {
                    for (bit, name) in [(1, "api.tls_cert"), (2, "api.tls_key"), (4, "api.tokens_file")] {
                        assert_eq!(problems.contains(name), bits & bit == 0, "{address} {bits}: {problems}");
                    }
                }
            }
        }
    }
}
