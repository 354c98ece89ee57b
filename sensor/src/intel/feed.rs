//! A list over time: what it said last that could be used is kept, in a file of its own, until it says something better.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::config::{FeedConfig, IntelConfig};
use super::formats::Parsed;
use super::item::{Item, Refused, Value};
use super::prefix::Prefix;
use super::ranges::covered;
use super::source::{self, Look, Memory, SourceError};

/// A list that names more IPv4 addresses than a /8 holds, or more IPv6 ones than a /16, names no threat.
const MOST_COVERED: [(u128, &str); 2] = [(1 << 24, "a /8 of IPv4"), (1 << 112, "a /16 of IPv6")];
/// Shorter lists may change by any factor.
const SMALL: usize = 100;
/// An odd size that stands for so long is taken, seconds.
const PATIENCE: u64 = 86_400;

/// A list that is not taken; the last good one stays.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Nothing could be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It covers too much.
    #[error("it lists more than {most}: it would match everybody")]
    Covers {
        /// What is taken at most.
        most: &'static str,
    },
    /// It changed too much at once.
    #[error(
        "it has {new} entries and had {old}: taken if it stands for a day, or at once with max_change = 0"
    )]
    Changed {
        /// Entries now.
        new: usize,
        /// Entries before.
        old: usize,
    },
    /// The last good list could not be kept.
    #[error("cannot keep {path}: {source}")]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What stands at the head of a list's file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    /// When it was taken, seconds since the Unix epoch.
    pub taken: u64,
    /// Of its source.
    pub memory: Memory,
    /// What was refused of it.
    pub refused: Refused,
    /// How it was asked for; another way begins anew.
    pub asked: String,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    v: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<u8>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    d: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    u: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<std::borrow::Cow<'a, str>>,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A list, and its file.
pub struct Feed {
    config: FeedConfig,
    path: PathBuf,
    limit: u64,
    most: usize,
    /// Since when it has an odd size.
    odd_since: Option<u64>,
}

impl Feed {
    /// The list, with its file in `folder`.
    pub fn new(config: &FeedConfig, intel: &IntelConfig, folder: &Path) -> Feed {
        Feed {
            config: config.clone(),
            path: folder.join(format!("{}.list", config.name)),
            limit: intel.max_bytes,
            most: intel.max_prefixes + intel.max_names,
            odd_since: None,
        }
    }

    /// Its settings.
    pub fn config(&self) -> &FeedConfig {
        &self.config
    }

    /// The head of the list's file, and its lines.
    fn open(&self) -> Option<(Head, impl Iterator<Item = String> + use<>)> {
        let file = File::open(&self.path).ok()?;
        let mut lines = BufReader::new(file).lines().map_while(Result::ok);
        let head: Head = serde_json::from_str(&lines.next()?).ok()?;
        (head.asked == self.asked()).then_some((head, lines))
    }

    /// Whether there is a last good list.
    pub fn is_there(&self) -> bool {
        self.open().is_some()
    }

    /// The last good list, without what has expired by `now`; nothing where there is none.
    pub fn last_good(&self, now: u64) -> (Head, Vec<Item>) {
        let Some((mut head, lines)) = self.open() else { return Default::default() };
        let mut known: HashMap<String, Arc<str>> = HashMap::new();
        let mut items = Vec::new();
        for line in lines.take(self.most) {
            let Ok(line) = serde_json::from_str::<Line<'_>>(&line) else { continue };
            let Some(value) = Value::guess(&line.v) else { continue };
            if line.u != 0 && line.u <= now {
                head.refused.expired += 1;
                continue;
            }
            let mut same = |text: &str| match known.get(text) {
                Some(text) => text.clone(),
                None => {
                    let shared: Arc<str> = text.into();
                    known.insert(text.to_owned(), shared.clone());
                    shared
                }
            };
            let (description, part) = (same(&line.d), line.p.as_deref().map(&mut same));
            items.push(Item { value, confidence: line.c, description, until: line.u, part });
        }
        (head, items)
    }

