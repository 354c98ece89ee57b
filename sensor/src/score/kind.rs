//! Kinds of rows: each has its features, and a model of its own.

use serde::{Deserialize, Serialize};

use crate::features::spec::{self, Feature};

/// Kinds of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A flow in a window.
    Flow,
    /// A host in a window.
    Host,
    /// A MAC address in a window.
    Link,
}

/// All kinds.
pub const KINDS: [Kind; 3] = [Kind::Flow, Kind::Host, Kind::Link];

impl Kind {
    /// Its features.
    pub fn features(self) -> &'static [Feature] {
        match self {
            Kind::Flow => &spec::FLOW,
            Kind::Host => &spec::HOST,
            Kind::Link => &spec::LINK,
        }
    }

    /// As it stands in metrics and files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Flow => "flow",
            Kind::Host => "host",
            Kind::Link => "link",
        }
    }
}
