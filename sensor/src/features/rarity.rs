//! How surprising it is that two hosts talk: each part that was never seen before adds the surprise of something new
//! of its kind turning up in one row.
//!
//! The chance of something new is that of Good and Turing (Good 1953): as many new things as there were, over the
//! rows in which there might have been one. A source is judged by its own habit, as far as it has one (Dirichlet
//! smoothing towards everybody's, MacKay and Peto 1995): a browser meets new servers all day, a controller never.

use sensor_ebpf::flow::proto;

/// Rows for which everybody's habit counts beside a source's own.
const SMOOTHING: f64 = 10.0;
/// With so many rows a habit is halved: it follows the traffic, and a count of single precision goes on counting.
const MOST: f32 = 1e6;
/// From here on ports are drawn by chance (IANA's dynamic ports begin at 49152, Linux draws from 32768).
const DYNAMIC: u16 = 32_768;

/// The surprise of a pair, nats; 0 for what was seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rarity {
    /// The source never began anything.
    pub source: f64,
    /// The destination was never there, or never answered anybody.
    pub destination: f64,
    /// The destination never offered this, or not to this source.
    pub service: f64,
    /// Nobody ever used this port.
    pub port: f64,
}

impl Rarity {
    /// All parts.
    pub fn total(&self) -> f64 {
        self.source + self.destination + self.service + self.port
    }

    /// The larger of both, part by part.
    pub fn max(self, other: Rarity) -> Rarity {
        Rarity {
            source: self.source.max(other.source),
            destination: self.destination.max(other.destination),
            service: self.service.max(other.service),
            port: self.port.max(other.port),
        }
    }
}

/// Rows seen, and how many of them brought something new: of one source, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Habit {
    /// Rows.
    pub rows: f32,
    /// Destinations never seen before.
    pub destinations: f32,
    /// Services of known destinations never seen before.
    pub services: f32,
    /// Known services used for the first time.
    pub uses: f32,
}

impl Habit {
    fn fade(&mut self) {
        if self.rows > MOST {
            for count in [&mut self.rows, &mut self.destinations, &mut self.services, &mut self.uses] {
                *count /= 2.0;
            }
        }
    }
}

/// What is new about a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct New {
    /// The source never began anything.
    pub source: bool,
    /// The destination was never there.
    pub destination: bool,
    /// The destination never answered anybody: a client becomes a server.
    pub server: bool,
    /// Nobody ever used this service.
    pub service: bool,
    /// Nobody ever used this port, anywhere.
    pub port: bool,
}

/// Everybody's habits, and the ports in use.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Habits {
    all: Habit,
    sources: f32,
    servers: f32,
    new_services: f32,
    new_ports: f32,
    /// A bit a port: of TCP, of UDP, and one a protocol.
    ports: Vec<u64>,
}

impl Default for Habits {
    fn default() -> Self {
        Habits {
            all: Habit::default(),
            sources: 0.0,
            servers: 0.0,
            new_services: 0.0,
            new_ports: 0.0,
            ports: vec![0; (2 * 65_536 + 256) / 64],
        }
    }
}

fn place(protocol: u8, port: u16) -> usize {
    let port = usize::from(port.min(DYNAMIC));
    match protocol {
        proto::TCP => port,
        proto::UDP => 65_536 + port,
        other => 2 * 65_536 + usize::from(other),
    }
}

impl Habits {
    /// Whether the numbers are possible.
    pub fn is_sound(&self) -> bool {
        let counts = [self.sources, self.new_services, self.new_ports];
        counts.iter().all(|count| count.is_finite() && *count >= 0.0)
            && self.ports.len() == (2 * 65_536 + 256) / 64
    }

    /// Whether nobody ever used a port. Those drawn by chance count as one.
    pub fn is_new_port(&self, protocol: u8, port: u16) -> bool {
        let place = place(protocol, port);
        self.ports.get(place / 64).is_none_or(|word| word & (1 << (place % 64)) == 0)
    }

