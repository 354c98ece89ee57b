//! Names and clients that lists know of, as samples show them.

use super::flows::Seen;
use crate::intel::{Hit, Set};
use sensor_ebpf::flow::FlowKey;
use std::sync::Arc;

/// Matches kept until they are taken, once a window.
const MOST: usize = 4096;

/// A listed name or client.
#[derive(Clone, Debug)]
pub struct NameHit {
    /// What is listed.
    pub hit: Hit,
    /// The flow that showed it.
    pub key: FlowKey,
    /// The client and its server.
    pub ends: [[u8; 16]; 2],
    /// Their ports.
    pub ports: [u16; 2],
    /// The name, as it was spelt.
    pub name: Option<String>,
    /// Bytes of its payload.
    pub bytes: u32,
    /// When.
    pub time: u64,
}

/// What names are looked up in.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) set: Arc<Set>,
    pub(super) hits: Vec<NameHit>,
    /// Matches that found no room.
    pub(super) overflow: u64,
}

impl Listed {
    /// A name that the client asks for.
    pub(super) fn name(&mut self, seen: &Seen<'_>, from_client: bool, name: &[u8]) {
        if let Some(hit) = self.set.domain(name) {
            self.note(seen, from_client, hit, Some(name.escape_ascii().to_string()));
        }
    }

    /// The client's fingerprint.
    pub(super) fn ja4(&mut self, seen: &Seen<'_>, fingerprint: &str) {
        if let Some(hit) = self.set.ja4(fingerprint) {
            self.note(seen, true, hit, None);
        }
    }

    fn note(&mut self, seen: &Seen<'_>, from_client: bool, hit: Hit, name: Option<String>) {
        if self.hits.len() >= MOST {
            self.overflow += 1;
            return;
        }
        let [from, to] = seen.sides();
        let (client, server) = if from_client { (from, to) } else { (to, from) };
        self.hits.push(NameHit {
            hit,
            key: seen.key(),
            ends: [client.0, server.0],
            ports: [client.1, server.1],
            name,
            bytes: seen.payload.len() as u32,
            time: seen.now,
        });
    }
}
