//! Where the sensor writes to, sends to and listens.

use std::fs::File;
use std::path::Path;

use super::Line;
use crate::api::{self, ApiError};
use crate::config::Config;
use crate::sinks::targets::{Reach, Reached, reach};

/// State folder, sinks, API.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    // `vesper run` makes the folder, where it may.
    let state = match config.state_dir.parent() {
        Some(parent) if !config.state_dir.exists() && parent.exists() => parent,
        _ => &config.state_dir,
    };
    let mut lines = vec![writable("state", state)];
    let (jsonl, eve) = (&config.sinks.jsonl, &config.sinks.eve);
    for (name, enabled, path) in
        [("sink jsonl", jsonl.enabled, &jsonl.path), ("sink eve", eve.enabled, &eve.path)]
    {
        let file = config.state_dir.join(path);
        let folder = file.parent().unwrap_or(&config.state_dir);
        if enabled && folder != config.state_dir {
            lines.push(writable(name, folder));
        }
    }
    lines.extend(reach(&config.sinks).iter().map(sink));
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

/// A sink as one line.
pub(super) fn sink(reach: &Reach) -> Line {
    let found = |text: &str| format!("{}: {text}", reach.name);
    match &reach.found {
        Reached::Yes(text) => Line::ok("sink", found(text)),
        Reached::NotNow(text) => Line::warn(
            "sink",
            found(text),
            "start the peer, or correct address, DNS or firewall; what it is to be told waits in the store",
        ),
        Reached::Never(text) => {
            Line::fail("sink", found(text), format!("correct the settings of sinks.{}", reach.name))
        }
    }
}
