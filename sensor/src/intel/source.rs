//! Asks a list's source what is new: a file, a folder, a server.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::{FeedConfig, FeedKind};
use super::fetch::{self, Client, FetchError, Seen, TAXII};
use super::formats::{self, FormatError, Parsed, misp, stix};

/// Pages of a TAXII collection in one look.
const PAGES: usize = 1_000;
/// Objects of one page asked for; servers give fewer.
const PAGE: u32 = 10_000;

/// What is remembered of a source from one look to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Of a file: when it was changed, nanoseconds, and how long it is.
    pub stamp: Option<(i64, i64, u64)>,
    /// Of an answer.
    pub seen: Seen,
    /// Of a TAXII collection: when its latest object was added.
    pub added_after: Option<String>,
    /// Of a MISP feed: each event with its time.
    pub events: BTreeMap<String, u64>,
}

/// A look at a source.
pub enum Look {
    /// It is as it was.
    Same,
    /// All that it says now.
    Whole(Parsed, Memory),
    /// What is new or taken back since; `withdrawn` parts go first.
    Part(Parsed, Memory),
}

/// A source that says nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It could not be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// More pages or bytes than are taken in one look.
    #[error("it is longer than {pages} pages or {bytes} bytes: raise intel.max_bytes if it should be")]
    Endless {
        /// Pages read.
        pages: usize,
        /// What is taken.
        bytes: u64,
    },
    /// The server has no next page, though it says that there is more.
    #[error("the server says that there is more, and not where")]
    NoNext,
}

/// Looks at a source. `now`: seconds since the Unix epoch.
pub fn look(config: &FeedConfig, memory: &Memory, limit: u64, now: u64) -> Result<Look, SourceError> {
    match (&config.path, &config.url) {
        (Some(path), _) if config.kind == FeedKind::Misp && path.is_dir() => {
            let file = |name: &str| fetch::file(&path.join(name), limit).map_err(SourceError::from);
            events(memory, limit, |name| file(name))
        }
        (Some(path), _) => file(config, path, memory, limit, now),
        (None, Some(url)) => {
            let client = Client::new(config, limit)?;
            match config.kind {
                FeedKind::Taxii => taxii(&client, url, memory, limit, now),
                FeedKind::Misp => {
                    let base = url.trim_end_matches("manifest.json").trim_end_matches('/');
                    events(memory, limit, |name| {
                        let answer =
                            client.get(&format!("{base}/{name}"), "application/json", &Seen::default())?;
                        Ok(answer.map(|answer| answer.body).unwrap_or_default())
                    })
                }
                _ => match client.get(url, "*/*", &memory.seen)? {
                    None => Ok(Look::Same),
                    Some(answer) => {
                        let memory = Memory { seen: answer.seen, ..Memory::default() };
                        Ok(Look::Whole(formats::read(config, &answer.body, now)?, memory))
                    }
                },
            }
        }
        (None, None) => Ok(Look::Same),
    }
}

fn file(
    config: &FeedConfig,
    path: &Path,
    memory: &Memory,
    limit: u64,
    now: u64,
) -> Result<Look, SourceError> {
    let failed = |source| FetchError::File { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let stamp = Some((metadata.mtime(), metadata.mtime_nsec(), metadata.size() ^ metadata.ino() << 32));
    if memory.stamp == stamp {
        return Ok(Look::Same);
    }
    let parsed = formats::read(config, &fetch::file(path, limit)?, now)?;
    Ok(Look::Whole(parsed, Memory { stamp, ..Memory::default() }))
}

/// The manifest of a MISP feed, and the events in it that are new or changed.
fn events(
    memory: &Memory,
    limit: u64,
    read: impl Fn(&str) -> Result<Vec<u8>, SourceError>,
) -> Result<Look, SourceError> {
    let there: BTreeMap<String, u64> = misp::manifest(&read("manifest.json")?)?.into_iter().collect();
    if there == memory.events {
        return Ok(Look::Same);
    }
    let mut all = Parsed::default();
    let gone = memory.events.keys().filter(|name| !there.contains_key(*name));
    all.withdrawn.extend(gone.cloned());
    let mut bytes = 0;
    for (name, time) in &there {
        if memory.events.get(name) == Some(time) {
            continue;
        }
        let text = read(&format!("{name}.json"))?;
        bytes += text.len() as u64;
        if bytes > limit {
            return Err(SourceError::Endless { pages: all.withdrawn.len(), bytes: limit });
        }
        let mut event = misp::event(&text)?;
        // Under the manifest's name, whatever the event calls itself.
        let part: std::sync::Arc<str> = name.as_str().into();
        event.items.iter_mut().for_each(|item| item.part = Some(part.clone()));
        all.withdrawn.push(name.clone());
        all.items.append(&mut event.items);
        all.refused.add(&event.refused);
    }
    Ok(Look::Part(all, Memory { events: there, ..Memory::default() }))
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    more: bool,
    #[serde(default)]
    next: Option<String>,
    #[serde(default)]
    objects: Vec<serde_json::Value>,
}

/// What was added to a TAXII 2.1 collection since the last look (OASIS TAXII 2.1, 3.4 and 5.4).
fn taxii(client: &Client, url: &str, memory: &Memory, limit: u64, now: u64) -> Result<Look, SourceError> {
    let objects = format!("{}/objects/?limit={PAGE}&match%5Btype%5D=indicator", url.trim_end_matches('/'));
    let mut all = Parsed::default();
    let (mut next, mut added, mut bytes): (Option<String>, Option<String>, u64) = (None, None, 0);
    for _ in 0..PAGES {
        let mut address = objects.clone();
        if let Some(after) = &memory.added_after {
            address.push_str(&format!("&added_after={}", escaped(after)));
        }
        if let Some(next) = &next {
            address.push_str(&format!("&next={}", escaped(next)));
        }
        let Some(answer) = client.get(&address, TAXII, &Seen::default())? else { break };
        bytes += answer.body.len() as u64;
        if bytes > limit {
            return Err(SourceError::Endless { pages: PAGES, bytes: limit });
        }
        let envelope: Envelope = serde_json::from_slice(&answer.body).map_err(|error| {
            FormatError::Malformed { expected: "a TAXII 2.1 envelope", reason: error.to_string() }
        })?;
        added = answer.added_last.or(added);
        let mut page = stix::objects(envelope.objects, now);
        all.items.append(&mut page.items);
        all.withdrawn.append(&mut page.withdrawn);
        all.refused.add(&page.refused);
        if !envelope.more {
            let added_after = added.or_else(|| memory.added_after.clone());
            if all.withdrawn.is_empty() && memory.added_after.is_some() {
                return Ok(Look::Same);
            }
            return Ok(Look::Part(all, Memory { added_after, ..Memory::default() }));
        }
        next = Some(envelope.next.filter(|next| next.len() <= 4096).ok_or(SourceError::NoNext)?);
    }
    Err(SourceError::Endless { pages: PAGES, bytes: limit })
}

/// Text within an address.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
