//! Flows and hosts now.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::alerts::{self, StoredAlert};
use super::app::App;
use super::input::{Id, Params, limit};
use super::problem::Problem;
use crate::status::rfc3339;
use crate::status::top::{FlowNow, HostNow};
use crate::telemetry::printable;

/// What comes first.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FlowOrder {
    /// The most unusual.
    #[default]
    Score,
    /// The most bytes a second.
    Bytes,
    /// The most packets a second.
    Packets,
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum HostOrder {
    /// The most unusual.
    #[default]
    Score,
    /// The most bytes a second.
    Bytes,
    /// The most flows.
    Flows,
}

/// Which flows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct FlowQuery {
    /// Only of this host, an IP address.
    #[param(max_length = 45)]
    host: Option<String>,
    /// What comes first; `score` if not said.
    #[param(inline)]
    sort: Option<FlowOrder>,
    /// How many at most, 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Which hosts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct HostQuery {
    /// What comes first; `score` if not said.
    #[param(inline)]
    sort: Option<HostOrder>,
    /// How many at most, 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Flows now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Flows {
    items: Vec<FlowNow>,
    /// RFC 3339: as of when.
    time: String,
}

/// Hosts now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hosts {
    items: Vec<HostNow>,
    /// RFC 3339: as of when.
    time: String,
}

/// One host.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Host {
    /// What it does now; zeros where it is not among the top hosts.
    host: HostNow,
    /// Its flows among the top flows.
    flows: Vec<FlowNow>,
    /// The latest alerts from or to it.
    alerts: Vec<StoredAlert>,
}

/// Flows now
///
/// The flows that matter most: by score, by bytes and by packets of the last second.
#[utoipa::path(get, path = "/api/v1/flows", tag = "now", params(FlowQuery), security(("token" = ["read"])),
    responses((status = 200, description = "the top flows", body = Flows),
        (status = 422, description = "this is no address", body = super::problem::Body,
            content_type = "application/problem+json")))]
pub(super) async fn flows(
    State(app): State<Arc<App>>,
    Params(query): Params<FlowQuery>,
) -> Result<Json<Flows>, Problem> {
    let limit = limit(query.limit)?;
    let host = query.host.as_deref().map(address).transpose()?;
    let top = app.top.latest();
    let of_host = |flow: &&FlowNow| {
        host.as_ref().is_none_or(|host| flow.source_ip == *host || flow.destination_ip == *host)
    };
    let mut items: Vec<FlowNow> = top.flows.iter().filter(of_host).cloned().collect();
    let order = query.sort.unwrap_or_default();
    items.sort_by(|a, b| match order {
        FlowOrder::Score => by_score(a.score, b.score),
        FlowOrder::Bytes => b.bytes_per_second.total_cmp(&a.bytes_per_second),
        FlowOrder::Packets => b.packets_per_second.total_cmp(&a.packets_per_second),
    });
    items.truncate(limit);
    Ok(Json(Flows { items, time: rfc3339(top.time) }))
}

/// Hosts now
#[utoipa::path(get, path = "/api/v1/hosts", tag = "now", params(HostQuery), security(("token" = ["read"])),
    responses((status = 200, description = "the top hosts", body = Hosts)))]
pub(super) async fn hosts(
    State(app): State<Arc<App>>,
    Params(query): Params<HostQuery>,
) -> Result<Json<Hosts>, Problem> {
    let limit = limit(query.limit)?;
    let top = app.top.latest();
    let mut items = top.hosts.clone();
    let order = query.sort.unwrap_or_default();
    items.sort_by(|a, b| match order {
        HostOrder::Score => by_score(a.score, b.score),
        HostOrder::Bytes => b.bytes_per_second.total_cmp(&a.bytes_per_second),
        HostOrder::Flows => b.flows.cmp(&a.flows),
    });
    items.truncate(limit);
    let items = app.read(move |connection| with_alerts(connection, items)).await?;
    Ok(Json(Hosts { items, time: rfc3339(top.time) }))
}

/// A host
#[utoipa::path(get, path = "/api/v1/hosts/{ip}", tag = "now", security(("token" = ["read"])),
    params(("ip" = String, Path, description = "its IP address", max_length = 45)),
    responses((status = 200, description = "what it does, and the alerts about it", body = Host),
        (status = 422, description = "this is no address", body = super::problem::Body,
            content_type = "application/problem+json")))]
pub(super) async fn host(State(app): State<Arc<App>>, Id(ip): Id) -> Result<Json<Host>, Problem> {
    let address = address(&ip)?;
    let top = app.top.latest();
    let now = top.hosts.iter().find(|host| host.address == address).cloned();
    let now = now.unwrap_or_else(|| HostNow { address: address.clone(), ..HostNow::default() });
    let flows = top.flows.iter().filter(|flow| flow.source_ip == address || flow.destination_ip == address);
    let flows = flows.cloned().collect();
    let (mut host, alerts) = app
        .read(move |connection| {
            Ok((with_alerts(connection, vec![now])?, alerts::about_host(connection, &address)?))
        })
        .await?;
    let host = host.pop().unwrap_or_default();
    Ok(Json(Host { host, flows, alerts }))
}

/// Fills in how many alerts about each are open.
fn with_alerts(connection: &Connection, mut hosts: Vec<HostNow>) -> rusqlite::Result<Vec<HostNow>> {
    // Each half has an index; no more are counted than a person reads.
    let mut count = connection.prepare_cached(
        "SELECT count(*) FROM (SELECT 1 FROM alerts WHERE source_ip = ?1 AND state <> 'resolved' UNION ALL \
         SELECT 1 FROM alerts WHERE destination_ip = ?1 AND source_ip <> ?1 AND state <> 'resolved' LIMIT 1000)",
    )?;
    for host in &mut hosts {
        host.alerts = count.query_row([&host.address], |row| row.get::<_, i64>(0))?.try_into().unwrap_or(0);
    }
    Ok(hosts)
}

/// Highest first; those without a score last.
fn by_score(a: Option<f64>, b: Option<f64>) -> Ordering {
    b.unwrap_or(f64::NEG_INFINITY).total_cmp(&a.unwrap_or(f64::NEG_INFINITY))
}

/// An IP address as alerts write it.
pub(super) fn address(text: &str) -> Result<String, Problem> {
    text.parse::<IpAddr>().map(|address| address.to_canonical().to_string()).map_err(|_not_one| {
        let detail = format!("{} is no IP address", printable(text, 50));
        Problem::unprocessable(detail, "give an address, such as 10.0.0.1 or fd00::1")
    })
}
