//! The analysis of an uploaded file: `vesper analyze` in a process of its own, which has limits and low priority, and can
//! fall over without anybody else noticing.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::result::{MOST_THREATS, Outcome, Totals, breakdown, parse, timeline};
use crate::alert::Alert;
use crate::analyze::LINE_OF_PROGRESS;
use crate::telemetry::printable;

/// At low priority on a busy machine its minute of CPU time may take longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at the process.
const LOOK: Duration = Duration::from_millis(50);
/// What of its words is kept, bytes.
const LONGEST_ERROR: usize = 4096;
/// Largest summary, and largest line of an alert, bytes.
const LARGEST_OBJECT: u64 = 1 << 20;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Job {
    /// This program.
    pub program: PathBuf,
    /// The capture.
    pub file: PathBuf,
    /// Settings for it, as TOML.
    pub config: String,
    /// A model to begin with.
    pub model: Option<PathBuf>,
    /// How far it is, per mille.
    pub progress: Arc<AtomicU32>,
}

/// What of the summary counts here.
#[derive(Debug, Default, Deserialize)]
struct Summary {
    packets: u64,
    bytes: u64,
    flows: u64,
    windows: u64,
    alerts: u64,
    first: Option<String>,
    last: Option<String>,
    duration_s: f64,
    truncated: bool,
    warnings: Vec<String>,
}

/// Does it. Blocks for as long as it takes. In words why it failed.
pub(super) fn run(job: &Job) -> Result<Outcome, String> {
    let folder = job.file.with_extension("d");
    let result = fs::create_dir(&folder)
        .map_err(|error| format!("no room for the results: {error}"))
        .and_then(|()| run_in(&folder, job));
    let _leftovers = fs::remove_dir_all(&folder);
    result
}

fn run_in(folder: &Path, job: &Job) -> Result<Outcome, String> {
    let failed = |error: std::io::Error| format!("the analysis cannot be started: {error}");
    let (config, alerts, summary) =
        (folder.join("vesper.toml"), folder.join("alerts.jsonl"), folder.join("summary.json"));
    fs::write(&config, &job.config).map_err(failed)?;
    let mut command = Command::new(&job.program);
    command.arg("analyze").arg(&job.file).arg("--config").arg(&config).arg("--alerts").arg(&alerts);
    command.args(["--json", "--bounded", "--threads", "1"]);
    if let Some(model) = &job.model {
        command.arg("--model").arg(model);
    }
    // Its settings are in the file alone; one thread for matrices, as `main` would ask for.
    command.env_clear().env("RAYON_NUM_THREADS", "1").env("RUST_LOG", "error");
    command.stdin(Stdio::null()).stdout(File::create(&summary).map_err(failed)?).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let words = child.stderr.take().map(|stderr| {
        let progress = job.progress.clone();
        std::thread::spawn(move || listen(stderr, &progress))
    });
    let status = wait(&mut child);
    let words = words.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let status = status?;
    if !status.success() {
        return Err(why(status, &words));
    }
    outcome(&summary, &alerts).map_err(|error| format!("the results cannot be read: {error}"))
}

fn wait(child: &mut Child) -> Result<ExitStatus, String> {
    let begun = now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if now().duration_since(begun) < PATIENCE => std::thread::sleep(LOOK),
            Ok(None) => {
                let _killed = child.kill().and_then(|()| child.wait());
                return Err(format!("it took more than {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Takes progress from its lines, and keeps the end of whatever else it says.
fn listen(stderr: impl Read, progress: &AtomicU32) -> String {
    let mut words = String::new();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while let Ok(1..) = reader.by_ref().take(LONGEST_ERROR as u64).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        match text.trim().strip_prefix(LINE_OF_PROGRESS) {
            Some(share) => {
                let share: f64 = share.trim().parse().unwrap_or(0.0);
                progress.store((share.clamp(0.0, 1.0) * 1000.0) as u32, Relaxed);
            }
            None if words.len() < LONGEST_ERROR => words.push_str(&text),
            None => {}
        }
        line.clear();
    }
    words
}

fn why(status: ExitStatus, words: &str) -> String {
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last = printable(last.trim_start_matches("vesper: "), 500);
    match std::os::unix::process::ExitStatusExt::signal(&status) {
        // SIGXCPU, or SIGKILL at the hard limit.
        Some(24 | 9) => "it took more than 60 s of CPU time".to_owned(),
        Some(_) => format!("the analysis ended early, by its limit of memory most likely: {last}"),
        None => last,
    }
}

fn outcome(summary: &Path, alerts: &Path) -> std::io::Result<Outcome> {
    let mut text = String::new();
    File::open(summary)?.take(LARGEST_OBJECT).read_to_string(&mut text)?;
    let summary: Summary = serde_json::from_str(&text)?;
    let mut threats = Vec::new();
    let mut counts = std::collections::BTreeMap::new();
    let mut reader = BufReader::new(File::open(alerts)?);
    let mut line = String::new();
    while reader.by_ref().take(LARGEST_OBJECT).read_line(&mut line)? > 0 {
        if let Ok(alert) = serde_json::from_str::<Alert>(&line) {
            for (kind, count) in breakdown(std::iter::once(&alert)) {
                *counts.entry(kind).or_default() += count;
            }
            if threats.len() < MOST_THREATS {
                threats.push(alert);
            }
        }
        line.clear();
    }
    let time = |text: &Option<String>| text.as_deref().and_then(parse).unwrap_or(0);
    Ok(Outcome {
        totals: Totals {
            packets: summary.packets,
            bytes: summary.bytes,
            flows: summary.flows,
            windows: summary.windows,
            threats: summary.alerts,
            duration_s: summary.duration_s,
        },
        timeline: timeline(&threats, time(&summary.first), time(&summary.last)),
        threats,
        breakdown: counts,
        truncated: summary.truncated,
        warnings: summary.warnings,
    })
}

#[expect(clippy::disallowed_methods, reason = "patience with a process is in real time")]
fn now() -> Instant {
    Instant::now()
}
