//! What was learned, as bytes and back: models, threshold, and what is familiar.
//!
//! Magic, format, SHA-1 of the body, body. A state that was cut short, changed or made by other code is refused
//! with a reason, before any of it is used.

use super::Analysis;
use crate::features::host::SavedHost;
use crate::features::link::SavedLinks;
use crate::features::memory::{Pair, PairKey, Service, ServiceKey};
use crate::features::rarity::Habits;
use crate::score::ScoreError;
use crate::score::scorer::{Phase, ScorerState};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

const MAGIC: &[u8; 8] = b"vesper-m";
/// Changes whenever the meaning of a field changes.
const FORMAT: u32 = 3;
const HEAD: usize = 8 + 4 + 20;

#[derive(Serialize, Deserialize)]
struct Saved {
    scorer: ScorerState,
    learned_until: u64,
    now: u64,
    pairs: Vec<(PairKey, Pair)>,
    services: Vec<(ServiceKey, Service)>,
    hosts: Vec<SavedHost>,
    habits: Habits,
    links: SavedLinks,
    sequence: (String, u64),
}

impl Analysis {
    /// The whole learned state.
    pub fn save(&self) -> Result<Vec<u8>, ScoreError> {
        let (pairs, services) = self.features.memory.saved();
        let saved = Saved {
            scorer: self.scorer.save()?,
            learned_until: self.features.memory.learned_until,
            now: self.now,
            pairs,
            services,
            hosts: self.features.hosts.saved(),
            habits: self.features.habits.clone(),
            links: self.features.links.saved(),
            sequence: self.book.sequence.clone(),
        };
        let body = postcard::to_stdvec(&saved).map_err(|error| damaged(&error.to_string()))?;
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&Sha1::digest(&body));
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Takes up a saved state. On an error nothing has changed.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), ScoreError> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(damaged("it does not begin like one"));
        }
        let (Some(format), Some(sum), Some(body)) =
            (bytes.get(8..12).and_then(|b| b.first_chunk()), bytes.get(12..HEAD), bytes.get(HEAD..))
        else {
            return Err(damaged("it ends too early"));
        };
        let found = u32::from_le_bytes(*format);
        if found != FORMAT {
            return Err(ScoreError::Version { found, expected: FORMAT });
        }
        if Sha1::digest(body).as_slice() != sum {
            return Err(damaged("its checksum is wrong"));
        }
        let (saved, rest): (Saved, _) =
            postcard::take_from_bytes(body).map_err(|error| damaged(&error.to_string()))?;
        if !rest.is_empty() {
            return Err(damaged("there is more than one state in it"));
        }
        self.scorer.restore(&saved.scorer)?;
        let warming = self.scorer.phase == Phase::Warming;
        self.features.memory.restore(saved.pairs, saved.services, saved.learned_until, warming);
        for host in saved.hosts {
            self.features.hosts.remember(host, saved.now);
        }
        self.features.habits = saved.habits;
        self.features.links.restore(saved.links, saved.now);
        self.book.sequence = saved.sequence;
        Ok(())
    }
}

fn damaged(what: &str) -> ScoreError {
    ScoreError::Damaged { what: what.to_owned() }
}
