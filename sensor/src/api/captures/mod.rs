//! Captures: sessions on the interface, and files to be analysed.

mod filter;
mod job;
pub(super) mod result;
mod rows;
mod session;
mod upload;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

use super::access::{Caller, token};
use super::app::{App, blocking, now};
use super::audit;
use super::connection::Connection;
use super::input::{self, Id, Paging, Params, cursor, limit};
use super::problem::{Body, Problem};
use crate::config::{Config, show};
use crate::model::store::LIVE;
use crate::status::ModelState;
use crate::telemetry::printable;
pub(super) use result::Outcome;
pub(super) use rows::Capture;

/// Files that wait for their analysis, beside those under way.
const WAITING: usize = 16;
/// Longest session, seconds: a week.
const LONGEST: u32 = 7 * 24 * 3600;

/// What runs.
#[derive(Debug)]
pub(super) struct Captures {
    folder: PathBuf,
    program: PathBuf,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    progress: Mutex<HashMap<String, Arc<AtomicU32>>>,
    sessions: session::Sessions,
}

impl Captures {
    pub(super) fn new(config: &Config, program: PathBuf) -> Captures {
        let at_once = config.api.analyses as usize;
        Captures {
            folder: config.state_dir.join("uploads"),
            program,
            places: Arc::new(Semaphore::new(at_once + WAITING)),
            turns: Arc::new(Semaphore::new(at_once)),
            progress: Mutex::default(),
            sessions: session::Sessions::default(),
        }
    }

    fn progress(&self, id: &str) -> Option<f64> {
        let all = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let upload = all.get(id).map(|share| f64::from(share.load(Relaxed)) / 1000.0);
        upload.or_else(|| self.sessions.get(id).map(|session| session.progress(now())))
    }
}

/// Says that what ran before does not any more, then ends sessions when their time is over; for ever.
pub(super) async fn run(app: Arc<App>) {
    let folder = app.captures.folder.clone();
    if let Ok(Err(error)) = blocking(move || upload::prepare(&folder)).await {
        tracing::warn!(%error, "api: uploads of before cannot be removed");
    }
    let failed = app.write(|tx| rows::fail_all(tx, now() as i64)).await;
    if failed.is_err() {
        tracing::warn!("api: captures of before may still be shown as running");
    }
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        for session in app.captures.sessions.ended(now()) {
            let status = app.status.latest();
            let closed = app.write(move |tx| session.close(tx, "done", &status, now())).await;
            if closed.is_err() {
                tracing::error!("api: the result of a capture session is lost");
            }
        }
    }
}

/// What to watch.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Start {
    /// The interface; only the one that the sensor watches. That one if not said.
    #[schema(max_length = 15)]
    pub(super) interface: Option<String>,
    /// Seconds, 3600 if not said.
    #[schema(minimum = 1, maximum = 604800)]
    pub(super) duration: Option<u32>,
    /// Which threats: `tcp`, `udp`, `icmp`, `host IP`, `net CIDR`, `port N`, the last three also after `src` or `dst`, with
    /// `and`, `or`, `not` and brackets. All if not said.
    #[schema(max_length = 256)]
    pub(super) filter: Option<String>,
}

/// A file to be analysed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    /// pcap or pcapng, either with gzip.
    #[schema(value_type = String, format = Binary)]
    #[expect(dead_code, reason = "describes the form; the upload is read piece by piece")]
    file: Vec<u8>,
    /// `all`: with what the sensor has learned. `none`: the capture's own beginning is what is normal.
    #[expect(dead_code, reason = "as above")]
    model: Option<String>,
}

/// Captures, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List {
    items: Vec<Capture>,
    /// Where the next page begins; absent at the end.
    next: Option<String>,
}

/// Sessions and uploads
#[utoipa::path(get, path = "/api/v1/captures", tag = "captures", params(Paging), security(("token" = ["read"])),
    responses((status = 200, description = "the latest first, without results", body = List)))]
pub(super) async fn captures(
    State(app): State<Arc<App>>,
    Params(paging): Params<Paging>,
) -> Result<Json<List>, Problem> {
    let (limit, cursor) = (limit(paging.limit)?, cursor(paging.cursor.as_deref())?);
    let (items, next) = app.read(move |connection| rows::list(connection, cursor, limit)).await?;
    let items = items.into_iter().map(|capture| with_progress(&app, capture)).collect();
    Ok(Json(List { items, next: next.map(|time| time.to_string()) }))
}

