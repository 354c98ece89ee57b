//! Who asks the sensor, and what it refuses.

use super::panel::{Panel, third};

pub fn row() -> Vec<Panel> {
    vec![
        third("Requests", "reqps", "Answered, by class of status. Runbook: VesperApiErrors.")
            .query("sum by (status) (rate(vesper_api_requests_total{@}[@]))", "{{status}}")
            .stacked(),
        third("Connections", "short", "That are open, and clients of the live streams among them.")
            .query("sum(vesper_api_connections{@})", "connections")
            .query("sum(vesper_api_live_clients{@})", "live"),
        third("Turned away", "short", "In each interval: connections refused, and live clients that took nothing. Runbook: VesperApiRefusing.")
            .query("sum by (reason) (increase(vesper_api_refused_connections_total{@}[@]))", "{{reason}}")
            .query("sum(increase(vesper_api_live_dropped_total{@}[@]))", "took nothing")
            .events(),
    ]
}
