//! What is wrong with the settings of the sinks, each with a remedy.

use std::path::Path;
use std::time::Duration;

use super::{EmailSecurity, Limits, SinksConfig, Told};
use crate::config::{duration, size};

/// More would be a thread each.
const MOST_OF_A_KIND: usize = 16;

/// What may stand in labels.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Collects the problems of the sinks of a list.
struct Found {
    problems: Vec<String>,
    names: Vec<String>,
}

impl Found {
    fn add(&mut self, at: &str, key: &str, text: impl AsRef<str>) {
        self.problems.push(format!("{at}.{key} {}", text.as_ref()));
    }

    /// What all sinks have in common.
    fn common(&mut self, at: &str, name: String, limits: &Limits) {
        if name.len() > 40 || !name.chars().all(is_plain) {
            self.add(at, "name", format!("= {name:?} is no label: up to 40 letters, digits, `_` and `-`"));
        }
        if self.names.contains(&name) {
            self.add(at, "name", format!("= {name:?} is taken by another sink: choose another"));
        }
        self.names.push(name);
        if !(Duration::from_millis(100)..=Duration::from_secs(300)).contains(&limits.timeout) {
            let value = duration::format(limits.timeout);
            self.add(at, "timeout", format!("= {value} is out of range: choose 100ms to 5m"));
        }
        if limits.give_up_after < Duration::from_secs(60) {
            let value = duration::format(limits.give_up_after);
            self.add(at, "give_up_after", format!("= {value} is too short: choose 1m or more"));
        }
        if !(1..=1_000_000).contains(&limits.queue) {
            self.add(at, "queue", format!("= {} is out of range: choose 1 to 1000000", limits.queue));
        }
        if limits.only.tell.is_empty() {
            self.add(at, "tell", "is empty: nothing would be told; remove the sink, or name what is");
        }
    }

    /// An address that alerts are posted to; `token` is a file whose content is sent along.
    fn http(&mut self, at: &str, url: &str, token: &Path) {
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            let text = "is not an http:// or https:// address: write one such as https://soc.example.net";
            self.add(at, "url", text);
        } else if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            self.add(at, "url", "holds a space or control character: remove it, or write %20");
        } else if host.is_some_and(|host| host.split('/').next().unwrap_or_default().contains('@')) {
            self.add(at, "url", "holds a user or password: use token_file, and write the address without it");
        } else if host.is_some_and(|host| host.starts_with("hooks.slack.com")) {
            self.add(
                at,
                "url",
                "is a Slack address, and a secret: write it to a file and use [[sinks.slack]]",
            );
        } else if !token.as_os_str().is_empty() && !url.starts_with("https://") && !is_loopback(url) {
            self.add(at, "token_file", "would be sent in the clear: use an https:// address");
        }
    }

    fn file(&mut self, at: &str, key: &str, path: &Path) {
        if !path.as_os_str().is_empty() && path.is_relative() && path.components().count() != 1 {
            let text = "is neither an absolute path nor the name of a systemd credential: write one of these";
            self.add(at, key, text);
        }
    }

    fn group(&mut self, at: &str, group_for: Duration, least: Duration) {
        if !(least..=Duration::from_secs(3600)).contains(&group_for) {
            let (value, least) = (duration::format(group_for), duration::format(least));
            self.add(at, "group_for", format!("= {value} is out of range: choose {least} to 1h"));
        }
    }
}

fn is_loopback(url: &str) -> bool {
    url.parse::<axum::http::Uri>()
        .ok()
        .and_then(|uri| uri.host().map(super::super::targets::is_loopback))
        .unwrap_or(false)
}