fn with_progress(app: &App, mut capture: Capture) -> Capture {
    if let Some(progress) = app.captures.progress(&capture.id).filter(|_| capture.state == "running") {
        capture.progress = progress;
    }
    capture
}

/// A session or upload
#[utoipa::path(get, path = "/api/v1/captures/{id}", tag = "captures", security(("token" = ["read"])),
    params(("id" = String, Path, max_length = 64)),
    responses((status = 200, description = "how far it is, and what was found", body = Capture)))]
pub(super) async fn capture(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<Capture>, Problem> {
    found(&app, id).await.map(Json)
}

pub(super) async fn found(app: &App, id: String) -> Result<Capture, Problem> {
    let capture = app.read(move |connection| rows::get(connection, &id)).await?;
    let capture = capture.ok_or_else(|| Problem::missing("there is no such capture", LISTED))?;
    Ok(with_progress(app, capture))
}

const LISTED: &str = "GET /api/v1/captures lists those there are";

/// Start a session
///
/// The sensor watches its interface all the time; a session collects what is found while it lasts.
#[utoipa::path(post, path = "/api/v1/captures", tag = "captures", security(("token" = ["write"])),
    request_body = Start,
    responses((status = 201, description = "it runs", body = Capture)))]
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    input::Json(wanted): input::Json<Start>,
) -> Result<(StatusCode, Json<Capture>), Problem> {
    let id = begin(&app, &caller, wanted).await?;
    Ok((StatusCode::CREATED, Json(found(&app, id).await?)))
}

/// Starts a session; returns its id.
pub(super) async fn begin(app: &Arc<App>, caller: &Caller, wanted: Start) -> Result<String, Problem> {
    let status = app.status.latest();
    let watched = status.capture.as_ref().map(|live| live.interface.clone()).unwrap_or_default();
    if let Some(other) = wanted.interface.as_deref().filter(|name| *name != watched) {
        let detail = format!(
            "{} is not watched: this sensor watches {}",
            printable(other, 20),
            if watched.is_empty() { "no interface yet" } else { &watched }
        );
        return Err(Problem::unprocessable(
            detail,
            "name that interface, or set capture.interface and restart",
        ));
    }
    let seconds = wanted.duration.unwrap_or(3600);
    if !(1..=LONGEST).contains(&seconds) {
        let detail = format!("duration {seconds} s");
        return Err(Problem::unprocessable(detail, format!("give 1 to {LONGEST} seconds")));
    }
    let filter = filter::Filter::parse(wanted.filter.as_deref().unwrap_or_default()).map_err(|why| {
        Problem::unprocessable(printable(&why, 400), "use the part of the language that is known")
    })?;
    let (id, now) = (new_id()?, now());
    let session = session::Session::new(id.clone(), filter, seconds, &status, now);
    if !app.captures.sessions.add(session) {
        return Err(Problem::busy("too many sessions run", "stop one"));
    }
    let request =
        json!({ "interface": watched, "duration": seconds, "filter": wanted.filter.unwrap_or_default() });
    let new = rows::New { id: id.clone(), kind: "live", name: watched, bytes: 0, request };
    if let Err(problem) = app.write(move |tx| rows::insert(tx, &new, now as i64)).await {
        drop(app.captures.sessions.take(Some(&id)));
        return Err(problem);
    }
    audit::record(app, &caller.name, "capture.start", &id, "").await?;
    Ok(id)
}

/// Stop a session
#[utoipa::path(post, path = "/api/v1/captures/{id}/stop", tag = "captures", security(("token" = ["write"])),
    params(("id" = String, Path, max_length = 64)),
    responses((status = 200, description = "it is over", body = Capture),
        (status = 409, description = "it does not run", body = Body, content_type = "application/problem+json")))]
pub(super) async fn stop(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<Capture>, Problem> {
    if let Some(capture) = end(&app, &caller, Some(&id)).await? {
        return Ok(Json(capture));
    }
    let capture = found(&app, id).await?;
    Err(Problem::conflict(format!("it is {}, not a running session", capture.state), LISTED))
}

/// Ends this session, or the latest; `None` where it does not run.
pub(super) async fn end(
    app: &Arc<App>,
    caller: &Caller,
    id: Option<&str>,
) -> Result<Option<Capture>, Problem> {
    let Some(session) = app.captures.sessions.take(id) else { return Ok(None) };
    let (id, status) = (session.id.clone(), app.status.latest());
    app.write(move |tx| session.close(tx, "stopped", &status, now())).await?;
    audit::record(app, &caller.name, "capture.stop", &id, "").await?;
    found(app, id).await.map(Some)
}

/// Analyse an uploaded capture
///
/// The analysis is a job: `GET /api/v1/captures/{id}` says how far it is. It has limits: 1 GiB unpacked, 10,000,000
/// packets, a minute of CPU time.
#[utoipa::path(post, path = "/api/v1/captures/analyze", tag = "captures", security(("token" = ["write"])),
    request_body(content = Form, content_type = "multipart/form-data"),
    responses((status = 202, description = "it is analysed", body = Capture)))]
