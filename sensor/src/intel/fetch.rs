//! Lists from elsewhere, with a bound on time and bytes. Redirects are not followed: an answer must not choose whom the
//! sensor talks to.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use flate2::read::MultiGzDecoder;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::config::FeedConfig;
use crate::telemetry::printable;

/// What STIX over TAXII is asked for as.
pub const TAXII: &str = "application/taxii+json;version=2.1";

/// A list could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of certificates holds none.
    #[error("{path} holds no certificate: it should be PEM")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No answer, or one that broke off.
    #[error("{0}")]
    Call(String),
    /// The server says no.
    #[error("the server answered {status}{hint}")]
    Status {
        /// What it said.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// More than is taken.
    #[error("it is longer than {limit} bytes{unpacked}: raise intel.max_bytes if it should be")]
    TooLong {
        /// What is taken.
        limit: u64,
        /// Where that is.
        unpacked: &'static str,
    },
    /// Packed wrongly.
    #[error("it cannot be unpacked: {0}")]
    Packed(io::Error),
}

/// Whether an address may be fetched from: encrypted, or on this machine.
pub fn allowed(url: &str) -> bool {
    let clean = !url.chars().any(|c| c.is_whitespace() || c.is_control());
    let Ok(uri) = url.parse::<ureq::http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let here = matches!(host, "localhost" | "[::1]")
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    clean
        && !host.is_empty()
        && (uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && here))
}

/// What a server said earlier, so that it need not say it again.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Seen {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Unpacked.
    pub body: Vec<u8>,
    /// For the next call.
    pub seen: Seen,
    /// `X-TAXII-Date-Added-Last`.
    pub added_last: Option<String>,
}

/// Talks to one list's server.
pub struct Client {
    agent: ureq::Agent,
    authorization: Option<String>,
    limit: u64,
}

impl Client {
    /// Reads the files that the feed's settings name. Takes `limit` bytes at most.
    pub fn new(config: &FeedConfig, limit: u64) -> Result<Client, FetchError> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &config.ca_file {
            let certificates: Vec<Certificate<'static>> = parse_pem(&file(path, 1 << 20)?)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(FetchError::NoCertificate { path: path.clone() });
            }
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(16 * 1024)
            .timeout_global(Some(config.timeout))
            .tls_config(tls.build())
            .user_agent(concat!("vesper/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let secret =
            |path: &Path| file(path, 16 << 10).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        let authorization = match (&config.token_file, &config.password_file) {
            (Some(path), _) => Some(format!("Bearer {}", secret(path)?)),
            (None, Some(path)) => {
                let pair = format!("{}:{}", config.user, secret(path)?);
                Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
            }
            (None, None) => None,
        };
        Ok(Client { agent, authorization, limit })
    }

    /// Fetches an address; `None` where it is as it was `seen`.
    pub fn get(&self, url: &str, accept: &str, seen: &Seen) -> Result<Option<Answer>, FetchError> {
        let mut request = self.agent.get(url).header("accept", accept);
        let conditions = [("if-none-match", &seen.etag), ("if-modified-since", &seen.modified)];
        for (name, value) in conditions.into_iter().chain([("authorization", &self.authorization)]) {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        // An address may hold a key, and ureq's messages may hold the address.
        let failed = |error: String| FetchError::Call(printable(&error.replace(url, "the server"), 300));
        let mut answer = request.call().map_err(|error| failed(error.to_string()))?;
        let status = answer.status().as_u16();
        match status {
            304 => return Ok(None),
            200 => {}
            _ => return Err(FetchError::Status { status, hint: hint(status) }),
        }
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(|value| printable(value, 200))
        };
        let seen = Seen { etag: header("etag"), modified: header("last-modified") };
        let added_last = header("x-taxii-date-added-last");
        let body = bounded(answer.body_mut().as_reader(), self.limit).map_err(|error| match error {
            FetchError::Packed(source) => failed(source.to_string()),
            other => other,
        })?;
        Ok(Some(Answer { body: unpacked(body, self.limit)?, seen, added_last }))
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ": look at token_file, or at user and password_file",
        404 | 410 => ": look at url",
        300..=399 => ": redirects are not followed, set the final address",
        406 | 415 => ": it does not speak TAXII 2.1",
        429 => ": it is asked too often, raise poll",
        _ => "",
    }
}

/// A file, unpacked if it is packed.
pub fn file(path: &Path, limit: u64) -> Result<Vec<u8>, FetchError> {
    let failed = |source| FetchError::File { path: path.to_owned(), source };
    let opened = File::open(path).map_err(failed)?;
    let bytes = bounded(opened, limit).map_err(|error| match error {
        FetchError::Packed(source) => failed(source),
        other => other,
    })?;
    unpacked(bytes, limit)
}

fn bounded(reader: impl Read, limit: u64) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(FetchError::Packed)?;
    if bytes.len() as u64 > limit {
        return Err(FetchError::TooLong { limit, unpacked: "" });
    }
    Ok(bytes)
}

/// Unpacks gzip, whatever name or header says. A small text may hold a large one: the bound is on what comes out.
fn unpacked(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, FetchError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    bounded(MultiGzDecoder::new(bytes.as_slice()), limit).map_err(|error| match error {
        FetchError::TooLong { limit, .. } => FetchError::TooLong { limit, unpacked: " unpacked" },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_or_here() {
        for (url, expected) in [
            ("https://feeds.example.net/list.txt", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]:8080/x", true),
            ("http://localhost/x", true),
            ("http://feeds.example.net/x", false),
            ("http://127.0.0.1.example.net/x", false),
            ("http://localhost@example.net/x", false),
            ("file:///etc/passwd", false),
            ("https://", false),
            ("https://a b/", false),
        ] {
            assert_eq!(allowed(url), expected, "{url}");
        }
    }
}
