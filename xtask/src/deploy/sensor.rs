//! How the sensor on a machine is: what systemd and its API say.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::remote::Remote;
use crate::interrupt;
use crate::program::printable;

/// Asks the API from the machine itself, by what every Debian has. An API with TLS is asked with curl, if it is there.
const ASK: &str = r#"
api() { vesper config show 2>/dev/null | sed -n '/^\[api\]/,/^\[[^a]/s/^'"$1"' = "\(.*\)"$/\1/p' | head -n 1; }
listen=$(api listen); port=${listen##*:}; address=${listen%:*}; address=${address#[}; address=${address%]}
case "$address" in 0.0.0.0) address=127.0.0.1;; ::) address=::1;; esac
ask() {
    if [ -n "$(api tls_cert)" ]; then
        command -v curl >/dev/null || { echo "HTTP/1.0 000 no-curl"; return; }
        curl --silent --include --insecure --max-time 5 "https://$listen$1"
        return
    fi
    exec 3<>"/dev/tcp/$address/$port" || return
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3
    timeout 5 cat <&3
    exec 3>&-
}
"#;

/// What systemd and the sensor said.
#[derive(Debug, Default)]
pub struct Sensor {
    /// `active`, `activating`, `failed`, ...
    pub state: String,
    /// How often systemd had to start it anew.
    pub restarts: String,
    /// Since when it runs.
    pub since: String,
    /// Packets a second, model, alerts and ledger, in its own words.
    pub words: String,
    /// What `/-/ready` said; none when it could not be asked.
    pub ready: Option<bool>,
    /// Equations of the ledger that do not hold; none when it may not be asked.
    pub residues: Option<Vec<(String, i64)>>,
}

impl Sensor {
    /// Asks once.
    pub fn ask(remote: &Remote) -> Result<Sensor> {
        let script = format!(
            "{ASK}\nsystemctl show --property ActiveState,NRestarts,ActiveEnterTimestamp,StatusText vesper\necho ==ready\n\
             ask /-/ready 2>/dev/null\necho\necho ==statistics\nask /api/v1/statistics 2>/dev/null\nexit 0\n"
        );
        Ok(Sensor::read(&remote.tried(&script)?.1))
    }

    fn read(text: &str) -> Sensor {
        let (properties, answers) = text.split_once("==ready\n").unwrap_or((text, ""));
        let (ready, statistics) = answers.split_once("==statistics\n").unwrap_or((answers, ""));
        let property = |name: &str| {
            let found = properties.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            printable(found.unwrap_or_default())
        };
        Sensor {
            state: property("ActiveState"),
            restarts: property("NRestarts"),
            since: property("ActiveEnterTimestamp"),
            words: property("StatusText"),
            ready: status_code(ready).map(|code| code == 200),
            residues: residues(statistics),
        }
    }

    /// Whether it watches packets; where its API cannot be asked, systemd's word counts, whom it told that it is ready.
    pub fn is_ready(&self) -> bool {
        self.state == "active" && self.ready.unwrap_or(true)
    }

    /// The ledger in words.
    pub fn ledger(&self) -> String {
        match &self.residues {
            Some(off) if off.is_empty() => "every equation holds".to_owned(),
            Some(off) => {
                let off: Vec<String> =
                    off.iter().map(|(name, residue)| format!("{name} is off by {residue}")).collect();
                off.join(", ")
            }
            None if self.words.contains("ledger balanced") => "balanced, says the sensor".to_owned(),
            None => format!("not known: {}", self.words),
        }
    }
}

/// Waits until it is ready; an error says what it was last.
pub fn wait(remote: &Remote, limit: Duration) -> Result<Sensor> {
    let end = Instant::now() + limit;
    loop {
        let sensor = Sensor::ask(remote)?;
        if sensor.is_ready() {
            return Ok(sensor);
        }
        // It was started and gave up: more waiting does not help.
        let gave_up = sensor.state == "failed";
        if gave_up || Instant::now() >= end {
            let answer = match sensor.ready {
                Some(true) => "ready",
                Some(false) => "not ready",
                None => "nothing",
            };
            bail!(
                "it is not ready after {} s: systemd says {}, started anew {} times; /-/ready says {answer}",
                limit.saturating_sub(end.saturating_duration_since(Instant::now())).as_secs(),
                sensor.state,
                sensor.restarts
            );
        }
        interrupt::pause(Duration::from_secs(1))?;
    }
}

fn status_code(answer: &str) -> Option<u16> {
    let code = answer.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
    (code != 0).then_some(code)
}

/// What is not zero in the summary's residues.
fn residues(answer: &str) -> Option<Vec<(String, i64)>> {
    (status_code(answer)? == 200).then_some(())?;
    let summary: Value = serde_json::from_str(&answer[answer.find('{')?..]).ok()?;
    let all = summary["residue"].as_object()?;
    let off = all.iter().filter_map(|(name, value)| Some((printable(name), value.as_i64()?)));
    Some(off.filter(|(_, residue)| *residue != 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "NRestarts=0\nActiveState=active\nActiveEnterTimestamp=Sat 2026-11-21 17:44:52 UTC\nStatusText=0 \
                        packets/s, model active, 0 alerts since start, ledger balanced\n==ready\nHTTP/1.0 200 OK\r\n\r\nvesper \
                        watches packets\n\n==statistics\nHTTP/1.0 200 OK\r\n\r\n{\"residue\":{\"wire\":0,\"flows\":-3}}";

    #[test]
    fn what_is_said_is_read() {
        let sensor = Sensor::read(TEXT);
        assert!(sensor.is_ready());
        assert_eq!(sensor.ledger(), "flows is off by -3");
        assert_eq!(Sensor::read(&TEXT.replace("-3", "0")).ledger(), "every equation holds");
        let closed =
            Sensor::read(&TEXT.replace("HTTP/1.0 200 OK\r\n\r\n{", "HTTP/1.0 401 Unauthorized\r\n\r\n{"));
        assert_eq!(closed.ledger(), "balanced, says the sensor");
    }

    #[test]
    fn only_who_watches_is_ready() {
        assert!(
            !Sensor::read(&TEXT.replace("200 OK\r\n\r\nvesper", "503 Service Unavailable\r\n\r\nnot"))
                .is_ready()
        );
        assert!(!Sensor::read(&TEXT.replace("State=active", "State=activating")).is_ready());
        assert!(!Sensor::read("").is_ready());
        // With TLS, and no curl there.
        assert!(
            Sensor::read(&TEXT.replace("HTTP/1.0 200 OK\r\n\r\nvesper", "HTTP/1.0 000 no-curl\nvesper"))
                .is_ready()
        );
    }
}
