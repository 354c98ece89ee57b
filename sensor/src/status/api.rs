//! The metrics of the API.

use super::exposition::Families;

/// What the API counted.
#[derive(Clone, Debug, Default)]
pub struct ApiCounts {
    /// Answers by path as registered and class of status.
    pub requests: Vec<(String, &'static str, u64)>,
    /// Connections that are open.
    pub connections: u64,
    /// Connections so far.
    pub accepted: u64,
    /// Connections that were refused, by why.
    pub refused: [(&'static str, u64); 3],
    /// Clients of the live streams.
    pub live_clients: u64,
    /// Clients that took no message for too long and were dropped.
    pub live_stuck: u64,
    /// Messages to clients.
    pub live_sent: u64,
}

pub(super) fn metrics(families: &mut Families, api: &ApiCounts) {
    families.labelled_counters(
        "api_requests_total",
        "Requests answered, by path as documented and class of status.",
        api.requests
            .iter()
            .map(|(path, class, count)| (vec![("path", path.as_str()), ("status", *class)], *count)),
    );
    families.gauge("api_connections", "Connections to the API that are open.", api.connections as f64);
    families.counter("api_connections_total", "Connections to the API so far.", api.accepted);
    families.counters(
        "api_refused_connections_total",
        "Connections that were refused, by why.",
        "reason",
        api.refused,
    );
    families.gauge("api_live_clients", "Clients of the live streams.", api.live_clients as f64);
    families.counter(
        "api_live_dropped_total",
        "Clients of the live streams that took no message for too long and were dropped.",
        api.live_stuck,
    );
    families.counter(
        "api_live_messages_total",
        "Messages sent to clients of the live streams.",
        api.live_sent,
    );
}
