//! Rows for those who teach what looks like what: all that are unusual, and some that are not.

use crate::alert::likeness::context;
use crate::features::facts::{FlowFacts, HostFacts};
use crate::features::matrix::Matrix;
use crate::score::scorer::Kind;

/// Unusual rows of a kind kept of one window: a flood's are all alike.
const UNUSUAL: usize = 32;
/// Of ordinary rows one in so many is kept.
const ORDINARY: u64 = 40;

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its kind.
    pub kind: Kind,
    /// When its window ended, nanoseconds since the Unix epoch.
    pub time: u64,
    /// The initiator, or the host.
    pub source: [u8; 16],
    /// The other side of a flow.
    pub destination: Option<[u8; 16]>,
    /// Its port.
    pub port: u16,
    /// See [`crate::alert::likeness::context`].
    pub inputs: Vec<f32>,
    /// Its score is above the threshold.
    pub unusual: bool,
    /// A rule says what it is.
    pub named: bool,
}

/// Keeps the rows of a window as they come.
#[derive(Debug, Default)]
pub(super) struct Exemplars {
    /// Whether anybody wants them.
    pub(super) wanted: bool,
    /// Of the window at hand.
    pub(super) rows: Vec<Exemplar>,
    ordinary: u64,
    unusual: [usize; 2],
}

impl Exemplars {
    /// A window begins.
    pub(super) fn begin(&mut self) {
        self.rows.clear();
        self.unusual = [0; 2];
    }

    fn takes(&mut self, kind: Kind, unusual: bool) -> bool {
        if !self.wanted {
            return false;
        }
        if unusual {
            self.unusual[kind as usize] += 1;
            return self.unusual[kind as usize] <= UNUSUAL;
        }
        self.ordinary += 1;
        self.ordinary.is_multiple_of(ORDINARY)
    }

    /// A flow was judged: whether it is unusual, and whether a rule names it.
    pub(super) fn flow(
        &mut self,
        facts: &FlowFacts,
        (portion, row): (&Matrix, usize),
        now: u64,
        [unusual, named]: [bool; 2],
    ) {
        if !self.takes(Kind::Flow, unusual) {
            return;
        }
        let features: Vec<f32> = portion.row(row).collect();
        self.rows.push(Exemplar {
            kind: Kind::Flow,
            time: now,
            source: facts.src,
            destination: Some(facts.dst),
            port: facts.dst_port,
            inputs: context::flow_row(facts, &features).to_vec(),
            unusual,
            named,
        });
    }

    /// A host was judged.
    pub(super) fn host(
        &mut self,
        facts: &HostFacts,
        (portion, row): (&Matrix, usize),
        now: u64,
        [unusual, named]: [bool; 2],
    ) {
        if !self.takes(Kind::Host, unusual) {
            return;
        }
        let features: Vec<f32> = portion.row(row).collect();
        self.rows.push(Exemplar {
            kind: Kind::Host,
            time: now,
            source: facts.address,
            destination: None,
            port: 0,
            inputs: context::host_row(facts, &features).to_vec(),
            unusual,
            named,
        });
    }
}
