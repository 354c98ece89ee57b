//! The listener and its connections.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::access::token::{TokenError, Tokens};
use super::access::{Guard, Sessions, tls};
use super::app::App;
use super::config::ApiConfig;
use super::connection::Connection;
use super::{captures, history, openapi, routes};

/// Connections at once, live ones apart; further ones wait in the kernel's backlog.
pub(super) const MOST_CONNECTIONS: usize = 256;
/// Of these, from one address of another machine.
const MOST_PER_ADDRESS: usize = 16;
/// For the head of a request, idle time before it included, and for the handshake of TLS.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that takes longer than this to read its answers is cut off.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(300);
/// Head of a request, bytes.
pub(super) const LARGEST_HEAD: usize = 16 * 1024;
/// Requests under way may take this long after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(2);

/// The API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Somebody else has the address.
    #[error("{address} is in use: another vesper? stop it, or set api.listen to another port")]
    InUse {
        /// What was asked for.
        address: String,
    },
    /// The address could not be had for another reason.
    #[error("cannot listen on {address}: {source}; set api.listen to an address of this machine")]
    Bind {
        /// What was asked for.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The tokens.
    #[error("api.tokens_file: {0}")]
    Tokens(#[from] TokenError),
    /// Certificate or key.
    #[error("{0}")]
    Tls(String),
}

impl ApiError {
    /// Whether the configuration is at fault, not the machine.
    pub fn is_configuration(&self) -> bool {
        matches!(self, ApiError::Tokens(_) | ApiError::Tls(_))
    }
}

/// The address, and who may come in.
pub struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    tokens: Option<Tokens>,
    names: Vec<String>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("listener", &self.listener).field("tls", &self.tls.is_some()).finish()
    }
}

impl Door {
    /// Where clients come in.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
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

/// Takes the address and reads certificate and tokens; relative paths start at `state_dir`.
pub fn open(config: &ApiConfig, state_dir: &Path) -> Result<Door, ApiError> {
    let set = |path: &Path| (!path.as_os_str().is_empty()).then(|| state_dir.join(path));
    let tokens = set(&config.tokens_file).map(Tokens::open).transpose()?;
    let tls = match (set(&config.tls_cert), set(&config.tls_key)) {
        (Some(cert), Some(key)) => Some(tls::acceptor(&cert, &key).map_err(ApiError::Tls)?),
        _ => None,
    };
    Ok(Door { listener: bind(config)?, tls, tokens, names: config.names.clone() })
}

/// Serves until `shutdown` completes, then lets requests under way finish. Runs inside a tokio runtime.
pub async fn serve(door: Door, app: Arc<App>, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(door.listener)?;
    let (router, document) = routes::described();
    let guard = Arc::new(Guard {
        tokens: door.tokens,
        sessions: Sessions::default(),
        names: door.names,
        tls: door.tls.is_some(),
        needs: openapi::needs(&document),
    });
    let server = Server {
        routes: routes::routes(router, &document, app.clone(), guard),
        app: app.clone(),
        slots: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
        addresses: Arc::default(),
        tls: door.tls,
    };
    let mut background = tokio::task::JoinSet::new();
    background.spawn(history::run(app.clone()));
    background.spawn(captures::run(app.clone()));
    let hub = app.clone();
    background.spawn(async move { hub.hub.run().await });
    // Every connection has a receiver for as long as it lasts.
    let (stop, stopping) = watch::channel(false);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let over = tokio::select! {
            () = &mut shutdown => true,
            () = server.accept(&listener, &stopping) => false,
        };
        if over {
            break;
        }
    }
    drop((listener, stopping));
    app.hub.stop();
    stop.send_replace(true);
    if tokio::time::timeout(DRAIN, stop.closed()).await.is_err() {
        tracing::warn!("api: requests were still under way at the end");
    }
    background.shutdown().await;
    Ok(())
}

