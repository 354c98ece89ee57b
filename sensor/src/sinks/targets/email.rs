//! Messages to people by SMTP, as plain text.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};

use super::note::{Note, percent};
use super::pace::Notify;
use super::summary::Summary;
use super::{Message, Outcome, Told, secret, wall};
use crate::sinks::config::{EmailConfig, EmailSecurity};
use crate::telemetry::printable;

/// Subjects beyond this are folded and cut by mail programs anyway.
const SUBJECT: usize = 150;

/// One group of people.
#[derive(Debug)]
pub struct Email {
    config: EmailConfig,
    sensor: String,
    console_url: String,
}

impl Email {
    /// The people of the settings.
    pub fn new(config: &EmailConfig, sensor: &str, console_url: &str) -> Email {
        Email { config: config.clone(), sensor: sensor.to_owned(), console_url: console_url.to_owned() }
    }

    fn send(&self, mail: Mail, timeout: Duration) -> Outcome {
        let sent = self.message(&mail).and_then(|message| Ok((message, self.transport(timeout)?)));
        let (message, transport) = match sent {
            Ok(ready) => ready,
            // A setting or a file, which somebody will correct.
            Err(error) => return Outcome::Retry { error, after: None },
        };
        match transport.send(&message) {
            Ok(_accepted) => Outcome::Delivered,
            Err(error) => self.judge(&error),
        }
    }

    fn judge(&self, error: &lettre::transport::smtp::Error) -> Outcome {
        let code = error.status().map(|code| code.to_string()).unwrap_or_default();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(deeper) = source {
            text = format!("{text}: {deeper}");
            source = deeper.source();
        }
        let error_text = printable(&format!("{}:{}: {text}", self.config.server, self.config.port()), 300);
        // Logins that fail, and TLS that is asked for, are matters of the settings and not of this mail.
        let is_setting = matches!(code.as_str(), "530" | "534" | "535" | "538");
        if error.is_permanent() && !is_setting {
            return Outcome::Refused { error: error_text };
        }
        Outcome::Retry { error: error_text, after: None }
    }

    fn transport(&self, timeout: Duration) -> Result<SmtpTransport, String> {
        let config = &self.config;
        let tls = || -> Result<TlsParameters, String> {
            let mut tls = TlsParameters::builder(config.server.clone());
            if !config.ca_file.as_os_str().is_empty() {
                let path = config.ca_file.display();
                let pem =
                    std::fs::read(&config.ca_file).map_err(|error| format!("ca_file {path}: {error}"))?;
                tls = tls.add_root_certificate(
                    Certificate::from_pem(&pem).map_err(|error| format!("ca_file {path}: {error}"))?,
                );
            }
            tls.build_rustls().map_err(|error| format!("TLS to {}: {error}", config.server))
        };
        let mut transport = SmtpTransport::builder_dangerous(config.server.clone())
            .port(config.port())
            .timeout(Some(timeout))
            .tls(match config.security {
                EmailSecurity::Starttls => Tls::Required(tls()?),
                EmailSecurity::Tls => Tls::Wrapper(tls()?),
                EmailSecurity::None => Tls::None,
            });
        if !config.user.is_empty() {
            let password = secret::read(&config.password_file).map_err(|error| error.to_string())?;
            let password = password.expose().to_owned();
            transport = transport.credentials(Credentials::new(config.user.clone(), password));
        }
        Ok(transport.build())
    }

    fn message(&self, mail: &Mail) -> Result<lettre::Message, String> {
        let address = |text: &String| text.parse::<Mailbox>().map_err(|error| format!("{text}: {error}"));
        let mut builder = lettre::Message::builder()
            .from(address(&self.config.from)?)
            .subject(printable(&format!("[{}] {}", self.sensor, mail.subject), SUBJECT))
            .message_id(Some(self.id(&mail.id)))
            .date(wall());
        if let Some(first) = &mail.follows {
            builder = builder.in_reply_to(self.id(first)).references(self.id(first));
        }
        for to in &self.config.to {
            builder = builder.to(address(to)?);
        }
        builder.header(ContentType::TEXT_PLAIN).body(mail.body.clone()).map_err(|error| error.to_string())
    }

    /// The same at every attempt, so that a mail that arrives twice is one to mail programs.
    fn id(&self, local: &str) -> String {
        format!("<{local}@{}.vesper>", self.sensor)
    }
}

impl Notify for Email {
    fn one(&mut self, message: &Message, timeout: Duration) -> Outcome {
        self.send(of_note(&Note::of(message), &self.console_url), timeout)
    }

    fn summary(&mut self, summary: &Summary, timeout: Duration) -> Outcome {
        self.send(of_summary(summary, &self.console_url), timeout)
    }
}

#[derive(Debug)]
struct Mail {
    id: String,
    /// The mail that this one answers, for mail programs to show them together.
    follows: Option<String>,
    subject: String,
    body: String,
}

fn of_note(note: &Note, console_url: &str) -> Mail {
    let similarity = note.similarity.map(|part| format!(", {} alike", percent(part))).unwrap_or_default();
    let incident =
        if note.incident.is_empty() { String::new() } else { format!("{}{similarity}", note.incident) };
    let mut body = format!("{}\r\n\r\n{}\r\n\r\n", note.headline(), note.symptom);
    for (name, value) in [
        ("Source", &note.source),
        ("Destination", &note.destination),
        ("Protocol", &note.protocol),
        ("Confidence", &note.confidence.map(percent).unwrap_or_default()),
        ("Recommended action", &note.action),
        ("Similar incident", &incident),
        ("Resolved by", &note.resolution),
        ("Time", &note.time),
        ("Id", &note.id),
        ("Console", &note.link(console_url)),
    ] {
        if !value.is_empty() {
            body.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let way = note.way();
    let subject = match way.as_str() {
        "" => note.headline(),
        way => format!("{}: {way}", note.headline()),
    };
    // The first mail about an alert has its id; those that follow name it.
    let local: String =
        note.id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
    match (note.told, local.is_empty()) {
        (Told::Raised | Told::Decision, false) => Mail { id: local, follows: None, subject, body },
        (_, false) => Mail { id: format!("{local}.{}", note.event), follows: Some(local), subject, body },
        (_, true) => Mail { id: format!("event.{}", note.event), follows: None, subject, body },
    }
}

fn of_summary(summary: &Summary, console_url: &str) -> Mail {
    let [first, last] = &summary.times;
    let mut body = format!(
        "{}\r\n\r\nSeverity: {}\r\nSources: {}\r\nFrom {first} to {last}, {} messages.\r\n\r\n",
        summary.headline(),
        summary.severities(),
        summary.sources(),
        summary.messages,
    );
    for note in &summary.named {
        body.push_str(&format!(
            "- {} {}: {}\r\n  {}\r\n",
            note.headline(),
            note.way(),
            note.symptom,
            note.id
        ));
    }
    if summary.unnamed() > 0 {
        body.push_str(&format!("and {} further.\r\n", summary.unnamed()));
    }
    if !console_url.is_empty() {
        body.push_str(&format!("Console: {}/#/alerts\r\n", console_url.trim_end_matches('/')));
    }
    let id = format!("summary.{}-{}", summary.first_event, summary.last_event);
    Mail { id, follows: None, subject: summary.headline(), body }
}

#[cfg(test)]
#[path = "email_real_tests.rs"]
mod real_tests;
#[cfg(test)]
#[path = "email_tests.rs"]
mod tests;
