//! The API's own metrics. Labels are paths as registered, classes and reasons: nothing a client can choose.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::status::metrics::ApiCounts;

/// Classes of answers.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Paths that nothing is registered at.
const NOWHERE: &str = "none";

/// Counters, all of them only for people: no order between them is needed.
#[derive(Debug, Default)]
pub(super) struct Counts {
    routes: OnceLock<BTreeMap<String, [AtomicU64; CLASSES.len()]>>,
    pub connections: AtomicU64,
    pub accepted: AtomicU64,
    pub refused_per_address: AtomicU64,
    pub tls_failed: AtomicU64,
    pub live_clients: AtomicU64,
    pub live_refused: AtomicU64,
    pub live_stuck: AtomicU64,
    pub live_sent: AtomicU64,
}

impl Counts {
    /// Says which paths there are, once.
    pub(super) fn know(&self, paths: impl Iterator<Item = String>) {
        self.routes.get_or_init(|| {
            paths.chain([NOWHERE.to_owned()]).map(|path| (path, Default::default())).collect()
        });
    }

    /// An answer to a request.
    pub(super) fn answered(&self, path: Option<&str>, status: u16) {
        let Some(routes) = self.routes.get() else { return };
        let classes = path.and_then(|path| routes.get(path)).or_else(|| routes.get(NOWHERE));
        if let Some(count) =
            classes.and_then(|classes| classes.get(usize::from(status / 100).wrapping_sub(1)))
        {
            count.fetch_add(1, Relaxed);
        }
    }

    /// As metrics show it.
    pub(super) fn read(&self) -> ApiCounts {
        let routes = self.routes.get();
        let requests = routes.into_iter().flatten().flat_map(|(path, classes)| {
            let of = move |(class, count): (&&'static str, &AtomicU64)| {
                (path.clone(), *class, count.load(Relaxed))
            };
            CLASSES.iter().zip(classes).map(of)
        });
        ApiCounts {
            requests: requests.collect(),
            connections: self.connections.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: [
                ("per_address", self.refused_per_address.load(Relaxed)),
                ("tls", self.tls_failed.load(Relaxed)),
                ("live_limit", self.live_refused.load(Relaxed)),
            ],
            live_clients: self.live_clients.load(Relaxed),
            live_stuck: self.live_stuck.load(Relaxed),
            live_sent: self.live_sent.load(Relaxed),
        }
    }
}
