//! The control plane over HTTP: health, metrics, statistics. Reads the latest [`Status`], changes nothing.
//!
//! In come requests from anyone who can reach the address, so every connection has limits: how many, how long
//! a request's head may take and how large it may be, and how long the whole connection may live.

mod config;
mod health;
mod problem;
mod routes;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

pub use config::ApiConfig;
pub use health::Health;

use crate::status::Shared;

/// Connections at once; further ones wait in the kernel's backlog.
const MOST_CONNECTIONS: usize = 256;
/// For the head of a request, idle time before it included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that takes longer than this to read its answers is cut off.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(300);
/// Head of a request, bytes.
const LARGEST_HEAD: usize = 16 * 1024;
/// Requests under way may take this long after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(2);

/// The address could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Somebody else has it.
    #[error("{address} is in use: another vesper? stop it, or set api.listen to another port")]
    InUse {
        /// What was asked for.
        address: String,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}; set api.listen to an address of this machine")]
    Bind {
        /// What was asked for.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// Takes the address, so that a clash is known before anything else starts.
pub fn bind(config: &ApiConfig) -> Result<TcpListener, ApiError> {
    let address = config.listen.to_string();
    let listener = TcpListener::bind(config.listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ApiError::InUse { address },
        _ => ApiError::Bind { address, source },
    })
}

/// Serves until `shutdown` completes, then lets requests under way finish. Runs inside a tokio runtime.
pub async fn serve(
    listener: TcpListener,
    status: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let local_only = listener.local_addr()?.ip().is_loopback();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let routes = routes::routes(status, local_only);
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(LARGEST_HEAD);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let slot = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        let stream = match accepted {
            Ok((stream, _peer)) => stream,
            Err(error) => {
                tracing::warn!(%error, "api: a connection was not accepted");
                // Out of file descriptors, most likely: trying again at once would only burn a CPU.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // Clients that break off are their own affair.
            let _ended = tokio::time::timeout(CONNECTION_LIFETIME, connection).await;
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("api: requests were still under way at the end");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
