//! Sessions that are no more than a login: where a person logs in, many of one source that are all alike are guesses.

use super::damped::Damped;
use super::facts::FlowFacts;
use crate::flow::SECOND;
use sensor_ebpf::flow::proto;

/// A session of more bytes, both directions and headers, was more than a login: SSH needs up to 10 KB for its keys and six
/// refused passwords.
const LARGEST: u64 = 16_384;
/// They fade by this, nanoseconds: two minutes.
const KEPT: f64 = 120.0 * SECOND as f64;

/// What is known of those of a pair.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logins {
    /// Of the last minutes, fading.
    pub recent: f64,
    /// Of all times.
    pub count: u32,
    /// Mean bytes of one, both directions.
    pub size: f64,
    /// Their deviation over their mean.
    pub variation: f64,
}

/// Those of a pair.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    recent: f32,
    size: Damped,
}

impl Seen {
    /// Time passes, and there may be another one.
    pub(super) fn add(&mut self, passed: u64, login: Option<f64>) {
        if self.recent > 0.0 && passed > 0 {
            self.recent *= (-(passed as f64) / KEPT).exp() as f32;
        }
        if let Some(size) = login {
            self.recent += 1.0;
            self.size.add(size);
        }
    }

    pub(super) fn facts(&self) -> Logins {
        let size = &self.size;
        Logins {
            recent: f64::from(self.recent),
            count: size.n,
            size: size.mean(),
            variation: size.variation(),
        }
    }
}

/// SSH, Telnet, remote desktop, VNC: no program opens a connection for each thing it asks there.
fn is_service(protocol: u8, port: u16) -> bool {
    protocol == proto::TCP && matches!(port, 22 | 23 | 3389 | 5900)
}

/// The bytes of a session that was seen whole, if it was no more than a login.
pub(super) fn login(flow: &FlowFacts) -> Option<f64> {
    let size = flow.total.bytes[0] + flow.total.bytes[1];
    (size <= LARGEST && is_service(flow.key.proto, flow.dst_port)).then_some(size as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_fade_within_minutes_and_their_sizes_do_not() {
        let mut seen = Seen::default();
        for size in [7000.0, 7200.0, 6800.0, 7000.0] {
            seen.add(10 * SECOND, Some(size));
        }
        let known = seen.facts();
        assert!(known.recent > 3.4 && known.recent < 4.0 && known.count == 4, "{known:?}");
        assert!((known.size - 7000.0).abs() < 1.0 && known.variation < 0.05, "{known:?}");
        seen.add(600 * SECOND, None);
        assert!(seen.facts().recent < 0.05 && seen.facts().count == 4);
    }
}
