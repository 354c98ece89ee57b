//! An uploaded file, from the network to the disk: bounded in size and time, under a name of our own.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use tokio::sync::mpsc;

use crate::api::app::blocking;
use crate::api::problem::Problem;
use crate::telemetry::printable;

/// Between two pieces of an upload.
const STALLED: Duration = Duration::from_secs(30);
/// Pieces between network and disk.
const AHEAD: usize = 8;
/// Bytes of a field that is no file.
const LONGEST_FIELD: usize = 256;

/// A file that came; gone from the disk when this is dropped.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) path: PathBuf,
    /// As the client called it: hostile.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Which models are wanted.
    pub(super) model: String,
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _already_gone = fs::remove_file(&self.path);
    }
}

/// Makes the folder, readable by nobody else, and empties it.
pub(super) fn prepare(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed?;
    }
    Ok(())
}

/// Receives one `file` of at most `most` bytes and, perhaps, a `model`.
pub(super) async fn receive(mut form: Multipart, path: PathBuf, most: u64) -> Result<Upload, Problem> {
    let mut upload = Upload { path, name: String::new(), bytes: 0, model: "all".to_owned() };
    let (mut seen, mut chosen) = (false, false);
    while let Some(field) = patiently(form.next_field()).await? {
        match field.name() {
            Some("file") if !seen => {
                seen = true;
                upload.name = printable(field.file_name().unwrap_or("capture"), 200);
                upload.bytes = store(field, &upload.path, most).await?;
            }
            Some("model") if !chosen => {
                chosen = true;
                upload.model = text(field).await?;
            }
            _ => {
                return Err(Problem::unprocessable(
                    "the form has a field twice, or one that is not known",
                    FORM,
                ));
            }
        }
    }
    if !seen {
        return Err(Problem::unprocessable("the form has no file", FORM));
    }
    Ok(upload)
}

const FORM: &str = "send multipart/form-data with one field `file` and, if you like, `model`";

async fn text(mut field: Field<'_>) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = patiently(field.chunk()).await? {
        text.extend_from_slice(&piece);
        if text.len() > LONGEST_FIELD {
            return Err(Problem::unprocessable("a field is too long", FORM));
        }
    }
    String::from_utf8(text).map_err(|_no_text| Problem::unprocessable("a field is no text", FORM))
}

async fn store(mut field: Field<'_>, path: &Path, most: u64) -> Result<u64, Problem> {
    let failed = |error: std::io::Error| {
        tracing::error!(%error, "api: an upload cannot be kept");
        Problem::unavailable(
            "the upload cannot be kept",
            "look at the room in the state folder of the sensor",
        )
    };
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    // The disk has a thread of its own: it may be slow, and these threads serve others.
    let (pieces, mut waiting) = mpsc::channel::<axum::body::Bytes>(AHEAD);
    let written = tokio::spawn(blocking(move || {
        while let Some(piece) = waiting.blocking_recv() {
            file.write_all(&piece)?;
        }
        Ok(())
    }));
    let mut bytes = 0;
    while let Some(piece) = patiently(field.chunk()).await? {
        bytes += piece.len() as u64;
        if bytes > most {
            let detail = format!("the capture is larger than {most} bytes");
            let remedy = "send a part of it, or use `vesper analyze` on the sensor, which has no limit";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail, remedy));
        }
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    drop(pieces);
    let ended = written.await.map_err(|error| Problem::internal(error.to_string()))?;
    ended?.map_err(failed)?;
    Ok(bytes)
}

async fn patiently<T>(
    next: impl Future<Output = Result<Option<T>, MultipartError>>,
) -> Result<Option<T>, Problem> {
    match tokio::time::timeout(STALLED, next).await {
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(error)) => {
            let detail = format!("the form cannot be read: {}", printable(&error.body_text(), 200));
            Err(Problem::new(StatusCode::BAD_REQUEST, detail, FORM))
        }
        Err(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "the upload stalled", "send it without pauses")),
    }
}
