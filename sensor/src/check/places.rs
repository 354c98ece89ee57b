//! Where the sensor writes to, sends to and listens.

use std::fs::File;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use axum::http::Uri;

use super::Line;
use crate::api::{self, ApiError};
use crate::config::Config;
use crate::sinks::{WebhookConfig, redacted};

/// For one address of a sink.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Addresses of a sink that are tried.
const MOST_ADDRESSES: usize = 2;

/// State folder, sinks, API.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    // `vesper run` makes the folder, where it may.
    let state = match config.state_dir.parent() {
        Some(parent) if !config.state_dir.exists() && parent.exists() => parent,
        _ => &config.state_dir,
    };
    let mut lines = vec![writable("state", state)];
    if config.sinks.jsonl.enabled {
        let file = config.state_dir.join(&config.sinks.jsonl.path);
        let folder = file.parent().unwrap_or(&config.state_dir);
        if folder != config.state_dir {
            lines.push(writable("sink jsonl", folder));
        }
    }
    lines.extend(config.sinks.named_webhooks().map(|(name, webhook)| reach(&name, webhook)));
    lines.push(match api::open(&config.api, &config.state_dir) {
        Ok(_closed_again) => Line::ok("api", format!("{} is free", config.api.listen)),
        Err(ApiError::InUse { address }) => Line::warn(
            "api",
            format!("{address} is in use"),
            "fine if vesper runs already; else set api.listen",
        ),
        Err(ApiError::Bind { address, source }) => Line::fail(
            "api",
            format!("cannot listen on {address}: {source}"),
            "set api.listen to an address of this machine; in a network namespace: ip link set lo up",
        ),
        Err(error @ (ApiError::Tokens(_) | ApiError::Tls(_))) => Line::fail(
            "api",
            error.to_string(),
            "the sensor would not start; `vesper token new NAME` makes a token",
        ),
    });
    lines
}

pub(super) fn writable(name: &'static str, folder: &Path) -> Line {
    let probe = folder.join(format!(".vesper-check-{}", std::process::id()));
    let shown = folder.display();
    match File::create_new(&probe).and_then(|_closed| std::fs::remove_file(&probe)) {
        Ok(()) => Line::ok(name, format!("{shown} can be written")),
        Err(error) if !folder.exists() => Line::fail(
            name,
            format!("{shown}: {error}"),
            format!("mkdir -p {shown}; under systemd: StateDirectory=vesper; or set state_dir"),
        ),
        Err(error) => Line::fail(
            name,
            format!("{shown} cannot be written: {error}"),
            "give the user that runs vesper the right to, make room, or set state_dir",
        ),
    }
}

pub(super) fn reach(name: &str, webhook: &WebhookConfig) -> Line {
    let endpoint = webhook.endpoint();
    let shown = format!("{name}: {}", redacted(&endpoint));
    let remedy =
        "start the backend, or correct url, DNS or firewall; alerts are retried, then counted as lost";
    let Ok(address) = endpoint.parse::<Uri>() else {
        return Line::fail("sink webhook", format!("{shown} is not an address"), "correct sinks.webhook.url");
    };
    let port = address.port_u16().unwrap_or(if address.scheme_str() == Some("https") { 443 } else { 80 });
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.take(MOST_ADDRESSES),
        Err(error) => return Line::warn("sink webhook", format!("{shown}: no such host: {error}"), remedy),
    };
    let mut failure = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_closed_again) => return Line::ok("sink webhook", format!("{shown} answers at {address}")),
            Err(error) => failure = format!("{address}: {error}"),
        }
    }
    Line::warn("sink webhook", format!("{shown}: {failure}"), remedy)
}
