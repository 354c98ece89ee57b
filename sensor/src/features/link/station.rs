//! What is remembered of a MAC address and of what it sends.

use super::NO_WINDOW;
use super::claims::Contests;
use super::fading::Fading;
use super::wire::Mac;
use crate::features::sketch::Distinct;
use crate::flow::SECOND;
use crate::flow::index::{Key, Seed};
use serde::{Deserialize, Serialize};

/// Missing targets are counted over half a minute to a whole one.
const HALF_MINUTE: u64 = 30 * SECOND;
/// Distinct source addresses from which on a MAC address is a router's.
const ROUTER: u32 = 8;

/// Remembered of a MAC address.
pub(super) struct Station {
    pub(super) last_seen: u64,
    pub(super) windows: u32,
    pub(super) address: Option<[u8; 4]>,
    pub(super) fading: Fading,
    pub(super) missing: [Distinct; 2],
    pub(super) answered: [Distinct; 2],
    pub(super) half_minute: u64,
    /// A bit for each of 64 classes of source addresses of its IP packets.
    pub(super) sources: u64,
    pub(super) contests: Contests,
    pub(super) window: u32,
}

impl Station {
    pub(super) fn new(now: u64) -> Station {
        Station {
            last_seen: now,
            windows: 0,
            address: None,
            fading: Fading::new(now),
            missing: Default::default(),
            answered: Default::default(),
            half_minute: now / HALF_MINUTE,
            sources: 0,
            contests: Contests::default(),
            window: NO_WINDOW,
        }
    }

    pub(super) fn turn_half_minute(&mut self, now: u64) {
        let half_minute = now / HALF_MINUTE;
        if half_minute > self.half_minute {
            let follows = half_minute == self.half_minute + 1;
            for halves in [&mut self.missing, &mut self.answered] {
                halves[1] = if follows { halves[0] } else { Distinct::default() };
                halves[0] = Distinct::default();
            }
            self.half_minute = half_minute;
        }
    }

    pub(super) fn is_router(&self) -> bool {
        self.sources.count_ones() >= ROUTER
    }
}

/// A protocol from one MAC address to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamKey {
    pub(super) source: Mac,
    pub(super) destination: Mac,
    pub(super) kind: u32,
}

impl Key for StreamKey {
    fn hash(&self, seed: &Seed) -> u64 {
        let mut wide = [0; 16];
        wide[..8].copy_from_slice(&self.source.number().to_be_bytes());
        wide[8..].copy_from_slice(&self.destination.number().to_be_bytes());
        seed.words(&[wide], u64::from(self.kind))
    }
}

/// A stream.
pub(super) struct Stream {
    pub(super) last_seen: u64,
    pub(super) windows: u32,
    pub(super) fading: Fading,
    /// In the open window.
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl Stream {
    pub(super) fn new(now: u64) -> Stream {
        Stream { last_seen: now, windows: 0, fading: Fading::new(now), frames: 0, bytes: 0 }
    }
}
