//! What was learned, as a checkpoint and back: models, threshold, and what is familiar.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Analysis;
use crate::config::Config;
use crate::features::host::SavedHost;
use crate::features::link::SavedLinks;
use crate::features::memory::{Pair, PairKey, Service, ServiceKey};
use crate::features::moves::is_admin;
use crate::features::rarity::Habits;
use crate::score::ScoreError;
use crate::score::checkpoint::{About, Checkpoint, FORMAT};
use crate::score::scorer::{Phase, Scorer, ScorerState};

/// Everything that was learned, on its own: to be written by another thread while the analysis goes on.
#[derive(Clone, Debug)]
pub struct Learned {
    scorer: ScorerState,
    threshold: f64,
    memory: Remembered,
}

/// What is familiar.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Remembered {
    learned_until: u64,
    now: u64,
    pairs: Vec<(PairKey, Pair)>,
    services: Vec<(ServiceKey, Service)>,
    hosts: Vec<SavedHost>,
    habits: Habits,
    links: SavedLinks,
    sequence: (String, u64),
}

impl Learned {
    /// As a file.
    pub fn encode(&self) -> Result<Vec<u8>, ScoreError> {
        let mut checkpoint = Checkpoint { about: self.about(), ..Checkpoint::default() };
        self.scorer.write(&mut checkpoint)?;
        checkpoint.put_record("memory", &self.memory)?;
        checkpoint.encode()
    }

    /// Reads and checks a file; whether it fits this program and its settings is for [`Analysis::take_up`] to say.
    pub fn decode(bytes: &[u8]) -> Result<Learned, ScoreError> {
        let mut checkpoint = Checkpoint::decode(bytes)?;
        let threshold = checkpoint.about.threshold;
        let scorer = ScorerState::read(&mut checkpoint)?;
        let memory: Remembered = checkpoint.record("memory")?;
        checkpoint.is_empty()?;
        if !memory.habits.is_sound() || !threshold.is_finite() {
            return Err(ScoreError::Damaged { what: "memory: a number in it is impossible".to_owned() });
        }
        Ok(Learned { scorer, threshold, memory })
    }

    /// What is known of it.
    pub fn about(&self) -> About {
        let memory = &self.memory;
        let counts = [
            ("pairs", memory.pairs.len()),
            ("services", memory.services.len()),
            ("hosts", memory.hosts.len()),
        ];
        let remembered: BTreeMap<String, u64> =
            counts.into_iter().map(|(name, count)| (name.to_owned(), count as u64)).collect();
        About {
            format: FORMAT,
            version: crate::status::VERSION.to_owned(),
            saved_at: memory.now,
            remembered,
            ..self.scorer.about(self.threshold)
        }
    }

    /// The models alone, with these settings.
    pub fn scorer(&self, config: &Config) -> Result<Scorer, ScoreError> {
        let mut scorer = Scorer::new(&config.score, config.alert.budget_per_hour)?;
        scorer.restore(&self.scorer)?;
        Ok(scorer)
    }

    /// The models become these; what is familiar stays.
    pub fn replace(&mut self, scorer: &Scorer) -> Result<(), ScoreError> {
        (self.scorer, self.threshold) = (scorer.save()?, scorer.threshold());
        Ok(())
    }

    /// Alerts are numbered on from where `current` stands, so that no two ever have the same number.
    pub fn number_on(&mut self, current: &Learned) {
        let (sequence, ahead) = (&mut self.memory.sequence, &current.memory.sequence);
        if *ahead > *sequence {
            sequence.clone_from(ahead);
        }
    }
}

impl Analysis {
    /// Everything that was learned.
    pub fn learned(&self) -> Result<Learned, ScoreError> {
        let (pairs, services) = self.features.memory.saved();
        let memory = Remembered {
            learned_until: self.features.memory.learned_until,
            now: self.now,
            pairs,
            services,
            hosts: self.features.hosts.saved(),
            habits: self.features.habits.clone(),
            links: self.features.links.saved(),
            sequence: self.book.sequence.clone(),
        };
        Ok(Learned { scorer: self.scorer.save()?, threshold: self.scorer.threshold(), memory })
    }

    /// Goes on with what was learned instead of what it knows. On an error nothing has changed.
    pub fn take_up(&mut self, learned: Learned) -> Result<(), ScoreError> {
        let Learned { scorer, memory, .. } = learned;
        self.scorer.restore(&scorer)?;
        let warming = self.scorer.phase == Phase::Warming;
        self.features.clear();
        let moves = memory.pairs.iter().filter(|(key, _)| is_admin(key.service.proto, key.service.port));
        let movers: Vec<[u8; 16]> = moves.map(|(key, _)| key.src).collect();
        self.features.memory.restore(memory.pairs, memory.services, memory.learned_until, warming);
        for host in memory.hosts {
            self.features.hosts.remember(host, memory.now);
        }
        movers.iter().for_each(|host| self.features.hosts.know_move(host));
        self.features.habits = memory.habits;
        self.features.links.restore(memory.links, memory.now);
        self.book.sequence = memory.sequence.max(std::mem::take(&mut self.book.sequence));
        Ok(())
    }

    /// The whole learned state as a file.
    pub fn save(&self) -> Result<Vec<u8>, ScoreError> {
        self.learned()?.encode()
    }

    /// Takes up a file. On an error nothing has changed.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), ScoreError> {
        self.take_up(Learned::decode(bytes)?)
    }
}