/// What each connection is served with.
struct Server {
    routes: Router,
    app: Arc<App>,
    slots: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Takes one connection and serves it on a task of its own. May be dropped while it waits.
    async fn accept(&self, listener: &tokio::net::TcpListener, stopping: &watch::Receiver<bool>) {
        // Never closed: the permit is always had.
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "api: a connection was not accepted");
                // Out of file descriptors, most likely: trying again at once would only burn a CPU.
                tokio::time::sleep(Duration::from_millis(100)).await;
                return;
            }
        };
        let counts = &self.app.counts;
        counts.accepted.fetch_add(1, Relaxed);
        let Some(place) = self.addresses.place(peer.ip()) else {
            counts.refused_per_address.fetch_add(1, Relaxed);
            return;
        };
        let connection = Arc::new(Connection::new(slot));
        let service = Served { routes: TowerToHyperService::new(self.routes.clone()), connection };
        let (app, tls, stopping) = (self.app.clone(), self.tls.clone(), stopping.clone());
        tokio::spawn(async move {
            app.counts.connections.fetch_add(1, Relaxed);
            match tls {
                None => converse(stream, service, stopping).await,
                Some(tls) => match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, service, stopping).await,
                    _ => drop(app.counts.tls_failed.fetch_add(1, Relaxed)),
                },
            }
            app.counts.connections.fetch_sub(1, Relaxed);
            drop(place);
        });
    }
}

/// Serves one connection to its end.
async fn converse<S>(stream: S, service: Served, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(LARGEST_HEAD);
    let connection = service.connection.clone();
    let served = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut served = std::pin::pin!(served);
    let mut lifetime = std::pin::pin!(tokio::time::sleep(CONNECTION_LIFETIME));
    let (mut told, mut late) = (false, false);
    loop {
        tokio::select! {
            // Clients that break off are their own affair.
            _ended = &mut served => return,
            () = connection.was_cut() => return,
            () = &mut lifetime, if !late => {
                late = true;
                if !connection.is_long() {
                    return;
                }
            }
            _stop = stopping.changed(), if !told => {
                told = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The routes, told which connection a request came by.
struct Served {
    routes: TowerToHyperService<Router>,
    connection: Arc<Connection>,
}

impl hyper::service::Service<hyper::Request<hyper::body::Incoming>> for Served {
    type Response = <TowerToHyperService<Router> as hyper::service::Service<Request>>::Response;
    type Error = <TowerToHyperService<Router> as hyper::service::Service<Request>>::Error;
    type Future = <TowerToHyperService<Router> as hyper::service::Service<Request>>::Future;

    fn call(&self, request: hyper::Request<hyper::body::Incoming>) -> Self::Future {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(self.connection.clone());
        self.routes.call(request)
    }
}

/// Connections by address.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

impl Addresses {
    /// A place for one more connection from there; `None` when it has enough. This machine always has one.
    fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        if !address.is_loopback() {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = all.entry(address).or_default();
            if *count >= MOST_PER_ADDRESS {
                return None;
            }
            *count += 1;
        }
        Some(Place { addresses: self.clone(), address })
    }
}

/// Given back when it is dropped.
struct Place {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let addresses = Arc::new(Addresses::default());
        let (other, local) = ("192.0.2.1".parse().unwrap(), "127.0.0.1".parse().unwrap());
        let places: Vec<Place> = (0..MOST_PER_ADDRESS).map(|_| addresses.place(other).unwrap()).collect();
        assert!(addresses.place(other).is_none());
        assert!(addresses.place("::ffff:192.0.2.1".parse().unwrap()).is_none());
        assert!(addresses.place("192.0.2.2".parse().unwrap()).is_some());
        assert!((0..100).all(|_| addresses.place(local).is_some()));
        drop(places);
        assert!(addresses.place(other).is_some());
        assert_eq!(addresses.0.lock().unwrap().len(), 0);
    }
}
