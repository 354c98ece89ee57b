//! How surprising it is that something was never seen before.

use serde::{Deserialize, Serialize};

/// With so many looks the counts are halved: they follow the traffic.
const MOST: f64 = 1e6;

/// Looks, and how many of them met something new: its chance is that of Good and Turing (Good 1953).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Novelty {
    looks: f64,
    new: f64,
}

impl Novelty {
    /// Counts a look; its surprise, nats, 0 for what is not new.
    pub fn see(&mut self, new: bool) -> f64 {
        let surprise = -((self.new + 0.5) / (self.looks + 1.0)).min(1.0).ln();
        if self.looks > MOST {
            (self.looks, self.new) = (self.looks / 2.0, self.new / 2.0);
        }
        self.looks += 1.0;
        self.new += f64::from(u8::from(new));
        if new { surprise } else { 0.0 }
    }
}
