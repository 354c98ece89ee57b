//! The most that was usual for a pair or a service, which goes up with what ordinary rows show.

use serde::{Deserialize, Serialize};

/// Below these recent counts nothing is a surge: connections, and bytes out.
pub(super) const USUAL_CONNECTIONS: f32 = 5.0;
pub(super) const USUAL_BYTES: f32 = 1e6;
/// So many times what was usual in the warm-up may become usual since, where a rule asks.
const GROWN: f32 = 2.5;

/// The most that was usual.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Peaks {
    /// Connections, as recent counts go.
    pub connections: f32,
    /// Bytes out, as recent counts go.
    pub bytes_out: f32,
    /// Connections in the warm-up.
    pub(super) warm: f32,
}

impl Peaks {
    /// Goes up by `part` of what is missing.
    pub(super) fn raise(&mut self, connections: f32, bytes_out: f32, part: f32) {
        self.connections += part * (connections - self.connections).max(0.0);
        self.bytes_out += part * (bytes_out - self.bytes_out).max(0.0);
    }

    /// Connections, as far as nobody can have made them usual by adding a little every day.
    pub(super) fn trusted_connections(&self) -> f32 {
        self.connections.min(self.warm.max(USUAL_CONNECTIONS) * GROWN)
    }
}
