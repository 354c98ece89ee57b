//! What all sinks have in common in the configuration: who is told what, and how hard it is tried.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{Severity, ThreatType};

/// What a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// A new alert.
    Raised,
    /// An alert grew, or somebody acknowledged or reopened it.
    Updated,
    /// Somebody resolved an alert.
    Resolved,
    /// An answer to an anomaly that another system posted.
    Decision,
    /// Something about the sensor itself.
    System,
}

impl Told {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Told::Raised => "raised",
            Told::Updated => "updated",
            Told::Resolved => "resolved",
            Told::Decision => "decision",
            Told::System => "system",
        }
    }
}

/// What one sink wants to be told. Asked when an alert is stored: what a sink does not want never waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// Least severity.
    pub severity: Severity,
    /// Types; none is all.
    pub types: Vec<ThreatType>,
    /// Kinds of messages.
    pub tell: Vec<Told>,
}

impl Only {
    /// Whether the sink wants this; `alert` is `None` for what is about none.
    pub fn wants(&self, told: Told, alert: Option<(ThreatType, Severity)>) -> bool {
        self.tell.contains(&told)
            && alert.is_none_or(|(kind, severity)| {
                severity >= self.severity && (self.types.is_empty() || self.types.contains(&kind))
            })
    }
}

/// How one sink is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one attempt.
    pub timeout: Duration,
    /// Wait before the first retry; doubles with each.
    pub backoff: Duration,
    /// What could not be delivered for so long is a dead letter.
    pub give_up_after: Duration,
    /// Messages that may wait; of more, the oldest expire.
    pub queue: usize,
    /// What it wants.
    pub only: Only,
}

impl Limits {
    /// Of a file on this machine.
    pub(super) fn of_file(only: Only) -> Limits {
        Limits {
            timeout: Duration::from_secs(10),
            backoff: Duration::from_millis(200),
            give_up_after: Duration::from_secs(3 * 86_400),
            queue: 100_000,
            only,
        }
    }
}

/// A sink of which there can be several: its own settings, and those that all of them have.
macro_rules! sink {
    (
        $(#[$about:meta])*
        $name:ident tells $tell:expr;
        $($(#[$setting:meta])* $field:ident: $type:ty = $default:expr,)*
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// Label in metrics and logs; empty is the kind and the position, as in `webhook_1`.
            pub name: String,
            $($(#[$setting])* pub $field: $type,)*
            /// Only alerts at least this severe: `low`, `medium`, `high`, `critical`.
            pub severity: Severity,
            /// Only alerts of these types; empty is all.
            pub types: Vec<ThreatType>,
            /// What is told: `raised`, `updated`, `resolved` alerts, `decision`, `system`.
            pub tell: Vec<Told>,
            /// For one attempt, from the name lookup to the end of the answer.
            #[serde(with = "crate::config::duration")]
            pub timeout: Duration,
            /// Wait before the first retry; doubles with each, up to 1m.
            #[serde(with = "crate::config::duration")]
            pub backoff: Duration,
            /// How long it is tried, from when the alert was stored; then it is a dead letter (`vesper alerts retry`).
            #[serde(with = "crate::config::duration")]
            pub give_up_after: Duration,
            /// Messages that may wait; of more, the oldest expire and are counted.
            pub queue: usize,
        }

        impl Default for $name {
            fn default() -> Self {
                $name {
                    name: String::new(),
                    $($field: $default,)*
                    severity: Severity::Low,
                    types: Vec::new(),
                    tell: $tell.to_vec(),
                    timeout: Duration::from_secs(10),
                            backoff: Duration::from_secs(1),
                    give_up_after: Duration::from_secs(3 * 86_400),
                    queue: 100_000,
                }
            }
        }

        impl $name {
            /// How it is served.
            pub fn limits(&self) -> Limits {
                Limits {
                    timeout: self.timeout,
                    backoff: self.backoff,
                    give_up_after: self.give_up_after,
                    queue: self.queue,
                    only: Only {
                        severity: self.severity,
                        types: self.types.clone(),
                        tell: self.tell.clone(),
                    },
                }
            }
        }
    };
}

pub(super) use sink;
