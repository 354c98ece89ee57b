//! What happens, as it happens: events of the store to whoever listens, over WebSocket and server-sent events.
//!
//! Nothing is queued for a client. Each knows the last event it was sent and asks for what came since: from a ring of the
//! latest, or from the store. A client that takes nothing for a while is dropped; the others never wait for it.

mod hub;
mod sse;
mod websocket;

pub(super) use hub::Hub;
pub(super) use sse::{__path_events, events};
pub(super) use websocket::{__path_incidents, incidents};

use std::time::Duration;

/// Without taking a message for so long, a client is stuck.
const STUCK: Duration = Duration::from_secs(10);
/// Time between pings: what cannot be reached is noticed, and proxies keep the connection.
const PING: Duration = Duration::from_secs(30);
/// Messages handed out at once.
const BATCH: usize = 64;

/// Returns when the sensor stops.
async fn stopped(stopping: &mut tokio::sync::watch::Receiver<bool>) {
    // An error is the hub's end, which is a stop as well.
    let _stopping = stopping.wait_for(|stopping| *stopping).await;
}
