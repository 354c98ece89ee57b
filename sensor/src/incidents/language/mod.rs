//! Other words for alerts, by a language model that somebody runs. Off unless configured.
//!
//! In come alerts that are stored already; out go their narrative and recommendation in other words, beside the original
//! and under the model's name. Nothing waits for it: what it cannot answer in time keeps the words it has. It is asked from
//! a thread of its own, so often a minute at most, and left alone for a while after it failed a few times.

mod config;
mod prompt;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use config::LanguageConfig;

use crate::alert::Alert;
use crate::telemetry::printable;

/// Alerts that wait for it; a further one keeps its words.
const QUEUE: usize = 64;
/// After so many failures in a row it is left alone.
const FAILURES: u32 = 5;
/// For so long.
const PAUSE: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);
const LONGEST_KEY: u64 = 4096;

/// An alert in a model's words. Shown as such, beside the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rewritten {
    /// Who says it.
    pub model: String,
    /// What happened, in its words.
    pub narrative: String,
    /// The recommended action, in its words; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recommendation: Option<String>,
}

/// Why there is no language model.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// The key file.
    #[error("incidents.language_model.key_file {path}: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with a remedy.
        reason: String,
    },
    /// No thread.
    #[error("cannot start a thread for the language model: {0}")]
    Thread(std::io::Error),
}

/// What became of the alerts: `offered` is the sum of the others once nothing waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LanguageStatus {
    /// Alerts handed to it.
    pub offered: u64,
    /// Alerts worded anew.
    pub rewritten: u64,
    /// Questions without a usable answer in time.
    pub failed: u64,
    /// Alerts that found no room in the queue.
    pub skipped_queue_full: u64,
    /// Alerts beyond `per_minute`.
    pub skipped_rate: u64,
    /// Alerts while it is left alone.
    pub skipped_paused: u64,
    /// Why the latest question failed; empty when it did not.
    pub failing: String,
}

/// Saves what a model said about the alert with that id.
pub type Save = Box<dyn FnMut(&str, Rewritten) -> Result<(), String> + Send>;

/// A language model, being asked.
#[derive(Debug)]
pub struct LanguageModel {
    queue: SyncSender<Box<Alert>>,
    status: Arc<Mutex<LanguageStatus>>,
}

impl LanguageModel {
    /// Starts asking. `save` is called on its thread for each answer. It ends, after the question under way, when this is
    /// dropped.
    pub fn start(
        config: &LanguageConfig,
        state_dir: &Path,
        save: Save,
    ) -> Result<LanguageModel, LanguageError> {
        let key = match config.key_file.as_os_str().is_empty() {
            true => None,
            false => Some(key(&state_dir.join(&config.key_file))?),
        };
        let status = Arc::new(Mutex::new(LanguageStatus::default()));
        let (queue, waiting) = sync_channel(QUEUE);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(16 * 1024)
            .max_idle_connections(1)
            .user_agent(concat!("vesper/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let asking = Asking {
            config: config.clone(),
            key,
            agent,
            asked: VecDeque::new(),
            failures: 0,
            paused_until: None,
            status: Arc::clone(&status),
            save,
        };
        // Not joined: a question may take `timeout`, and must not hold the process.
        std::thread::Builder::new()
            .name("language".to_owned())
            .spawn(move || asking.run(&waiting))
            .map_err(LanguageError::Thread)?;
        Ok(LanguageModel { queue, status })
    }

    /// Takes an alert that was stored. Never waits.
    pub fn offer(&self, alert: &Alert) {
        lock(&self.status).offered += 1;
        match self.queue.try_send(Box::new(alert.clone())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                lock(&self.status).skipped_queue_full += 1;
            }
        }
    }

    /// How it is doing.
    pub fn status(&self) -> LanguageStatus {
        lock(&self.status).clone()
    }
}

