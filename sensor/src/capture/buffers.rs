//! Buffers that go round: filled by a source, emptied by the analysis, given back to be filled again, so that a
//! source in steady state allocates nothing.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Event, FLOW_BATCH, FlowDelta, PacketFacts, Sample};

/// Buffers of each kind that wait to be used again; more are given to the allocator.
const KEPT: usize = 32;

/// The empty buffers of a source. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    flows: Vec<Vec<FlowDelta>>,
    samples: Vec<Vec<Sample>>,
    packets: Vec<Vec<PacketFacts>>,
}

impl Buffers {
    /// An empty buffer for [`FLOW_BATCH`] flows.
    pub fn flows(&self) -> Vec<FlowDelta> {
        self.waiting(|waiting| waiting.flows.pop()).unwrap_or_else(|| Vec::with_capacity(FLOW_BATCH))
    }

    /// An empty buffer for samples, with room for `count` of them at least.
    pub fn samples(&self, count: usize) -> Vec<Sample> {
        let mut buffer = self.waiting(|waiting| waiting.samples.pop()).unwrap_or_default();
        buffer.reserve(count);
        buffer
    }

    /// An empty buffer for what every packet says, with room for `count` of them at least.
    pub fn packets(&self, count: usize) -> Vec<PacketFacts> {
        let mut buffer = self.waiting(|waiting| waiting.packets.pop()).unwrap_or_default();
        buffer.reserve(count);
        buffer
    }

    /// Takes back what an event was carried in, once it was read.
    pub fn give_back(&self, event: Event) {
        match event {
            // Emptied before the lock is taken: the frames of samples are given back to the allocator then.
            Event::Flows(mut buffer) => {
                buffer.clear();
                self.waiting(|waiting| keep(&mut waiting.flows, buffer));
            }
            Event::Samples(mut buffer) => {
                buffer.clear();
                self.waiting(|waiting| keep(&mut waiting.samples, buffer));
            }
            Event::Packets(mut buffer) => {
                buffer.clear();
                self.waiting(|waiting| keep(&mut waiting.packets, buffer));
            }
            Event::Tunnels(_) | Event::Listed(_) | Event::Lists(_) | Event::Tick(_) => {}
        }
    }

    /// A lock for each batch, never for each flow.
    fn waiting<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn keep<T>(waiting: &mut Vec<Vec<T>>, buffer: Vec<T>) {
    if waiting.len() < KEPT {
        waiting.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_with_its_room() {
        let buffers = Buffers::default();
        let mut flows = buffers.flows();
        assert!(flows.capacity() >= FLOW_BATCH);
        flows.reserve_exact(2 * FLOW_BATCH);
        let room = flows.capacity();
        buffers.clone().give_back(Event::Flows(flows));
        let again = buffers.flows();
        assert!(again.is_empty() && again.capacity() == room);
        for _ in 0..2 * KEPT {
            buffers.give_back(Event::Flows(Vec::new()));
        }
        assert_eq!(buffers.0.lock().unwrap().flows.len(), KEPT);
    }
}
