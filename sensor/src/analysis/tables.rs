//! What the analysis tells of itself: how full its tables are, where the model stands, what became of everything.

use super::Analysis;
use crate::features::app::AppCounts;
use crate::features::link::LinkTables;
use crate::ledger::{AlertBins, SampleBins, ScoringBins};
use crate::score::gpu::GpuStatus;
use crate::score::scorer::{KINDS, ScoreState};

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

    /// Samples (parsed and not in a flow only), rows and alerts, each in one bin.
    pub fn bins(&self) -> (SampleBins, ScoringBins, AlertBins) {
        (self.samples, self.scorer.bins(), self.book.bins())
    }

    /// Alerts without a type that the settings allow in an hour.
    pub fn budget_per_hour(&self) -> f64 {
        self.alert.budget_per_hour
    }

    /// How far the traffic moved from what the model's reference learned, see [`crate::status::Status::drift`].
    pub fn drift(&self) -> [Vec<f32>; KINDS.len()] {
        KINDS.map(|kind| self.scorer.drift(kind))
    }

    /// The name of the model with its training steps, as alerts carry it.
    pub fn model_name(&self) -> String {
        self.scorer.name()
    }

    /// What became of the GPU, where there is one or there should be.
    pub fn gpu(&self) -> Option<GpuStatus> {
        self.scorer.gpu()
    }

    /// Scores by this one from now on: one with a GPU that a test made.
    #[cfg(test)]
    pub(crate) fn set_scorer(&mut self, scorer: crate::score::scorer::Scorer) {
        self.scorer = scorer;
    }

    /// Where the model stands.
    pub fn state(&self) -> ScoreState {
        self.scorer.state()
    }
}
