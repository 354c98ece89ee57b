//! Live as server-sent events: the same messages for whoever cannot have a WebSocket.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::mpsc;

use super::hub::Message;
use super::websocket::Since;
use super::{PING, STUCK, stopped};
use crate::api::access::{Caller, Guard};
use crate::api::app::App;
use crate::api::connection::Connection;
use crate::api::input::Params;
use crate::api::problem::Problem;

/// Messages between the hub and the connection of a client.
const AHEAD: usize = 16;

/// Live messages as server-sent events
///
/// The same messages as over `/ws/incidents`. A browser's `EventSource` goes on by itself where it was, by
/// `Last-Event-ID`; others may say `?since=ID`.
#[utoipa::path(get, path = "/api/v1/events", tag = "live", security(("token" = ["read"])),
    params(Since, ("Last-Event-ID" = Option<u64>, Header, description = "id of the last event that was seen")),
    responses((status = 200, description = "messages, without end", content_type = "text/event-stream", body = String)))]
pub(in crate::api) async fn events(
    State(app): State<Arc<App>>,
    Extension(guard): Extension<Arc<Guard>>,
    Extension(caller): Extension<Caller>,
    Extension(connection): Extension<Arc<Connection>>,
    Params(since): Params<Since>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(place) = app.hub.place() else {
        app.counts.live_refused.fetch_add(1, Relaxed);
        return Err(Problem::unavailable("all places for live clients are taken", "raise api.live_clients"));
    };
    connection.stays();
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let begin = app.hub.begin(since.since.or(last)).await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        app.counts.live_clients.fetch_add(1, Relaxed);
        let welcome = || guard.still_welcome(&headers);
        if feed(&app, begin, &sender, caller.sees_exactly(), welcome).await == Err(Stuck) {
            app.counts.live_stuck.fetch_add(1, Relaxed);
            connection.cut();
        }
        app.counts.live_clients.fetch_sub(1, Relaxed);
        drop(place);
    });
    let messages = unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|event| (Ok::<Event, Infallible>(event), receiver))
    });
    Ok(Sse::new(messages).into_response())
}

/// The client takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stuck;

async fn feed(
    app: &App,
    mut sent: i64,
    sender: &mpsc::Sender<Event>,
    exactly: bool,
    welcome: impl Fn() -> bool,
) -> Result<(), Stuck> {
    let (mut newest, mut stopping) = (app.hub.newest(), app.hub.stopping());
    let hello = Message::system(sent, &json!({ "message": "connected", "newest": *newest.borrow() }));
    if !give(sender, event(&hello, exactly)).await? {
        return Ok(());
    }
    let mut pings = tokio::time::interval(PING);
    pings.tick().await;
    newest.mark_changed();
    loop {
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return Ok(()) },
            _ = pings.tick() => {
                if !welcome() || !give(sender, Event::default().comment("still there")).await? {
                    return Ok(());
                }
                continue;
            }
            () = stopped(&mut stopping) => return Ok(()),
            () = sender.closed() => return Ok(()),
        }
        loop {
            let messages = match app.hub.after(sent).await {
                Ok(messages) if messages.is_empty() => break,
                Ok(messages) => messages,
                Err(error) => {
                    tracing::warn!(%error, "api: a live client cannot be served");
                    return Ok(());
                }
            };
            for message in messages {
                if !give(sender, event(&message, exactly)).await? {
                    return Ok(());
                }
                sent = message.id;
                app.counts.live_sent.fetch_add(1, Relaxed);
            }
        }
    }
}

fn event(message: &Message, exactly: bool) -> Event {
    Event::default().id(message.id.to_string()).data(message.text(exactly).as_str())
}

/// Whether the client is still there.
async fn give(sender: &mpsc::Sender<Event>, event: Event) -> Result<bool, Stuck> {
    match sender.send_timeout(event, STUCK).await {
        Ok(()) => Ok(true),
        Err(mpsc::error::SendTimeoutError::Closed(_)) => Ok(false),
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(Stuck),
    }
}
