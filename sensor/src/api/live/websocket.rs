//! Live over WebSocket.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use utoipa::IntoParams;

use super::hub::Message;
use super::{PING, STUCK, stopped};
use crate::api::access::{Caller, Guard};
use crate::api::app::App;
use crate::api::input::Params;
use crate::api::problem::Problem;

/// Clients send pings and nothing else.
const LARGEST_MESSAGE: usize = 64 * 1024;
/// Held for one client beyond what the kernel takes; a message of ours is smaller.
const WRITE_BUFFER: usize = 1 << 20;

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
#[derive(Default)]
pub(in crate::api) struct Since {
    /// Id of the last event that was seen; without it only new ones come.
    #[param(minimum = 0)]
    pub since: Option<u64>,
}

/// Live messages over WebSocket
///
/// Messages are `{"type":"anomaly"|"decision"|"system","id":123,"data":{...}}`; the data of an anomaly is the alert, and a
/// change of an alert is a further message with the same `threat_id`. A client may send `{"type":"ping"}` and gets
/// `{"type":"pong"}`. After a break, `?since=ID` goes on where it was. Who takes no message for 10 seconds is cut off.
#[utoipa::path(get, path = "/ws/incidents", tag = "live", params(Since), security(("token" = ["read"])),
    responses((status = 101, description = "the WebSocket is open"),
        (status = 426, description = "no WebSocket is asked for", body = crate::api::problem::Body,
            content_type = "application/problem+json")))]
pub(in crate::api) async fn incidents(
    State(app): State<Arc<App>>,
    Extension(guard): Extension<Arc<Guard>>,
    Extension(caller): Extension<Caller>,
    Params(since): Params<Since>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| {
        let status = match error.into_response().status() {
            StatusCode::UPGRADE_REQUIRED => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        };
        Problem::new(status, "this is for WebSockets", "connect with a WebSocket, or use /api/v1/events")
    })?;
    let Some(place) = app.hub.place() else {
        app.counts.live_refused.fetch_add(1, Relaxed);
        return Err(Problem::unavailable("all places for live clients are taken", "raise api.live_clients"));
    };
    let begin = app.hub.begin(since.since).await?;
    let upgrade = upgrade
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER);
    Ok(upgrade.on_upgrade(async move |socket| {
        app.counts.live_clients.fetch_add(1, Relaxed);
        let welcome = || guard.still_welcome(&headers);
        let ended = Client::new(&app, begin, caller.sees_exactly()).talk(socket, welcome).await;
        if ended == Ended::Stuck {
            app.counts.live_stuck.fetch_add(1, Relaxed);
        }
        app.counts.live_clients.fetch_sub(1, Relaxed);
        drop(place);
    }))
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Gone,
    Stuck,
}

/// What a listener waits for.
enum Happened {
    Gone,
    News,
    Said(Frame),
    Ping,
    Stopping,
}

/// One listener.
struct Client<'a> {
    app: &'a App,
    newest: watch::Receiver<i64>,
    stopping: watch::Receiver<bool>,
    sent: i64,
    /// Whether it is told scores exactly.
    exactly: bool,
}

impl<'a> Client<'a> {
    fn new(app: &'a App, sent: i64, exactly: bool) -> Client<'a> {
        let newest = app.hub.newest();
        Client { app, newest, stopping: app.hub.stopping(), sent, exactly }
    }

    async fn talk(mut self, mut socket: WebSocket, welcome: impl Fn() -> bool) -> Ended {
        let hello = json!({ "message": "connected", "newest": *self.newest.borrow() });
        if let Err(ended) = send(&mut socket, self.frame(&Message::system(self.sent, &hello))).await {
            return ended;
        }
        let mut pings = tokio::time::interval(PING);
        pings.tick().await;
        // What happened before this client came, too.
        self.newest.mark_changed();
        loop {
            let happened = tokio::select! {
                changed = self.newest.changed() => changed.map_or(Happened::Gone, |()| Happened::News),
                frame = socket.next() => match frame {
                    Some(Ok(frame)) => Happened::Said(frame),
                    _ => Happened::Gone,
                },
                _ = pings.tick() => Happened::Ping,
                () = stopped(&mut self.stopping) => Happened::Stopping,
            };
            let step = match happened {
                Happened::Gone => Err(Ended::Gone),
                Happened::News => self.catch_up(&mut socket).await,
                Happened::Said(frame) => answer(&mut socket, &frame).await,
                Happened::Ping if !welcome() => {
                    Err(close(&mut socket, close_code::POLICY, "the token is no longer valid").await)
                }
                Happened::Ping => send(&mut socket, Frame::Ping(Default::default())).await,
                Happened::Stopping => Err(close(&mut socket, close_code::RESTART, "the sensor stops").await),
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    async fn catch_up(&mut self, socket: &mut WebSocket) -> Result<(), Ended> {
        loop {
            let messages = self.app.hub.after(self.sent).await.map_err(|error| {
                tracing::warn!(%error, "api: a live client cannot be served");
                Ended::Gone
            })?;
            if messages.is_empty() {
                return Ok(());
            }
            for message in messages {
                send(socket, self.frame(&message)).await?;
                self.sent = message.id;
                self.app.counts.live_sent.fetch_add(1, Relaxed);
            }
        }
    }

    fn frame(&self, message: &Message) -> Frame {
        Frame::Text(message.text(self.exactly))
    }
}

async fn send(socket: &mut WebSocket, frame: Frame) -> Result<(), Ended> {
    match tokio::time::timeout(STUCK, socket.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ended::Gone),
        Err(_) => Err(Ended::Stuck),
    }
}

async fn answer(socket: &mut WebSocket, frame: &Frame) -> Result<(), Ended> {
    #[derive(Deserialize)]
    struct Asked<'a> {
        #[serde(borrow)]
        r#type: std::borrow::Cow<'a, str>,
    }
    match frame {
        Frame::Text(text) => match serde_json::from_str::<Asked<'_>>(text) {
            Ok(asked) if asked.r#type == "ping" => {
                send(socket, Frame::Text(r#"{"type":"pong"}"#.into())).await
            }
            _ => Ok(()),
        },
        Frame::Close(_) => Err(Ended::Gone),
        _ => Ok(()),
    }
}

async fn close(socket: &mut WebSocket, code: u16, reason: &'static str) -> Ended {
    let frame = Frame::Close(Some(CloseFrame { code, reason: reason.into() }));
    send(socket, frame).await.err().unwrap_or(Ended::Gone)
}
