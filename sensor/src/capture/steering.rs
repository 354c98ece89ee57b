//! Sampling that knows what it wants: more of whom the score points at, less of everybody under overload.
//!
//! The analysis and the control plane ask through a [`Steering`]; the drain thread, which owns the program's maps,
//! does as asked at its next turn. Every sample carries its weight, so what is estimated from samples stays unbiased
//! whatever the rates are.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sensor_ebpf::control::Control;
use sensor_ebpf::flow::FlowKey;

use super::config::SampleConfig;
use super::error::CaptureError;
use super::program::Program;

/// Flows, hosts and networks sampled more closely at a time; as many as the kernel's map takes.
pub const MOST: usize = 1024;
/// Networks among them: each is compared with each entry of the flow table.
const MOST_NETWORKS: usize = 32;

/// A second without samples shed lowers the thinning by one step after so many.
const CALM_SECONDS: u32 = 5;
/// Each step halves the samples.
const MOST_STEPS: u32 = 8;

/// Whose packets are to be looked at closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One flow, while it has its entry.
    Flow(FlowKey),
    /// A host, IPv4 mapped.
    Host([u8; 16]),
    /// A network, IPv4 mapped, and the length of its prefix (an IPv4 network's plus 96).
    Network([u8; 16], u8),
}

impl Target {
    /// A host, or the network it is in, of a prefix of `len` bits.
    pub fn network(address: IpAddr, len: u8) -> Target {
        let (bytes, len) = match address {
            IpAddr::V4(four) => (four.to_ipv6_mapped().octets(), 96 + len.min(32)),
            IpAddr::V6(six) => (six.octets(), len.min(128)),
        };
        if len == 128 { Target::Host(bytes) } else { Target::Network(bytes, len) }
    }
}

/// Asks for other sampling. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Steering(Arc<Mutex<Wishes>>);

#[derive(Debug, Default)]
struct Wishes {
    sample: Option<SampleConfig>,
    raise: HashSet<Target>,
}

impl Steering {
    /// Samples as this says from now on, without the program leaving the interface.
    pub fn set(&self, sample: SampleConfig) {
        self.wishes(|wishes| wishes.sample = Some(sample));
    }

    /// Looks closely at these packets for a while; see `capture.sample.raised_for`.
    pub fn raise(&self, target: Target) {
        self.wishes(|wishes| {
            if wishes.raise.len() < MOST {
                wishes.raise.insert(target);
            }
        });
    }

    fn take(&self) -> Wishes {
        self.wishes(std::mem::take)
    }

    fn wishes<T>(&self, change: impl FnOnce(&mut Wishes) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the drain thread knows of sampling.
pub(super) struct Governor {
    steering: Steering,
    sample: SampleConfig,
    /// Until when, on the capture's clock.
    raised: HashMap<Target, u64>,
    /// Samples shed by the last look.
    shed: u64,
    calm: u32,
    /// How often the samples of everybody were halved.
    pub(super) steps: u32,
}

impl Governor {
    pub(super) fn new(sample: &SampleConfig, steering: Steering) -> Governor {
        Governor { steering, sample: sample.clone(), raised: HashMap::new(), shed: 0, calm: 0, steps: 0 }
    }

    /// Does what was asked for, and what `shed`, the samples shed so far, asks for. Once a second.
    pub(super) fn turn(&mut self, program: &mut Program, shed: u64, now: u64) -> Result<(), CaptureError> {
        let wishes = self.steering.take();
        if let Some(sample) = wishes.sample {
            self.sample = sample;
        }
        self.thin(shed);
        let until = now + self.sample.raised_for.as_nanos() as u64;
        let mut changed = false;
        for target in wishes.raise {
            let networks = self.raised.keys().filter(|target| matches!(target, Target::Network(..))).count();
            let room = self.raised.len() < MOST
                && (networks < MOST_NETWORKS || !matches!(target, Target::Network(..)));
            if room || self.raised.contains_key(&target) {
                changed |= self.raised.insert(target, until).is_none();
            }
        }
        let mut over = Vec::new();
        self.raised.retain(|target, until| {
            let stays = *until > now;
            over.extend((!stays).then_some(*target));
            stays
        });
        if changed || !over.is_empty() {
            program.steer(self.raised.keys(), &over, self.sample.raised_one_in)?;
        }
        let control = Control { steered: self.raised.len() as u32, ..self.control(program.control()) };
        if control != program.control() {
            program.set_control(control)?;
        }
        Ok(())
    }

    /// The control values that follow from the rates and the steps.
    pub(super) fn control(&self, before: Control) -> Control {
        Control {
            first_packets: self.sample.first_packets >> self.steps,
            one_in: self.sample.one_in.saturating_mul(1 << self.steps),
            flagged_per_second: self.sample.flagged_per_second >> self.steps,
            // Never to nothing: 0 would be no sample at all.
            other_per_second: (self.sample.other_per_second >> self.steps)
                .max(self.sample.other_per_second.min(1)),
            ..before
        }
    }

    fn thin(&mut self, shed: u64) {
        if shed > self.shed {
            self.calm = 0;
            if self.steps < MOST_STEPS {
                self.steps += 1;
                tracing::warn!(
                    shed = shed - self.shed,
                    "the analysis is behind: sampling 1/{} of what is configured until it keeps up; every packet is \
                     still counted",
                    1 << self.steps
                );
            }
        } else if self.steps > 0 {
            self.calm += 1;
            if self.calm >= CALM_SECONDS {
                self.calm = 0;
                self.steps -= 1;
                tracing::info!("the analysis keeps up: sampling 1/{} of what is configured", 1 << self.steps);
            }
        }
        self.shed = shed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_halves_sampling_and_calm_brings_it_back() {
        let sample = SampleConfig { first_packets: 8, one_in: 64, ..SampleConfig::default() };
        let mut governor = Governor::new(&sample, Steering::default());
        governor.thin(10);
        governor.thin(20);
        let control = governor.control(Control::default());
        assert_eq!((control.first_packets, control.one_in), (2, 256));
        for _ in 0..2 * CALM_SECONDS {
            governor.thin(20);
        }
        assert_eq!(governor.control(Control::default()).one_in, 64);
        for shed in 21..100 {
            governor.thin(shed);
        }
        assert_eq!(governor.steps, MOST_STEPS);
    }

    #[test]
    fn wishes_are_bounded_and_told_once() {
        let steering = Steering::default();
        for host in 0..5_000u32 {
            steering.raise(Target::network(IpAddr::V4(host.into()), 32));
            steering.raise(Target::network(IpAddr::V4(host.into()), 32));
        }
        assert_eq!(steering.take().raise.len(), MOST);
        assert!(steering.take().raise.is_empty());
    }
}