    /// The surprise of what is new about a pair, by the habit of its source.
    pub fn rarity(&self, new: New, habit: &Habit) -> Rarity {
        let surprise = |own: f32, everybody: f32| {
            let usual = (f64::from(everybody) + 0.5) / (f64::from(self.all.rows) + 1.0);
            let chance = (f64::from(own) + SMOOTHING * usual) / (f64::from(habit.rows) + SMOOTHING);
            -chance.min(1.0).ln()
        };
        let plain = |seen: f32, of: f32| -((f64::from(seen) + 0.5) / (f64::from(of) + 1.0)).min(1.0).ln();
        let mut rarity = Rarity::default();
        if new.source {
            rarity.source = plain(self.sources, self.all.rows);
        }
        if new.destination {
            rarity.destination = surprise(habit.destinations, self.all.destinations);
        } else if new.server {
            rarity.destination = plain(self.servers, self.all.rows);
        } else if new.service {
            rarity.service = surprise(habit.services, self.all.services);
        } else {
            rarity.service = surprise(habit.uses, self.all.uses);
        }
        if new.service && new.port {
            rarity.port = plain(self.new_ports, self.new_services);
        }
        rarity
    }

    /// Something new turned up: such things happen.
    pub fn note(&mut self, new: New, habit: &mut Habit) {
        self.sources += f32::from(u8::from(new.source));
        self.servers += f32::from(u8::from(new.server && !new.destination));
        for habit in [habit, &mut self.all] {
            let count = match (new.destination, new.service) {
                (true, _) => &mut habit.destinations,
                (false, true) => &mut habit.services,
                (false, false) => &mut habit.uses,
            };
            *count += 1.0;
        }
        if new.service {
            self.new_services += 1.0;
            self.new_ports += f32::from(u8::from(new.port));
        }
    }

    /// An ordinary row of a source with this habit, and what was new about it.
    pub fn learn(&mut self, new: Option<New>, habit: Option<&mut Habit>, protocol: u8, port: u16) {
        let mut nobody = Habit::default();
        let habit = habit.unwrap_or(&mut nobody);
        if self.all.rows > MOST {
            (self.sources, self.servers) = (self.sources / 2.0, self.servers / 2.0);
        }
        if self.new_services > MOST {
            (self.new_services, self.new_ports) = (self.new_services / 2.0, self.new_ports / 2.0);
        }
        self.all.fade();
        habit.fade();
        self.all.rows += 1.0;
        habit.rows += 1.0;
        let Some(new) = new else {
            return;
        };
        self.note(new, habit);
        if new.service {
            let place = place(protocol, port);
            if let Some(word) = self.ports.get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: New =
        New { source: false, destination: false, server: false, service: false, port: false };

    #[test]
    fn a_browser_may_meet_new_servers_and_a_controller_may_not() {
        let mut habits = Habits::default();
        let (mut browser, mut controller) = (Habit::default(), Habit::default());
        for n in 0..2000 {
            let new = New { destination: true, service: true, ..NOTHING };
            habits.learn((n % 10 == 0).then_some(new), Some(&mut browser), proto::TCP, 443);
            habits.learn(None, Some(&mut controller), proto::TCP, 502);
        }
        let new = New { destination: true, service: true, ..NOTHING };
        let (often, never) = (habits.rarity(new, &browser), habits.rarity(new, &controller));
        assert!((often.total() - 10f64.ln()).abs() < 0.1, "{often:?}");
        assert!(never.total() > 7.0, "{never:?}");
        assert!(!habits.is_new_port(proto::TCP, 443) && habits.is_new_port(proto::UDP, 443));
    }

    #[test]
    fn parts_that_were_never_seen_add_up() {
        let mut habits = Habits::default();
        for _ in 0..1000 {
            habits.learn(None, None, proto::UDP, 123);
        }
        let nobody = Habit::default();
        let use_only = habits.rarity(NOTHING, &nobody);
        let all = New { source: true, destination: true, server: true, service: true, port: true };
        assert!(habits.rarity(all, &nobody).total() > 2.0 * use_only.total());
    }
}
