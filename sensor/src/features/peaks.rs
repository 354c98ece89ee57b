//! The most that was usual for a pair or a service, which goes up with what ordinary rows show.

use serde::{Deserialize, Serialize};

/// Below these recent counts nothing is a surge: connections, and bytes out.
pub(super) const USUAL_CONNECTIONS: f64 = 5.0;
pub(super) const USUAL_BYTES: f64 = 1e6;
/// So many times what was usual in the warm-up may become usual since, where a rule asks.
const GROWN: f64 = 2.5;

/// The most that was usual.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Peaks {
    /// Connections, as recent counts go.
    pub connections: f64,
    /// Bytes out, as recent counts go.
    pub bytes_out: f64,
    /// Connections in the warm-up.
    pub(super) warm: f64,
}

impl Peaks {
    /// Goes up by `part` of what is missing.
    pub(super) fn raise(&mut self, connections: f64, bytes_out: f64, part: f64) {
        self.connections += part * (connections - self.connections).max(0.0);
        self.bytes_out += part * (bytes_out - self.bytes_out).max(0.0);
    }

    /// Connections, as far as nobody can have made them usual by adding a little every day.
    pub(super) fn trusted_connections(&self) -> f64 {
        self.connections.min(self.warm.max(USUAL_CONNECTIONS) * GROWN)
    }
}
