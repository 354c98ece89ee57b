//! How full the analysis' tables are.

use super::Analysis;
use crate::features::app::AppCounts;
use crate::features::link::LinkTables;

/// How full the bounded tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tables {
    /// Flows held.
    pub flows: usize,
    /// Flows seen.
    pub flows_created: u64,
    /// Flows that ended.
    pub flows_ended: u64,
    /// Packets of flows the table had no room for.
    pub flow_overflow_packets: u64,
    /// Flows that were not even accounted to their hosts: too many beyond the table in one window.
    pub flows_beyond_lost: u64,
    /// Hosts remembered.
    pub hosts: usize,
    /// Times a host was not accounted for.
    pub host_overflow: u64,
    /// Pairs remembered.
    pub pairs: usize,
    /// Times a pair or service was not remembered.
    pub memory_overflow: u64,
    /// Of the link layer.
    pub links: LinkTables,
    /// What samples said.
    pub app: AppCounts,
}

impl Analysis {
    /// How full the bounded tables are, and what they had no room for.
    pub fn tables(&self) -> Tables {
        Tables {
            flows: self.flows.len(),
            flows_created: self.flows.created(),
            flows_ended: self.flows.ended(),
            flow_overflow_packets: self.flows.overflow().packets,
            flows_beyond_lost: self.beyond_lost,
            hosts: self.features.hosts.len(),
            host_overflow: self.features.hosts.overflow,
            pairs: self.features.memory.pairs_len(),
            memory_overflow: self.features.memory.overflow,
            links: self.features.links.tables(),
            app: self.features.app.counts(),
        }
    }
}
