//! The section `api` of the configuration.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// API and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Address and port. Nothing asks for a password yet: keep it on this machine, or behind a proxy that does.
    pub listen: SocketAddr,
}

impl Default for ApiConfig {
    fn default() -> Self {
        ApiConfig { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8888)) }
    }
}

impl ApiConfig {
    /// What is wrong with the values, each with a remedy: nothing that its type did not refuse already.
    pub fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
