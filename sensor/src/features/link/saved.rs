//! What is familiar, for the next start.

use super::novelty::Novelty;
use super::station::{Station, Stream, StreamKey};
use super::wire::Mac;
use super::{Links, NOWHERE, PASSING};
use serde::{Deserialize, Serialize};

/// What is saved of the link layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedLinks {
    macs: Vec<Mac>,
    streams: Vec<StreamKey>,
    new_macs: Novelty,
    new_streams: Novelty,
}

impl Links {
    /// What was seen often enough to be remembered: MAC addresses and streams, in order.
    pub fn saved(&self) -> SavedLinks {
        let macs = self.stations.iter().filter(|(_, station)| station.windows >= PASSING);
        let streams = self.streams.iter().filter(|(_, stream)| stream.windows >= PASSING);
        let mut saved = SavedLinks {
            macs: macs.map(|(mac, _)| *mac).collect(),
            streams: streams.map(|(key, _)| *key).collect(),
            new_macs: self.new_macs,
            new_streams: self.new_streams,
        };
        saved.macs.sort_unstable();
        saved.streams.sort_unstable();
        saved
    }

    /// Takes up what was saved, as far as there is room.
    pub fn restore(&mut self, saved: SavedLinks, now: u64) {
        (self.new_macs, self.new_streams) = (saved.new_macs, saved.new_streams);
        for mac in saved.macs {
            let station = || Station { windows: PASSING, ..Station::new(now) };
            self.stations.find_or_insert(mac, NOWHERE, station);
        }
        for key in saved.streams {
            let stream = || Stream { windows: PASSING, ..Stream::new(now) };
            self.streams.find_or_insert(key, NOWHERE, stream);
        }
    }
}