fn lock(status: &Mutex<LanguageStatus>) -> MutexGuard<'_, LanguageStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key in a file that nobody else can read.
fn key(path: &Path) -> Result<String, LanguageError> {
    let wrong = |reason: String| LanguageError::Key { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mode = file.metadata().map_err(|error| wrong(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(wrong(format!("mode {:o} lets others read it: chmod 600", mode & 0o777)));
    }
    let mut text = String::new();
    file.take(LONGEST_KEY).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    let key = text.trim();
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err(wrong("holds no key: one line of letters, digits and signs".to_owned()));
    }
    Ok(key.to_owned())
}

struct Asking {
    config: LanguageConfig,
    key: Option<String>,
    agent: ureq::Agent,
    /// When it was asked, of the last minute.
    asked: VecDeque<Instant>,
    failures: u32,
    paused_until: Option<Instant>,
    status: Arc<Mutex<LanguageStatus>>,
    save: Save,
}

impl Asking {
    fn run(mut self, waiting: &Receiver<Box<Alert>>) {
        while let Ok(alert) = waiting.recv() {
            if self.may_ask() {
                self.ask(&alert);
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how often it is asked in a minute is a matter of real time"
    )]
    fn may_ask(&mut self) -> bool {
        let now = Instant::now();
        if self.paused_until.is_some_and(|until| now < until) {
            lock(&self.status).skipped_paused += 1;
            return false;
        }
        self.paused_until = None;
        while self.asked.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.asked.pop_front();
        }
        if self.asked.len() >= self.config.per_minute as usize {
            lock(&self.status).skipped_rate += 1;
            return false;
        }
        self.asked.push_back(now);
        true
    }

    fn ask(&mut self, alert: &Alert) {
        let answered = self.answer(alert).and_then(|body| {
            prompt::rewritten(&self.config.model, &body, alert)
                .ok_or_else(|| ("the answer is no chat completion with text in it".to_owned(), None))
        });
        let saved = answered.and_then(|said| {
            (self.save)(&alert.threat_id, said).map_err(|error| (format!("not saved: {error}"), None))
        });
        match saved {
            Ok(()) => {
                self.failures = 0;
                let mut status = lock(&self.status);
                status.rewritten += 1;
                status.failing.clear();
            }
            Err((why, after)) => self.failed(&why, after),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it is left alone for a while of real time")]
    fn failed(&mut self, why: &str, after: Option<Duration>) {
        self.failures += 1;
        let pause = if self.failures >= FAILURES { Some(PAUSE) } else { after };
        if let Some(pause) = pause {
            self.paused_until = Some(Instant::now() + pause);
            self.failures = 0;
        }
        let why = printable(why, 300);
        tracing::warn!(
            why,
            paused = pause.is_some(),
            "the language model did not answer; alerts keep their own words"
        );
        let mut status = lock(&self.status);
        status.failed += 1;
        status.failing = why;
    }

    /// The body of its answer, or why there is none and how long to leave it alone.
    fn answer(&self, alert: &Alert) -> Result<Vec<u8>, (String, Option<Duration>)> {
        let endpoint = self.config.endpoint();
        let mut request = self.agent.post(&endpoint);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.config().timeout_global(Some(self.config.timeout)).build();
        let mut answer = request
            .content_type("application/json")
            .send(prompt::request(&self.config, alert))
            .map_err(|error| (error.to_string(), None))?;
        let status = answer.status().as_u16();
        if status != 200 {
            let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let seconds = after.and_then(|seconds| seconds.trim().parse().ok());
            let after = (status == 429).then(|| seconds.map_or(MINUTE, Duration::from_secs).min(PAUSE));
            return Err((format!("it answered {status}"), after));
        }
        let most = self.config.max_answer;
        let mut body = Vec::new();
        answer
            .body_mut()
            .as_reader()
            .take(most + 1)
            .read_to_end(&mut body)
            .map_err(|error| (error.to_string(), None))?;
        if body.len() as u64 > most {
            return Err((format!("the answer is larger than {most} bytes"), None));
        }
        Ok(body)
    }
}
