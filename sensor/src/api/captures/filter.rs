//! Which alerts a session is about: a small part of the language of packet filters.
//!
//! `tcp`, `udp`, `icmp`, `host IP`, `net CIDR`, `port N`, each of the last three also after `src` or `dst`, joined by `and`,
//! `or`, `not` and brackets; `tcp port 80` is `tcp and port 80`. Nothing else: what is not understood is refused.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::alert::Alert;

/// Longest text, bytes.
pub(super) const LONGEST: usize = 256;
/// Brackets and `not` inside each other.
const DEEPEST: usize = 16;

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    All,
    Protocol(&'static str),
    Net(Side, IpNet),
    Port(Side, u16),
    Not(Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
    Either,
}

impl Filter {
    /// Reads a filter; in words what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Filter, String> {
        if text.len() > LONGEST {
            return Err(format!("a filter has at most {LONGEST} characters"));
        }
        let spaced = text.replace('(', " ( ").replace(')', " ) ").to_ascii_lowercase();
        let words: Vec<&str> = spaced.split_whitespace().collect();
        if words.is_empty() {
            return Ok(Filter::All);
        }
        let mut parser = Parser { words: &words, at: 0, depth: 0 };
        let filter = parser.any()?;
        match parser.peek() {
            None => Ok(filter),
            Some(word) => Err(unexpected(word)),
        }
    }

    /// Whether an alert is about such traffic.
    pub(super) fn matches(&self, alert: &Alert) -> bool {
        match self {
            Filter::All => true,
            Filter::Protocol(name) => alert.protocol.to_ascii_lowercase().trim_end_matches("v6") == *name,
            Filter::Net(side, net) => {
                let inside = |text: &str| text.parse::<IpAddr>().is_ok_and(|address| net.contains(&address));
                side.of(inside(&alert.source_ip), inside(&alert.destination_ip))
            }
            Filter::Port(side, port) => side.of(alert.source_port == *port, alert.destination_port == *port),
            Filter::Not(inner) => !inner.matches(alert),
            Filter::And(a, b) => a.matches(alert) && b.matches(alert),
            Filter::Or(a, b) => a.matches(alert) || b.matches(alert),
        }
    }
}

impl Side {
    fn of(self, source: bool, destination: bool) -> bool {
        match self {
            Side::Source => source,
            Side::Destination => destination,
            Side::Either => source || destination,
        }
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek();
        self.at += 1;
        word
    }

    fn any(&mut self) -> Result<Filter, String> {
        let mut filter = self.all()?;
        while self.peek() == Some("or") {
            self.at += 1;
            filter = Filter::Or(Box::new(filter), Box::new(self.all()?));
        }
        Ok(filter)
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut filter = self.one()?;
        while self.peek() == Some("and") {
            self.at += 1;
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("a filter has at most {DEEPEST} brackets and nots inside each other"));
        }
        let word = self.next().ok_or_else(|| "something is missing at the end".to_owned())?;
        let filter = match word {
            "not" => Filter::Not(Box::new(self.one()?)),
            "(" => {
                let inner = self.any()?;
                match self.next() {
                    Some(")") => inner,
                    _ => return Err("a bracket is not closed".to_owned()),
                }
            }
            "tcp" | "udp" | "icmp" => self.protocol(word)?,
            "src" => self.end(Side::Source)?,
            "dst" => self.end(Side::Destination)?,
            "host" | "net" | "port" => {
                self.at -= 1;
                self.end(Side::Either)?
            }
            other => return Err(unexpected(other)),
        };
        self.depth -= 1;
        Ok(filter)
    }

    /// `tcp`, or `tcp port 80`.
    fn protocol(&mut self, word: &str) -> Result<Filter, String> {
        let name = ["tcp", "udp", "icmp"].into_iter().find(|name| *name == word).unwrap_or("tcp");
        let filter = Filter::Protocol(name);
        if matches!(self.peek(), Some("src" | "dst" | "host" | "net" | "port")) {
            return Ok(Filter::And(Box::new(filter), Box::new(self.one()?)));
        }
        Ok(filter)
    }

    fn end(&mut self, side: Side) -> Result<Filter, String> {
        let kind = self.next().unwrap_or_default();
        let value = self.next().unwrap_or_default();
        let wrong = |what: &str| format!("{value:?} after {kind} is no {what}");
        match kind {
            "host" => {
                let address: IpAddr = value.parse().map_err(|_not_one| wrong("IP address"))?;
                Ok(Filter::Net(side, address.into()))
            }
            "net" => value
                .parse()
                .map(|net| Filter::Net(side, net))
                .map_err(|_not_one| wrong("network (10.0.0.0/8)")),
            "port" => value.parse().map(|port| Filter::Port(side, port)).map_err(|_not_one| wrong("port")),
            _ => Err(format!("{kind:?} after src or dst: give host, net or port")),
        }
    }
}

fn unexpected(word: &str) -> String {
    format!(
        "{word:?} is not understood: tcp, udp, icmp, host IP, net CIDR and port N are, with src, dst, and, or, not and \
         brackets"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alert(protocol: &str, source: &str, destination: &str, port: u16) -> Alert {
        serde_json::from_value(serde_json::json!({
            "threat_id": "THREAT_20261121_001", "threat_type": "PortScan", "severity": "low", "source_ip": source,
            "destination_ip": destination, "source_port": 40_000, "destination_port": port, "protocol": protocol,
            "confidence": 0.5, "timestamp": "", "details": {"packet_count": 0, "total_bytes": 0, "duration": 0.0,
            "flags": [], "model_used": "", "score": 0.0, "threshold": 0.0, "explanation": [], "narrative": "",
            "community_id": "", "first_seen": "", "last_seen": "", "count": 1}
        }))
        .unwrap()
    }

    #[test]
    fn what_matches() {
        let web = alert("TCP", "10.0.0.5", "192.0.2.1", 80);
        let ping = alert("ICMPv6", "fd00::1", "", 0);
        for (text, on_web, on_ping) in [
            ("", true, true),
            ("tcp", true, false),
            ("icmp", false, true),
            ("TCP PORT 80", true, false),
            ("tcp and dst port 80", true, false),
            ("src port 80", false, false),
            ("host 10.0.0.5", true, false),
            ("dst host 10.0.0.5", false, false),
            ("net 10.0.0.0/8 or net fd00::/8", true, true),
            ("not (tcp or udp)", false, true),
            ("not tcp and host fd00::1", false, true),
            ("udp or tcp and port 81", false, false),
        ] {
            let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((filter.matches(&web), filter.matches(&ping)), (on_web, on_ping), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in
            ["ether", "port x", "host", "tcp and", "(tcp", "tcp)", "net 10.0.0.0/40", "src tcp", "tcp udp"]
        {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
        assert!(Filter::parse(&"not ".repeat(60)).is_err());
        assert!(Filter::parse(&"x".repeat(300)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([a-z0-9./:() ]|tcp|port|and|not|host ){0,60}") {
            let _either = Filter::parse(&text);
        }
    }
}
