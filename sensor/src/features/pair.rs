//! What is remembered of a pair and of a service.

use super::damped::{Damped, Multi, Usual};
use super::fading::Fading;
use super::logins::Seen;
use super::peaks::Peaks;
use super::pool::{NONE, Pool};
use serde::{Deserialize, Serialize};

/// A pair: 128 bytes, for a scan makes many.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// First window, its end.
    pub first_seen: u64,
    /// Latest window, its end.
    pub last_seen: u64,
    last_contact: u64,
    /// It took part in an alert: time does not make it familiar.
    pub suspect: bool,
    /// The destination answered at least once.
    pub answered: bool,
    /// It was in an ordinary row: it is no surprise any more.
    pub learned: bool,
    /// What it did in its latest window raised what is usual.
    pub(super) absorbed: bool,
    pub(super) connections: f32,
    pub(super) failed: f32,
    pub(super) short: f32,
    pub(super) bytes_out: f32,
    pub(super) bytes_in: f32,
    /// The most surprising it was.
    pub(super) surprise: [f32; 4],
    pub(super) gaps: Damped,
    pub(super) contact_size: Damped,
    pub(super) short_size: Damped,
    pub(super) peaks: Peaks,
    /// Not saved: minutes after a stop it would be stale.
    #[serde(skip)]
    pub(super) usual: Usual,
    /// Number of its [`Seen`]. Not saved, as above.
    #[serde(skip, default = "none")]
    pub(super) logins: u32,
}

const _: () = assert!(size_of::<Pair>() == 128);

fn none() -> u32 {
    NONE
}

/// What a flow adds to its pair in a window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addition {
    /// Handshakes completed.
    pub connections: f64,
    /// Connections failed.
    pub failed: f64,
    /// Bytes out and in.
    pub bytes: [f64; 2],
    /// Packets and bytes a second, both ways.
    pub rates: [f32; 2],
    /// When it made contact.
    pub contact: Option<u64>,
    /// Size of a connection that ended after a short time, bytes.
    pub short: Option<f64>,
    /// Size of a session that ended and was no more than a login, bytes.
    pub login: Option<f64>,
    /// The destination answered.
    pub answered: bool,
}

impl Pair {
    pub(super) fn new(now: u64) -> Pair {
        Pair {
            first_seen: now,
            last_seen: now,
            last_contact: 0,
            suspect: false,
            answered: false,
            learned: false,
            absorbed: false,
            connections: 0.0,
            failed: 0.0,
            short: 0.0,
            bytes_out: 0.0,
            bytes_in: 0.0,
            surprise: [0.0; 4],
            gaps: Damped::default(),
            contact_size: Damped::default(),
            short_size: Damped::default(),
            peaks: Peaks::default(),
            usual: Usual::default(),
            logins: NONE,
        }
    }

    /// Lets the recent counts fade up to `now` and adds.
    #[inline]
    pub(super) fn add(&mut self, now: u64, fading: &mut Fading, more: &mut More, addition: &Addition) {
        let passed = now.saturating_sub(self.last_seen);
        if passed > 0 {
            self.usual.next_window(fading.scales.over(passed), &mut more.past);
            let fade = fading.over(passed) as f32;
            self.connections *= fade;
            self.failed *= fade;
            self.short *= fade;
            self.bytes_out *= fade;
            self.bytes_in *= fade;
            self.absorbed = false;
            self.last_seen = now;
        }
        self.usual.add(addition.rates);
        self.connections += addition.connections as f32;
        self.failed += addition.failed as f32;
        self.bytes_out += addition.bytes[0] as f32;
        self.bytes_in += addition.bytes[1] as f32;
        self.answered |= addition.answered;
        if let Some(size) = addition.short {
            self.short += 1.0;
            self.short_size.add(size);
        }
        if self.logins != NONE || addition.login.is_some() {
            more.logins.get_or_add(&mut self.logins).add(passed, addition.login);
        }
        if let Some(time) = addition.contact {
            if self.last_contact != 0 {
                // Flows that make contact in one drain come in any order.
                self.gaps.add(time.abs_diff(self.last_contact) as f64 / 1e9);
            }
            self.last_contact = self.last_contact.max(time);
            self.contact_size.add(addition.bytes[0]);
        }
    }

    pub(super) fn release(&self, more: &mut More) {
        self.usual.release(&mut more.past);
        more.logins.release(self.logins);
    }
}

/// What few pairs and services have, beside them.
#[derive(Default)]
pub(super) struct More {
    pub(super) past: Pool<Multi>,
    pub(super) logins: Pool<Seen>,
}

/// A service.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Service {
    /// First window, its end.
    pub first_seen: u64,
    /// Latest window, its end.
    pub last_seen: u64,
    /// It took part in an alert.
    pub suspect: bool,
    /// It answered at least once.
    pub answered: bool,
    /// It answered in an ordinary row: it is no surprise any more.
    pub learned: bool,
    pub(super) peaks: Peaks,
    /// Not saved: minutes after a stop it would be stale.
    #[serde(skip)]
    pub(super) usual: Usual,
}
