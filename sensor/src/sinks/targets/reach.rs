//! Whether sinks can be reached, for `vesper check`: a connection that is closed again, a file that can be written.
//! Nothing is sent.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Uri;

use super::http::{is_forbidden, redacted};
use super::secret;
use crate::sinks::config::{SinksConfig, SyslogAddress};

/// For one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Addresses of a sink that are tried.
const MOST_ADDRESSES: usize = 2;

/// How a sink is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It answers.
    Yes(String),
    /// It does not now, and may later.
    NotNow(String),
    /// It cannot work as it is set up.
    Never(String),
}

/// What was found about one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its label.
    pub name: String,
    /// How it is.
    pub found: Reached,
}

/// Looks at every sink that is not a file.
pub fn reach(config: &SinksConfig) -> Vec<Reach> {
    let mut all = Vec::new();
    let mut add = |name: String, secrets: &[&PathBuf], ca_file: &Path, found: &dyn Fn() -> Reached| {
        let given = secrets.iter().filter(|file| !file.as_os_str().is_empty());
        let unreadable =
            given.filter_map(|file| secret::read(file).err().map(|error| error.to_string())).next();
        let authorities = (!ca_file.as_os_str().is_empty())
            .then(|| {
                std::fs::read(ca_file).err().map(|error| format!("ca_file {}: {error}", ca_file.display()))
            })
            .flatten();
        let found = match unreadable.or(authorities) {
            Some(problem) => Reached::Never(problem),
            None => found(),
        };
        all.push(Reach { name, found });
    };
    for (name, sink) in config.named_webhooks() {
        add(name, &[&sink.secret_file, &sink.token_file], &sink.ca_file, &|| web(&sink.endpoint()));
    }
    for (name, sink) in config.named_slacks() {
        add(name, &[&sink.url_file], &sink.ca_file, &|| match secret::read(&sink.url_file) {
            Ok(url) => hidden(web(url.expose())),
            Err(error) => Reached::Never(error.to_string()),
        });
    }
    for (name, sink) in config.named_alertmanagers() {
        add(name, &[&sink.token_file], &sink.ca_file, &|| web(&sink.endpoint()));
    }
    for (name, sink) in config.named_syslogs() {
        add(name, &[], Path::new(""), &|| match sink.target() {
            Some(SyslogAddress::Tcp(peer)) => tcp(&peer, &format!("tcp://{peer}"), false),
            Some(SyslogAddress::Udp(peer)) => match peer.to_socket_addrs() {
                Ok(_) => Reached::Yes(format!("udp://{peer} has an address; UDP tells no more")),
                Err(error) => Reached::NotNow(format!("udp://{peer}: no such host: {error}")),
            },
            Some(SyslogAddress::Unix(path)) if path.exists() => {
                Reached::Yes(format!("{} is there", path.display()))
            }
            Some(SyslogAddress::Unix(path)) => Reached::NotNow(format!("{} is not there", path.display())),
            None => Reached::Never(format!("{:?} is no address", sink.address)),
        });
    }
    for (name, sink) in config.named_emails() {
        let peer = format!("{}:{}", sink.server, sink.port());
        add(name, &[&sink.password_file], &sink.ca_file, &|| tcp(&peer, &peer, false));
    }
    for (name, sink) in config.named_kafkas() {
        add(name, &[&sink.password_file], &sink.ca_file, &|| {
            let mut last = Reached::Never("no broker is named".to_owned());
            for broker in &sink.brokers {
                last = tcp(broker, broker, false);
                if matches!(last, Reached::Yes(_)) {
                    break;
                }
            }
            last
        });
    }
    all
}

fn web(url: &str) -> Reached {
    let shown = redacted(url);
    let Ok(address) = url.parse::<Uri>() else {
        return Reached::Never(format!("{shown} is not an address"));
    };
    let default = if address.scheme_str() == Some("https") { 443 } else { 80 };
    let port = address.port_u16().unwrap_or(default);
    tcp(&format!("{}:{port}", address.host().unwrap_or_default()), &shown, true)
}

/// Without the address, which is the secret.
fn hidden(found: Reached) -> Reached {
    match found {
        Reached::Yes(_) => Reached::Yes("the address in url_file answers".to_owned()),
        Reached::NotNow(_) => Reached::NotNow("the address in url_file does not answer".to_owned()),
        Reached::Never(_) => {
            Reached::Never("what is in url_file is no address the sensor sends to".to_owned())
        }
    }
}

fn tcp(peer: &str, shown: &str, guarded: bool) -> Reached {
    let addresses = match peer.to_socket_addrs() {
        Ok(addresses) => addresses.take(MOST_ADDRESSES),
        Err(error) => return Reached::NotNow(format!("{shown}: no such host: {error}")),
    };
    let mut failure = format!("{shown}: it has no address");
    for address in addresses {
        if guarded && is_forbidden(address.ip()) {
            return Reached::Never(format!("{shown}: the sensor does not send to {}", address.ip()));
        }
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_closed_again) => return Reached::Yes(format!("{shown} answers at {address}")),
            Err(error) => failure = format!("{shown}: {address}: {error}"),
        }
    }
    Reached::NotNow(failure)
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