pub(super) async fn analyze(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(connection): Extension<Arc<Connection>>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<Capture>), Problem> {
    let (id, _job) = submit(&app, &caller, &connection, form).await?;
    Ok((StatusCode::ACCEPTED, Json(found(&app, id).await?)))
}

/// How a job ended: in words, if it failed.
type Ended = tokio::task::JoinHandle<Result<(), String>>;

/// Takes the upload and starts its analysis; returns its id and its end.
pub(super) async fn submit(
    app: &Arc<App>,
    caller: &Caller,
    connection: &Connection,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(String, Ended), Problem> {
    let form = form.map_err(|rejection| {
        let detail = printable(&rejection.body_text(), 200);
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            detail,
            "send multipart/form-data with a field `file`",
        )
    })?;
    let config = app.config();
    if config.api.upload_max_bytes == 0 {
        return Err(Problem::unavailable("uploads are off", "set api.upload_max_bytes"));
    }
    let Ok(place) = Arc::clone(&app.captures.places).try_acquire_owned() else {
        return Err(Problem::busy("too many captures wait", "try again when some are done"));
    };
    connection.takes_long();
    let id = new_id()?;
    let path = app.captures.folder.join(&id);
    let upload = upload::receive(form, path, config.api.upload_max_bytes).await?;
    let model = model(app, &config, &upload.model)?;
    let failed = |error: toml::ser::Error| Problem::internal(error.to_string());
    let job = job::Job {
        program: app.captures.program.clone(),
        file: upload.path.clone(),
        config: show::text(&config).map_err(failed)?,
        model,
        progress: Arc::default(),
    };
    let request = json!({ "model": upload.model });
    let new =
        rows::New { id: id.clone(), kind: "upload", name: upload.name.clone(), bytes: upload.bytes, request };
    app.write(move |tx| rows::insert(tx, &new, now() as i64)).await?;
    audit::record(app, &caller.name, "capture.analyze", &id, &upload.name).await?;
    app.captures
        .progress
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(id.clone(), job.progress.clone());
    let ended = tokio::spawn(work(app.clone(), id.clone(), job, upload, place));
    Ok((id, ended))
}

/// The analysis of one upload, when it is its turn.
async fn work(
    app: Arc<App>,
    id: String,
    job: job::Job,
    upload: upload::Upload,
    place: OwnedSemaphorePermit,
) -> Result<(), String> {
    let turn = Arc::clone(&app.captures.turns).acquire_owned().await;
    let outcome = blocking(move || {
        let outcome = job::run(&job);
        drop(upload);
        outcome
    });
    let outcome = outcome.await.unwrap_or_else(|problem| Err(problem.detail));
    drop((turn, place));
    let result = outcome.and_then(|outcome| serde_json::to_value(outcome).map_err(|error| error.to_string()));
    let (row, written) = (id.clone(), result.clone());
    let stored = app.write(move |tx| {
        let state = if written.is_ok() { "done" } else { "failed" };
        rows::finish(tx, &row, state, written.as_ref().map_err(String::as_str), now() as i64)
    });
    let stored = stored.await.map_err(|problem| problem.detail);
    app.captures.progress.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    result.map(drop).and(stored)
}

/// The model file that an analysis begins with.
fn model(app: &App, config: &Config, asked: &str) -> Result<Option<PathBuf>, Problem> {
    let live = config.state_dir.join(LIVE);
    match asked {
        "all" | "" => {
            let active = app.status.latest().score.state == ModelState::Active;
            Ok((active && live.exists()).then_some(live))
        }
        "none" => Ok(None),
        other => {
            let detail = format!("model {}", printable(other, 40));
            Err(Problem::unprocessable(detail, "give all or none"))
        }
    }
}

fn new_id() -> Result<String, Problem> {
    let random = token::random().map_err(|error| Problem::internal(error.to_string()))?;
    Ok(format!("cap_{}", random.chars().filter(char::is_ascii_alphanumeric).take(16).collect::<String>()))
}
