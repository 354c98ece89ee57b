//! The sensor's own log: to standard error, for a person on a terminal, plain in a pipe, with priorities and without
//! times to the journal, which has its own, JSON if asked for.
//!
//! `RUST_LOG` overrides the level. Text that came from packets or peers goes through [`printable`] first.

use std::fmt;
use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The section `telemetry` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or levels by module: `info,sensor::sinks=debug`.
    pub level: String,
    /// How lines look.
    pub format: Format,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// In colour on a terminal, plain elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        TelemetryConfig { level: "info".to_owned(), format: Format::Auto }
    }
}

impl TelemetryConfig {
    /// What is wrong with the values, each with a remedy. Each starts with the key.
    pub fn problems(&self) -> Vec<String> {
        match EnvFilter::try_new(&self.level) {
            Ok(_) => Vec::new(),
            Err(error) => vec![format!(
                "level = {:?} is not a log level ({error}): use error, warn, info, debug or trace",
                self.level
            )],
        }
    }
}

/// Starts logging. A second call changes nothing. A bad `RUST_LOG` is reported and otherwise ignored.
pub fn init(config: &TelemetryConfig) {
    let (filter, ignored) = match std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty()) {
        Some(asked) => match EnvFilter::try_new(&asked) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(&config.level), Some(error)),
        },
        None => (EnvFilter::new(&config.level), None),
    };
    let terminal = std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // Without a subscriber nothing is logged; with two the first one stays. Neither is a reason to stop.
    let _second_call = match config.format {
        Format::Json => lines.json().flatten_event(true).try_init(),
        Format::Auto if terminal => lines.with_target(false).try_init(),
        Format::Auto if to_journal(std::env::var("JOURNAL_STREAM").ok().as_deref()) => {
            let plain = tracing_subscriber::fmt::format().compact().without_time();
            lines.event_format(Journal(plain.with_level(false).with_target(false))).try_init()
        }
        Format::Auto => lines.compact().with_target(false).try_init(),
    };
    if let Some(error) = ignored {
        tracing::warn!("RUST_LOG is ignored ({error}): use error, warn, info, debug or trace");
    }
}

/// Whether standard error is the journal's: systemd says which file that is, as `device:inode` (systemd.exec(5)).
fn to_journal(stream: Option<&str>) -> bool {
    let Ok(ours) = rustix::fs::fstat(std::io::stderr()) else { return false };
    stream.is_some_and(|stream| stream == format!("{}:{}", ours.st_dev, ours.st_ino))
}

/// Puts the priority in front of a line, as sd-daemon(3) has it, so that `journalctl -p warning` finds it.
struct Journal<F>(F);

impl<S, N, F> FormatEvent<S, N> for Journal<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}

/// At most `limit` characters of text that came from outside, without what a terminal would act on.
pub fn printable(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(limit)
        .map(|c| if is_hostile(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters, and those that turn or split lines of text.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_harmless() {
        for (text, shown) in [
            ("plain ü 中", "plain ü 中"),
            ("\u{1b}[2Jgone", "\u{fffd}[2Jgone"),
            ("a\r\nb\u{9b}c\u{7f}", "a\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}"),
            ("\u{202e}txt.exe", "\u{fffd}txt.exe"),
        ] {
            assert_eq!(printable(text, 100), shown);
        }
        assert_eq!(printable("abcdef", 3), "abc…");
    }

    #[test]
    fn levels() {
        let with = |level: &str| TelemetryConfig { level: level.to_owned(), ..Default::default() }.problems();
        assert!(with("info").is_empty() && with("warn,sensor=debug").is_empty());
        assert!(with("sensor=loud")[0].contains("use error, warn"));
    }
}