    /// Looks at the source. True: there is a new last good list. After an error the one before stays.
    pub fn poll(&mut self, now: u64) -> Result<bool, FeedError> {
        let memory = self.open().map(|(head, _)| head.memory).unwrap_or_default();
        let look = source::look(&self.config, &memory, self.limit, now)?;
        let before = if let Look::Same = look { return Ok(false) } else { self.last_good(now).1 };
        let (mut parsed, memory) = match look {
            Look::Same => return Ok(false),
            Look::Whole(parsed, memory) => (parsed, memory),
            Look::Part(parsed, memory) => (joined(&before, parsed), memory),
        };
        let all = parsed.items.len();
        parsed.items.retain(|item| self.config.takes(item));
        parsed.refused.doubtful += (all - parsed.items.len()) as u64;
        if parsed.items.len() > self.most {
            parsed.refused.beyond += (parsed.items.len() - self.most) as u64;
            parsed.items.truncate(self.most);
        }
        if !self.config.allow {
            covers(&parsed.items)?;
        }
        self.judge_change(before.len(), parsed.items.len(), now)?;
        let head = Head { taken: now, memory, refused: parsed.refused, asked: self.asked() };
        self.keep(&head, &parsed.items)
            .map_err(|source| FeedError::Keep { path: self.path.clone(), source })?;
        Ok(true)
    }

    fn judge_change(&mut self, old: usize, new: usize, now: u64) -> Result<(), FeedError> {
        let most = self.config.max_change as usize;
        let odd = most != 0
            && ((old >= SMALL && new.saturating_mul(most) < old)
                || (old.max(SMALL).saturating_mul(most) < new && old > 0));
        let since = *self.odd_since.get_or_insert(now);
        if odd && now.saturating_sub(since) < PATIENCE {
            return Err(FeedError::Changed { new, old });
        }
        self.odd_since = None;
        Ok(())
    }

    fn asked(&self) -> String {
        let FeedConfig { kind, path, url, column, confidence, min_confidence, .. } = &self.config;
        format!("{kind:?} {path:?} {url:?} {column:?} {confidence} {min_confidence}")
    }

    /// Writes the list beside the one before and puts it in its place.
    fn keep(&self, head: &Head, items: &[Item]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = self.path.with_extension("new");
        let mut file = BufWriter::new(File::create(&beside)?);
        serde_json::to_writer(&mut file, head)?;
        for item in items {
            let line = Line {
                v: item.value.text().into(),
                c: item.confidence,
                d: (*item.description).into(),
                u: item.until,
                p: item.part.as_deref().map(Into::into),
            };
            file.write_all(b"\n")?;
            serde_json::to_writer(&mut file, &line)?;
        }
        file.write_all(b"\n")?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)
    }
}

/// What was there less the parts that are new or taken back, and what is new.
fn joined(before: &[Item], new: Parsed) -> Parsed {
    let withdrawn: HashSet<&str> = new.withdrawn.iter().map(String::as_str).collect();
    // Of one object told twice, in pages or versions, the latter stands.
    let stays = |item: &&Item| !item.part.as_deref().is_some_and(|part| withdrawn.contains(part));
    let items = before.iter().filter(stays).cloned().chain(new.items).collect();
    Parsed { items, refused: new.refused, withdrawn: Vec::new() }
}

fn covers(items: &[Item]) -> Result<(), FeedError> {
    let mut nets: Vec<Prefix> = items
        .iter()
        .filter_map(|item| if let Value::Net(net) = item.value { Some(net) } else { None })
        .collect();
    nets.sort_unstable();
    for ((most, name), four) in MOST_COVERED.into_iter().zip([true, false]) {
        if covered(nets.iter().filter(|net| net.four().is_some() == four)) > most {
            return Err(FeedError::Covers { most: name });
        }
    }
    Ok(())
}
