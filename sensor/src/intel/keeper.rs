//! The thread that looks at the lists when they are due, and puts what they say to use.
//!
//! In: settings, the folder of last good lists, the kernel's tries. Out: sets, and how each list is. Never here: a packet.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::config::{FeedConfig, IntelConfig};
use super::feed::{Feed, Head};
use super::item::{Item, Refused};
use super::set::{FeedItems, Set};
use super::source::{self, Look, Memory};
use crate::capture::Lister;

/// Where last good lists are, in the state folder.
const FOLDER: &str = "intel";
/// What expires leaves the set within this time, seconds.
const RENEWED: u64 = 600;
/// How long the drain may take to turn to another trie.
const PATIENCE: Duration = Duration::from_secs(30);
/// A list that fails is looked at again after this time at most, seconds.
const AGAIN: u64 = 300;

/// How a list is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FeedStatus {
    /// The list.
    pub name: String,
    /// Networks, domains and fingerprints in use.
    pub entries: [usize; 3],
    /// When the list in use was taken, seconds since the Unix epoch; 0 is never.
    pub taken: u64,
    /// When it was last looked at.
    pub looked: u64,
    /// Why the latest look brought nothing; empty if it did.
    pub failing: String,
    /// Looks that failed.
    pub failures: u64,
    /// What of it was not taken.
    pub refused: Refused,
}

/// How the lists are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IntelStatus {
    /// Each list, in the order of the settings.
    pub feeds: Vec<FeedStatus>,
    /// Networks in the kernel's trie, exempt ones among them.
    pub prefixes: usize,
    /// Bytes of the set in memory, about.
    pub bytes: usize,
    /// When the set in use was taken up, seconds since the Unix epoch.
    pub since: u64,
    /// Why the latest set was not taken up; empty if it was.
    pub failing: String,
}

/// Tells how the lists are, now.
#[derive(Clone, Debug)]
pub struct StatusReader(Arc<Mutex<IntelStatus>>);