impl SinksConfig {
    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Found { problems: Vec::new(), names: vec!["jsonl".to_owned(), "eve".to_owned()] };
        self.general(&mut found);
        for (kind, number) in [
            ("webhook", self.webhook.len()),
            ("slack", self.slack.len()),
            ("alertmanager", self.alertmanager.len()),
            ("syslog", self.syslog.len()),
            ("email", self.email.len()),
            ("kafka", self.kafka.len()),
        ] {
            if number > MOST_OF_A_KIND {
                found.problems.push(format!("{kind}: {number} are too many: at most {MOST_OF_A_KIND}"));
            }
        }
        self.http_sinks(&mut found);
        self.other_sinks(&mut found);
        found.problems
    }

    fn general(&self, found: &mut Found) {
        let mut add = |text: String| found.problems.push(text);
        if self.sensor.len() > 64 || !self.sensor.chars().all(|c| is_plain(c) || c == '.') {
            add(format!("sensor = {:?} is no name: up to 64 letters, digits, `.`, `_` and `-`", self.sensor));
        }
        let url = &self.console_url;
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        if !url.is_empty() && (!is_web || url.chars().any(|c| c.is_whitespace() || "<>|\"".contains(c))) {
            add("console_url is not an http:// or https:// address: correct it, or leave it empty".to_owned());
        }
        for (name, enabled, path, rotate) in [
            ("jsonl", self.jsonl.enabled, &self.jsonl.path, self.jsonl.rotate_bytes),
            ("eve", self.eve.enabled, &self.eve.path, self.eve.rotate_bytes),
        ] {
            if enabled && path.as_os_str().is_empty() {
                add(format!("{name}.path is empty: name a file, or set sinks.{name}.enabled = false"));
            }
            if rotate < 1 << 20 {
                let size = size::format(rotate);
                add(format!("{name}.rotate_bytes = {size} is too small: use at least 1MiB"));
            }
        }
        if self.jsonl.enabled && self.eve.enabled && self.jsonl.path == self.eve.path {
            add("eve.path is that of sinks.jsonl: choose another".to_owned());
        }
    }

    fn http_sinks(&self, found: &mut Found) {
        for (index, (name, sink)) in self.named_webhooks().enumerate() {
            let at = &format!("webhook[{index}]");
            found.common(at, name, &sink.limits());
            found.http(at, &sink.endpoint(), &sink.token_file);
            for (key, path) in [
                ("secret_file", &sink.secret_file),
                ("token_file", &sink.token_file),
                ("ca_file", &sink.ca_file),
            ] {
                found.file(at, key, path);
            }
            found.group(at, sink.group_for, Duration::ZERO);
        }
        for (index, (name, sink)) in self.named_slacks().enumerate() {
            let at = &format!("slack[{index}]");
            found.common(at, name, &sink.limits());
            if sink.url_file.as_os_str().is_empty() {
                let text = "is empty: name a file that holds the address of the incoming webhook, mode 0600";
                found.add(at, "url_file", text);
            }
            found.file(at, "url_file", &sink.url_file);
            found.file(at, "ca_file", &sink.ca_file);
            found.group(at, sink.group_for, Duration::from_secs(1));
        }
        for (index, (name, sink)) in self.named_alertmanagers().enumerate() {
            let at = &format!("alertmanager[{index}]");
            found.common(at, name, &sink.limits());
            found.http(at, &sink.endpoint(), &sink.token_file);
            found.file(at, "token_file", &sink.token_file);
            found.file(at, "ca_file", &sink.ca_file);
            if !(Duration::from_secs(1)..=Duration::from_secs(180)).contains(&sink.resend_every) {
                let value = duration::format(sink.resend_every);
                found.add(at, "resend_every", format!("= {value} is out of range: choose 1s to 3m"));
            }
            if sink.resolve_after < sink.resend_every {
                let value = duration::format(sink.resolve_after);
                found.add(at, "resolve_after", format!("= {value} is below resend_every: choose more"));
            }
            if sink.limits().only.tell.iter().any(|told| matches!(told, Told::Decision | Told::System)) {
                found.add(
                    at,
                    "tell",
                    "has more than alerts, which is all it takes: raised, updated, resolved",
                );
            }
        }
    }

    fn other_sinks(&self, found: &mut Found) {
        for (index, (name, sink)) in self.named_syslogs().enumerate() {
            let at = &format!("syslog[{index}]");
            found.common(at, name, &sink.limits());
            if sink.target().is_none() {
                let text = "= {} is no address: write unix:/dev/log, udp://host:514 or tcp://host:601";
                found.add(at, "address", text.replace("{}", &format!("{:?}", sink.address)));
            }
            if sink.facility_number().is_none() {
                let value = &sink.facility;
                found.add(at, "facility", format!("= {value:?} is none: daemon, auth, local0 to local7"));
            }
            found.group(at, sink.group_for, Duration::ZERO);
        }
        for (index, (name, sink)) in self.named_emails().enumerate() {
            let at = &format!("email[{index}]");
            found.common(at, name, &sink.limits());
            self.email_problems(at, sink, found);
        }
        for (index, (name, sink)) in self.named_kafkas().enumerate() {
            let at = &format!("kafka[{index}]");
            found.common(at, name, &sink.limits());
            let is_broker = |broker: &String| {
                broker
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            };
            if sink.brokers.is_empty() || !sink.brokers.iter().all(is_broker) {
                found.add(at, "brokers", "lacks a host:port: write such as [\"kafka1.example.net:9092\"]");
            }
            let legal = |c: char| is_plain(c) || c == '.';
            if !(1..=249).contains(&sink.topic.len()) || !sink.topic.chars().all(legal) {
                let value = &sink.topic;
                found.add(at, "topic", format!("= {value:?} is no topic: letters, digits, `.`, `_` and `-`"));
            }
            if sink.tls && sink.ca_file.as_os_str().is_empty() {
                let text =
                    "is empty: with tls it is needed; the system's is /etc/ssl/certs/ca-certificates.crt";
                found.add(at, "ca_file", text);
            }
            if !sink.user.is_empty() && sink.password_file.as_os_str().is_empty() {
                found.add(at, "password_file", "is empty: name a file that holds the password, mode 0600");
            }
            if !sink.user.is_empty()
                && !sink.tls
                && !sink.brokers.iter().all(|broker| is_loopback(&format!("http://{broker}")))
            {
                found.add(at, "tls", "is off: the password would be sent in the clear; set tls = true");
            }
            found.file(at, "password_file", &sink.password_file);
            found.file(at, "ca_file", &sink.ca_file);
        }
    }

    fn email_problems(&self, at: &str, sink: &super::EmailConfig, found: &mut Found) {
        let is_address = |text: &str| text.parse::<lettre::message::Mailbox>().is_ok();
        if sink.server.is_empty() || sink.server.contains(['/', '@', ' ']) {
            found.add(at, "server", "is no host name: write such as mail.example.net");
        }
        if sink.security == EmailSecurity::None && !super::super::targets::is_loopback(&sink.server) {
            let text = "= \"none\" is for a server on this machine only: use starttls or tls";
            found.add(at, "security", text);
        }
        if !is_address(&sink.from) {
            found.add(at, "from", "is no address: write such as \"Vesper <vesper@example.net>\"");
        }
        if !(1..=50).contains(&sink.to.len()) || !sink.to.iter().all(|to| is_address(to)) {
            found.add(at, "to", "lacks an address: write 1 to 50, such as [\"soc@example.net\"]");
        }
        if !sink.user.is_empty() && sink.password_file.as_os_str().is_empty() {
            found.add(at, "password_file", "is empty: name a file that holds the password, mode 0600");
        }
        found.file(at, "password_file", &sink.password_file);
        found.file(at, "ca_file", &sink.ca_file);
        found.group(at, sink.group_for, Duration::ZERO);
    }
}

#[cfg(test)]
#[path = "problems_tests.rs"]
mod tests;
