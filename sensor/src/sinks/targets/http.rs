//! Requests of sinks. No redirects: an answer must not choose whom the sensor talks to. No proxy from the environment.
//!
//! Addresses come from the configuration, which only root writes, so private networks are allowed: a sensor's
//! backends are usually there. Link-local addresses never are: there answers the metadata service of a cloud, which
//! hands out credentials to whoever asks from inside. Names are resolved once for a connection and every address is
//! checked then, so a name that changes its mind gains nothing.

use std::fmt;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::Outcome;
use crate::telemetry::printable;

/// An answer is read this far; more only if it is small does the connection serve again.
const LONGEST_ANSWER: u64 = 4096;
/// A peer cannot silence its sink for longer than this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Sends requests to one endpoint.
pub struct Client {
    ca_file: PathBuf,
    /// Made for the first request, so that a file that cannot be read yet keeps no sensor from starting.
    agent: Option<ureq::Agent>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Client")
    }
}

impl Client {
    /// Trusts the authorities in `ca_file`; empty is the public ones.
    pub fn new(ca_file: &Path) -> Client {
        Client { ca_file: ca_file.to_owned(), agent: None }
    }

    /// Posts JSON. `shown` is the address as people may see it.
    pub fn post(
        &mut self,
        address: &str,
        shown: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout: Duration,
    ) -> Outcome {
        let agent = match &self.agent {
            Some(agent) => agent,
            None => match agent(&self.ca_file) {
                Ok(agent) => self.agent.insert(agent),
                Err(error) => return Outcome::Retry { error, after: None },
            },
        };
        let mut request = agent.post(address).config().timeout_global(Some(timeout)).build();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match request.content_type("application/json").send(body) {
            Err(error) => {
                // ureq's messages can hold the address, and the address a secret.
                let text = error.to_string().replace(address, shown);
                Outcome::Retry { error: printable(&format!("{shown}: {text}"), 300), after: None }
            }
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
}

fn agent(ca_file: &Path) -> Result<ureq::Agent, String> {
    let roots = authorities(ca_file)
        .map_err(|error| format!("ca_file {}: {error}; name a PEM file of authorities", ca_file.display()))?;
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(16 * 1024)
        .max_idle_connections(1)
        .proxy(None)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("vesper/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(ureq::Agent::with_parts(config, DefaultConnector::default(), Guard(DefaultResolver::default())))
}

fn judge(status: u16, after: Option<Duration>, body: &str) -> Outcome {
    let said =
        if body.trim().is_empty() { String::new() } else { format!(": {}", printable(body.trim(), 200)) };
    let error = format!("answered {status}{said}");
    match status {
        200..=299 => Outcome::Delivered,
        408 | 425 | 429 | 500..=599 => Outcome::Retry { error, after },
        300..=399 => Outcome::Refused {
            error: format!("answered {status}: redirects are not followed, set the final address"),
        },
        _ => Outcome::Refused { error },
    }
}

fn authorities(file: &Path) -> std::io::Result<RootCerts> {
    if file.as_os_str().is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let pem = std::fs::read(file)?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(std::io::Error::other("holds no certificate"));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

/// Resolves names, and refuses addresses that no sink has.
#[derive(Debug)]
struct Guard(DefaultResolver);

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &axum::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = self.0.resolve(uri, config, timeout)?;
        match addresses.iter().find(|address| is_forbidden(address.ip())) {
            Some(address) => Err(ureq::Error::Io(std::io::Error::other(format!(
                "{} is link-local or no host's address: the sensor does not send there",
                address.ip()
            )))),
            None => Ok(addresses),
        }
    }
}

/// Link-local and metadata addresses, and those of no host, in whatever form.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_forbidden_v4(v4),
        IpAddr::V6(v6) => {
            let [a, b, .., y, z] = v6.segments();
            let last = Ipv4Addr::from((u32::from(y) << 16) | u32::from(z));
            let wraps_v4 = v6.to_ipv4_mapped().is_some()
                // NAT64, and the compatible form that is no longer used; ::1 is this machine.
                || (a == 0x64 && b == 0xff9b)
                || (v6.segments().iter().take(6).all(|part| *part == 0) && v6 != Ipv6Addr::LOCALHOST);
            // fd00:ec2::254 is the metadata service of a cloud.
            v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || (a == 0xfd00 && b == 0x0ec2)
                || (wraps_v4 && is_forbidden_v4(last))
                || (a == 0x2002 && is_forbidden_v4(sixth(v6)))
        }
    }
}

/// The address inside one of 6to4.
fn sixth(v6: Ipv6Addr) -> Ipv4Addr {
    let [_, b, c, ..] = v6.segments();
    Ipv4Addr::from((u32::from(b) << 16) | u32::from(c))
}

fn is_forbidden_v4(v4: Ipv4Addr) -> bool {
    // The metadata services of clouds that are not link-local.
    const METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
    v4.octets()[0] == 0
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || METADATA.contains(&v4)
}

/// Whether a host's name or address is this machine's own.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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
#[path = "http_tests.rs"]
mod tests;