impl StatusReader {
    /// How the lists are.
    pub fn read(&self) -> IntelStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lists that take the place of those in use were not handed over.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReplaceError {
    /// The keeper has not come to the settings before these.
    #[error("[intel] stays as it is: the lists before are still being taken up; reload again in a minute")]
    Busy,
    /// There is no keeper any more.
    #[error("[intel] stays as it is: the thread that keeps the lists has ended; restart the sensor")]
    Gone,
}

/// Has the keeper take up other settings. Clones are the same.
#[derive(Clone, Debug)]
pub struct Replacing(SyncSender<IntelConfig>);

impl Replacing {
    /// Hands the settings over; they are in force once their lists were looked at. Never waits.
    pub fn replace(&self, config: IntelConfig) -> Result<(), ReplaceError> {
        self.0.try_send(config).map_err(|refused| match refused {
            TrySendError::Full(_) => ReplaceError::Busy,
            TrySendError::Disconnected(_) => ReplaceError::Gone,
        })
    }
}

/// A running keeper.
pub struct Keeper {
    status: Arc<Mutex<IntelStatus>>,
    replacing: Replacing,
    stop: Arc<AtomicBool>,
}

impl Keeper {
    /// Starts it. Without lists it waits for settings that have some.
    pub fn start(config: &IntelConfig, state_dir: &Path, lister: Lister) -> std::io::Result<Keeper> {
        let (sender, orders) = sync_channel(1);
        let (status, stop) = (Arc::new(Mutex::new(IntelStatus::default())), Arc::new(AtomicBool::new(false)));
        let mut work = Work::new(config, state_dir, lister, status.clone());
        let stopped = stop.clone();
        std::thread::Builder::new().name("intel".to_owned()).spawn(move || {
            if !work.feeds.is_empty() {
                work.renew(now());
            }
            loop {
                match orders.recv_timeout(Duration::from_secs(1)) {
                    _ if stopped.load(Relaxed) => break,
                    Ok(config) => work.replace(&config, now()),
                    Err(RecvTimeoutError::Timeout) => work.turn(now()),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        })?;
        Ok(Keeper { status, replacing: Replacing(sender), stop })
    }

    /// Has it take up other settings.
    pub fn replacing(&self) -> Replacing {
        self.replacing.clone()
    }

    /// Tells how the lists are.
    pub fn status(&self) -> StatusReader {
        StatusReader(self.status.clone())
    }

    /// Has it stop, which takes as long as the answer it may wait for; nobody waits for that.
    pub fn stop(self) {
        self.stop.store(true, Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "lists come and expire by the real clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A list, and when it is due.
struct Kept {
    feed: Feed,
    due: u64,
    /// What had its name in the settings before, and another source: stands for it until it has brought something.
    before: Option<Feed>,
}

impl Kept {
    fn last_good(&self, now: u64) -> (Head, Vec<Item>) {
        let good = self.feed.last_good(now);
        match &self.before {
            Some(before) if !self.feed.is_there() => before.last_good(now),
            _ => good,
        }
    }
}

struct Work {
    config: IntelConfig,
    folder: PathBuf,
    feeds: Vec<Kept>,
    lister: Lister,
    /// When the set was last put together.
    renewed: u64,
    status: Arc<Mutex<IntelStatus>>,
}

impl Work {
    fn new(config: &IntelConfig, state_dir: &Path, lister: Lister, status: Arc<Mutex<IntelStatus>>) -> Work {
        let folder = state_dir.join(FOLDER);
        let mut work = Work { config: config.clone(), folder, feeds: Vec::new(), lister, renewed: 0, status };
        work.name(config);
        work
    }

    /// The lists of these settings. Those that were there keep what is known of them.
    fn name(&mut self, config: &IntelConfig) {
        let wanted: &[FeedConfig] = if config.enabled { &config.feed } else { &[] };
        let mut old = std::mem::take(&mut self.feeds);
        for feed in wanted {
            let place = old.iter().position(|kept| kept.feed.config().name == feed.name);
            let before = place.map(|at| old.swap_remove(at)).map(|kept| match kept.before {
                // Changed twice, and the first change brought nothing.
                Some(before) if !kept.feed.is_there() => before,
                _ => kept.feed,
            });
            self.feeds.push(Kept { feed: Feed::new(feed, config, &self.folder), due: 0, before });
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = std::mem::take(&mut status.feeds);
        status.feeds = wanted
            .iter()
            .map(|feed| {
                let place = told.iter().position(|status| status.name == feed.name);
                let new = || FeedStatus { name: feed.name.clone(), ..FeedStatus::default() };
                place.map_or_else(new, |at| told.swap_remove(at))
            })
            .collect();
        self.config = config.clone();
    }

    /// Other settings: in force at once for what is there, then every list is looked at.
    fn replace(&mut self, config: &IntelConfig, now: u64) {
        self.name(config);
        self.renew(now);
        self.turn(now);
    }

    /// Looks at what is due; puts the lists together if one changed.
    fn turn(&mut self, now: u64) {
        let old = !self.feeds.is_empty() && now.saturating_sub(self.renewed) >= RENEWED;
        if self.look(now) || old {
            self.renew(now);
        }
    }

    /// Looks at what is due; whether a list changed.
    fn look(&mut self, now: u64) -> bool {
        let mut changed = false;
        for (at, Kept { feed, due, .. }) in self.feeds.iter_mut().enumerate() {
            if now < *due {
                continue;
            }
            let poll = feed.config().poll.as_secs();
            let looked = feed.poll(now);
            *due = now + if looked.is_ok() { poll } else { poll.min(AGAIN) };
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            let status = &mut status.feeds[at];
            status.looked = now;
            match looked {
                Ok(new) => {
                    changed |= new;
                    status.failing.clear();
                }
                Err(error) => {
                    let error = error.to_string();
                    if status.failing != error {
                        tracing::warn!(
                            feed = status.name,
                            error,
                            "a list cannot be taken; the last good one stays"
                        );
                    }
                    (status.failing, status.failures) = (error, status.failures + 1);
                }
            }
        }
        changed
    }

    /// Puts the last good lists together and has new flows looked up in them.
    fn renew(&mut self, now: u64) {
        self.renewed = now;
        let good: Vec<_> = self.feeds.iter().map(|kept| kept.last_good(now)).collect();
        let (heads, items): (Vec<Head>, Vec<_>) = good.into_iter().unzip();
        let lists =
            self.feeds.iter().zip(items).map(|(kept, items)| FeedItems { config: kept.feed.config(), items });
        let set = Arc::new(Set::build(&self.config, lists.collect()));
        let listed = self.lister.list(&set, PATIENCE);
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = listed {
            tracing::error!(%error, "the lists cannot be taken up; those before stay");
            status.failing = error.to_string();
            return;
        }
        status.failing.clear();
        (status.prefixes, status.bytes, status.since) = (set.trie().len(), set.bytes(), now);
        for (at, (feed, head)) in status.feeds.iter_mut().zip(&heads).enumerate() {
            let mut refused = head.refused;
            refused.add(&set.refused[at]);
            if refused.own > 0 && refused.own != feed.refused.own {
                tracing::warn!(
                    feed = feed.name,
                    own = refused.own,
                    "a list names your own networks: that is refused"
                );
            }
            if refused.beyond > 0 && refused.beyond != feed.refused.beyond {
                tracing::warn!(
                    feed = feed.name,
                    beyond = refused.beyond,
                    "a list is longer than there is room for: raise intel.max_prefixes or intel.max_names"
                );
            }
            (feed.entries, feed.taken, feed.refused) = (set.entries[at], head.taken, refused);
        }
    }
}

/// The lists as they are on this machine, for captures: files are read, of servers the last good lists. Gives warnings too.
pub fn offline(config: &IntelConfig, state_dir: &Path) -> (Option<Arc<Set>>, Vec<String>) {
    if !config.enabled || config.feed.is_empty() {
        return (None, Vec::new());
    }
    let folder: PathBuf = state_dir.join(FOLDER);
    let (now, mut warnings) = (now(), Vec::new());
    let lists = config.feed.iter().map(|feed| {
        let kept = |why: String, warnings: &mut Vec<String>| {
            let (head, items) = Feed::new(feed, config, &folder).last_good(now);
            if head.taken == 0 {
                warnings.push(format!("intel feed {}: {why}, and there is no last good list", feed.name));
            }
            items
        };
        let items = match &feed.path {
            None => kept("its server is not asked here".to_owned(), &mut warnings),
            Some(_) => match source::look(feed, &Memory::default(), config.max_bytes, now) {
                Ok(Look::Whole(parsed, _) | Look::Part(parsed, _)) => {
                    parsed.items.into_iter().filter(|item| feed.takes(item)).collect()
                }
                Ok(Look::Same) => Vec::new(),
                Err(error) => kept(error.to_string(), &mut warnings),
            },
        };
        FeedItems { config: feed, items }
    });
    let lists = lists.collect();
    (Some(Arc::new(Set::build(config, lists))), warnings)
}

/// When the last good list was taken, seconds since the Unix epoch, and its entries; 0 where there is none.
pub fn kept(feed: &FeedConfig, config: &IntelConfig, state_dir: &Path) -> (u64, usize) {
    let (head, items) = Feed::new(feed, config, &state_dir.join(FOLDER)).last_good(now());
    (head.taken, items.len())
}
