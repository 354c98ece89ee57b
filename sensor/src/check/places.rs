//! Where the sensor writes to, sends to and listens.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::Line;
use super::mend::Fix;
use crate::api::{self, ApiError};
use crate::config::Config;
use crate::sinks::SinksConfig;
use crate::sinks::targets::{Reach, Reached, reach};

/// A sink that says nothing for so long after the last one did is given up: two addresses of two seconds, and DNS.
const PATIENCE: Duration = Duration::from_secs(6);

/// State folder, and those of sinks that are files.
pub(super) fn folders(config: &Config) -> Vec<Line> {
    let mut lines = vec![state(&config.state_dir)];
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
    lines
}

fn state(folder: &Path) -> Line {
    // `vesper run` makes it, where it may.
    if let Some(parent) = folder.parent()
        && !folder.exists()
        && parent.exists()
    {
        let line = writable("state", parent);
        return match line.status {
            super::Status::Ok => Line::ok("state", format!("{} will be made", folder.display())),
            _ => line,
        };
    }
    let line = writable("state", folder);
    let mode = folder.metadata().map_or(0, |meta| meta.permissions().mode());
    if line.status == super::Status::Ok && mode & 0o002 != 0 {
        let shown = folder.display();
        return Line::warn("state", format!("every user may write to {shown}"))
            .run(format!("chmod o-w {shown}"));
    }
    line
}

pub(super) fn writable(name: &'static str, folder: &Path) -> Line {
    let probe = folder.join(format!(".vesper-check-{}", std::process::id()));
    let shown = folder.display();
    match File::create_new(&probe).and_then(|_closed| std::fs::remove_file(&probe)) {
        Ok(()) => Line::ok(name, format!("{shown} can be written")),
        Err(error) if !folder.exists() => Line::fail(name, format!("{shown}: {error}"))
            .mended_by(Fix::Folder(folder.to_owned()))
            .advise("under systemd: StateDirectory=vesper; or set state_dir"),
        Err(error) => Line::fail(name, format!("{shown} cannot be written: {error}"))
            .run(format!("ls -ld {shown}; df {shown}"))
            .advise("give the user that runs vesper the right to, make room, or set state_dir"),
    }
}

/// Sinks and API.
pub(super) fn peers(config: &Config) -> Vec<Line> {
    let mut lines: Vec<Line> = reach_all(&config.sinks).iter().map(sink).collect();
    lines.push(match api::open(&config.api, &config.state_dir) {
        Ok(_closed_again) => Line::ok("api", format!("{} is free", config.api.listen)),
        Err(ApiError::InUse { address }) => Line::warn("api", format!("{address} is in use"))
            .run(format!("ss -ltnp sport = :{}", address.rsplit(':').next().unwrap_or_default()))
            .advise("fine if vesper runs already; else set api.listen"),
        Err(ApiError::Bind { address, source }) => {
            Line::fail("api", format!("cannot listen on {address}: {source}")).advise(
                "set api.listen to an address of this machine; in a network namespace: ip link set lo up",
            )
        }
        Err(error @ (ApiError::Tokens(_) | ApiError::Tls(_))) => Line::fail("api", error.to_string())
            .advise("the sensor would not start; `vesper token new NAME` makes a token"),
    });
    lines
}

/// All at a time, each for itself: a name server that is silent must hold no other sink up.
fn reach_all(config: &SinksConfig) -> Vec<Reach> {
    let sinks = one_by_one(config);
    let (tell, told) = sync_channel(sinks.len().max(1));
    let mut found: Vec<Reach> = sinks
        .iter()
        .map(|(name, _)| Reach {
            name: name.clone(),
            found: Reached::NotNow(format!(
                "silence for {} s: from DNS, or from the peer",
                PATIENCE.as_secs()
            )),
        })
        .collect();
    for (index, (_, alone)) in sinks.into_iter().enumerate() {
        let tell = tell.clone();
        // Without a thread the sink keeps its "no answer"; a thread that is late tells nobody.
        let _started = thread::Builder::new().name("sink".to_owned()).spawn(move || {
            let _told = tell.send((index, reach(&alone)));
        });
    }
    drop(tell);
    while let Ok((index, reached)) = told.recv_timeout(PATIENCE) {
        if let (Some(place), Some(reached)) = (found.get_mut(index), reached.into_iter().next()) {
            *place = reached;
        }
    }
    found
}

/// Each sink that is not a file with its label, alone in a configuration.
fn one_by_one(config: &SinksConfig) -> Vec<(String, SinksConfig)> {
    let mut all = Vec::new();
    macro_rules! split {
        ($($named:ident $field:ident),*) => {
            $(for (name, sink) in config.$named() {
                let mut alone = SinksConfig::default();
                let mut sink = sink.clone();
                sink.name.clone_from(&name);
                alone.$field = vec![sink];
                all.push((name, alone));
            })*
        };
    }
    split!(
        named_webhooks webhook, named_slacks slack, named_alertmanagers alertmanager,
        named_syslogs syslog, named_emails email, named_kafkas kafka
    );
    all
}

/// A sink as one line.
pub(super) fn sink(reach: &Reach) -> Line {
    let found = |text: &str| format!("{}: {text}", reach.name);
    let test = format!("vesper alerts test {}", reach.name);
    match &reach.found {
        Reached::Yes(text) => Line::ok("sink", found(text)),
        Reached::NotNow(text) => Line::warn("sink", found(text)).run(test).advise(
            "start the peer, or correct address, DNS or firewall; what it is to be told waits in the store",
        ),
        Reached::Never(text) => {
            Line::fail("sink", found(text)).advise(format!("correct the settings of sinks.{}", reach.name))
        }
    }
}
