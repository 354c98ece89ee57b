//! The files of the learned state: the live model and the two before it, snapshots, a candidate.
//!
//! Every file is written beside its place and moved there once it is on the disk; a crash at any point leaves a whole
//! one. A file is never changed afterwards, so a snapshot is a second name of the model that was live then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::analysis::{Analysis, Learned};
use crate::model_file;
use crate::score::ScoreError;
use crate::score::checkpoint::About;
use crate::telemetry::printable;

/// The live model.
pub const LIVE: &str = "model.safetensors";
/// The ones before it, the latest first.
pub const OLDER: [&str; 2] = ["model.safetensors.1", "model.safetensors.2"];
/// Trained apart or brought from elsewhere; never live until it is promoted.
pub const CANDIDATE: &str = "candidate.safetensors";
/// Asks the running sensor to go on with this model.
pub const REQUEST: &str = "promote.safetensors";
/// What could not be read is kept under this name, for whoever wants to know why.
const DAMAGED: &str = "model.safetensors.damaged";
/// Folder of the snapshots.
const SNAPSHOTS: &str = "snapshots";
/// Ending of their names.
const ENDING: &str = ".safetensors";
/// More files are not looked at.
const MOST_FILES: usize = 10_000;

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// A snapshot, by what its name says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Snapshot {
    /// `20261121T080000Z-g1234`: when, and the training steps so far.
    pub name: String,
}

impl Snapshot {
    /// Training steps, as in its name.
    pub fn generation(&self) -> Option<u64> {
        self.name.rsplit_once("-g")?.1.parse().ok()
    }

    /// The day, as in its name.
    fn day(&self) -> &str {
        self.name.get(..8).unwrap_or(&self.name)
    }
}

/// What became of the attempt to go on with what was learned.
#[derive(Debug)]
pub enum TakenUp {
    /// From this file.
    From(PathBuf),
    /// There is none.
    Nothing,
    /// None of those that are there can be used.
    Cold,
}

impl Store {
    /// In the state folder.
    pub fn new(state_dir: &Path) -> Store {
        Store { folder: state_dir.to_owned() }
    }

    /// Where a file lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where a snapshot lies.
    pub fn snapshot_path(&self, snapshot: &Snapshot) -> PathBuf {
        self.folder.join(SNAPSHOTS).join(format!("{}{ENDING}", snapshot.name))
    }

    /// Gives the analysis the newest model that can be used, and says aloud which, and what is wrong with others.
    pub fn take_up(&self, analysis: &mut Analysis) -> TakenUp {
        let mut refused = false;
        for name in [LIVE].into_iter().chain(OLDER) {
            let path = self.path(name);
            let shown = path.display();
            match read(&path).and_then(|learned| Ok(analysis.take_up(learned)?)) {
                Ok(()) => {
                    let state = analysis.state().name();
                    if refused || name != LIVE {
                        tracing::error!("going on with an older model, {shown}: {state}");
                    } else {
                        tracing::info!("going on with the model in {shown}: {state}");
                    }
                    return TakenUp::From(path);
                }
                Err(ModelError::Missing { .. }) => {}
                Err(error) => {
                    refused = true;
                    tracing::error!("{}", printable(&error.to_string(), 500));
                    self.set_aside(&path, &error);
                }
            }
        }
        if refused {
            tracing::error!(
                "no model can be used: learning anew what is normal here, without alerts until then"
            );
            return TakenUp::Cold;
        }
        tracing::info!(
            "no model in {} yet: learning what is normal here, without alerts until then",
            self.path(LIVE).display()
        );
        TakenUp::Nothing
    }

    /// A damaged file must not push whole ones out. One that only does not fit the settings stays: they may change back.
    fn set_aside(&self, path: &Path, error: &ModelError) {
        if matches!(error, ModelError::Unfit { source: ScoreError::Damaged { .. }, .. })
            && let Err(error) = fs::rename(path, self.path(DAMAGED))
        {
            tracing::warn!(%error, "the damaged model could not be set aside");
        }
    }

    /// Makes `bytes` the live model; the ones before move on.
    pub fn save(&self, bytes: &[u8]) -> io::Result<()> {
        let live = self.path(LIVE);
        let beside = self.path("model.safetensors.new");
        write_whole(&beside, bytes)?;
        // From the oldest on, so that every model has a name at any time.
        let names = [LIVE, OLDER[0], OLDER[1]];
        for pair in names.windows(2).rev() {
            rename_if_there(&self.path(pair[0]), &self.path(pair[1]))?;
        }
        fs::rename(&beside, &live)?;
        sync_folder(&self.folder)
    }

    /// Keeps the live model as a snapshot too, and forgets snapshots beyond `most`.
    pub fn snapshot(&self, about: &About, most: usize) -> io::Result<Snapshot> {
        let snapshot = Snapshot { name: format!("{}-g{}", stamp(about.saved_at), about.generation) };
        let folder = self.folder.join(SNAPSHOTS);
        fs::create_dir_all(&folder)?;
        let path = self.snapshot_path(&snapshot);
        match fs::hard_link(self.path(LIVE), &path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // A file system without such links.
            Err(_) => model_file::write(&path, &model_file::read(&self.path(LIVE))?)?,
        }
        for old in beyond(self.snapshots()?, most) {
            fs::remove_file(self.snapshot_path(&old))?;
        }
        sync_folder(&folder)?;
        Ok(snapshot)
    }

    /// All snapshots, the oldest first.
    pub fn snapshots(&self) -> io::Result<Vec<Snapshot>> {
        let entries = match fs::read_dir(self.folder.join(SNAPSHOTS)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries.take(MOST_FILES) {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(ENDING));
            if let Some(name) = name.filter(|name| is_stamped(name)) {
                found.push(Snapshot { name: name.to_owned() });
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// `20261121T080000Z-g1234`.
fn is_stamped(name: &str) -> bool {
    let (stamp, generation) = name.split_once("-g").unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let form: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form == "00000000T000000Z" && digits(generation)
}

fn stamp(nanoseconds: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(nanoseconds / 1_000_000_000);
    humantime::format_rfc3339_seconds(time).to_string().replace(['-', ':'], "")
}

/// Which snapshots to forget: half of those that stay are the newest, the others the last of their day, the newest days
/// first, so that there is something from before a fault that nobody noticed for a week.
fn beyond(snapshots: Vec<Snapshot>, most: usize) -> Vec<Snapshot> {
    if snapshots.len() <= most {
        return Vec::new();
    }
    let (mut kept, mut last_day) = (0, String::new());
    let newest = most.div_ceil(2);
    let mut gone = Vec::new();
    for (age, snapshot) in snapshots.into_iter().rev().enumerate() {
        let is_last_of_day = snapshot.day() != last_day;
        last_day = snapshot.day().to_owned();
        if kept < most && (age < newest || is_last_of_day) {
            kept += 1;
        } else {
            gone.push(snapshot);
        }
    }
    gone
}

/// Reads and checks a model.
pub fn read(path: &Path) -> Result<Learned, ModelError> {
    let bytes = match model_file::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ModelError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(ModelError::Io { path: path.to_owned(), source }),
    };
    Learned::decode(&bytes).map_err(|source| ModelError::Unfit { path: path.to_owned(), source })
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It is not there.
    #[error("there is no {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is damaged, or another program's, or does not fit the settings.
    #[error("{}: {source}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ScoreError,
    },
    /// It does not fit the settings.
    #[error(transparent)]
    Score(#[from] ScoreError),
}
