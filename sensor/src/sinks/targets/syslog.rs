//! Messages to syslog, RFC 5424, to this machine's own daemon or over UDP (RFC 5426) or TCP (RFC 6587, octet counts).
//!
//! Syslog acknowledges nothing. Over TCP a closed connection is noticed before the next message is written; what the
//! peer's kernel had taken and its daemon had not read is lost, and what UDP loses nobody knows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::note::{Note, percent};
use super::pace::Notify;
use super::summary::Summary;
use super::{Message, Outcome};
use crate::alert::Severity;
use crate::sinks::config::{SyslogAddress, SyslogConfig};

/// Every receiver takes this much (RFC 5424, 6.1), and a datagram of it is not cut.
const LONGEST: usize = 2048;
/// Structured data needs a number of an enterprise; this one is for documentation (RFC 5612), Vesper has none.
const DATA_ID: &str = "vesper@32473";

/// One syslog server.
#[derive(Debug)]
pub struct Syslog {
    address: SyslogAddress,
    facility: u8,
    sensor: String,
    connection: Option<TcpStream>,
}

impl Syslog {
    /// The server of the settings, which were checked.
    pub fn new(config: &SyslogConfig, sensor: &str) -> Syslog {
        Syslog {
            address: config.target().unwrap_or(SyslogAddress::Unix("/dev/log".into())),
            facility: config.facility_number().unwrap_or(16),
            sensor: sensor.to_owned(),
            connection: None,
        }
    }

    fn send(&mut self, line: &str, timeout: Duration) -> Outcome {
        let sent = match self.address.clone() {
            SyslogAddress::Unix(path) => UnixDatagram::unbound()
                .and_then(|socket| {
                    socket.set_write_timeout(Some(timeout))?;
                    socket.send_to(line.as_bytes(), &path)
                })
                .map(|_whole| ())
                .map_err(|error| format!("{}: {error}", path.display())),
            SyslogAddress::Udp(peer) => {
                send_udp(&peer, line).map_err(|error| format!("udp://{peer}: {error}"))
            }
            SyslogAddress::Tcp(peer) => {
                let sent = self.send_tcp(&peer, line, timeout);
                if sent.is_err() {
                    self.connection = None;
                }
                sent.map_err(|error| format!("tcp://{peer}: {error}"))
            }
        };
        match sent {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::Retry { error, after: None },
        }
    }

    fn send_tcp(&mut self, peer: &str, line: &str, timeout: Duration) -> std::io::Result<()> {
        if self.connection.as_mut().is_some_and(is_closed) {
            self.connection = None;
        }
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => connect(peer, timeout)?,
        };
        stream.set_write_timeout(Some(timeout))?;
        stream.write_all(format!("{} {line}", line.len()).as_bytes())?;
        self.connection = Some(stream);
        Ok(())
    }
}

/// Servers of syslog say nothing, so there is something to read only when the peer has hung up.
fn is_closed(stream: &mut TcpStream) -> bool {
    let open = stream
        .set_nonblocking(true)
        .and_then(|()| match stream.read(&mut [0; 64]) {
            Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_said) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        })
        .and_then(|()| stream.set_nonblocking(false));
    open.is_err()
}

fn connect(peer: &str, timeout: Duration) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("has no address");
    for address in peer.to_socket_addrs()?.take(2) {
        match TcpStream::connect_timeout(&address, timeout / 2) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn send_udp(peer: &str, line: &str) -> std::io::Result<()> {
    let address = peer.to_socket_addrs()?.next().ok_or_else(|| std::io::Error::other("has no address"))?;
    let own: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    UdpSocket::bind(own)?.send_to(line.as_bytes(), address).map(|_whole| ())
}

impl Notify for Syslog {
    fn one(&mut self, message: &Message, timeout: Duration) -> Outcome {
        let line = of_note(&Note::of(message), self.facility, &self.sensor);
        self.send(&line, timeout)
    }

    fn summary(&mut self, summary: &Summary, timeout: Duration) -> Outcome {
        let line = of_summary(summary, self.facility, &self.sensor);
        self.send(&line, timeout)
    }
}

fn of_note(note: &Note, facility: u8, sensor: &str) -> String {
    let mut data = String::new();
    let similarity = note.similarity.map(percent).unwrap_or_default();
    for (name, value) in [
        ("id", &note.id),
        ("event", &note.event.to_string()),
        ("type", &note.kind),
        ("source", &note.source),
        ("destination", &note.destination),
        ("protocol", &note.protocol),
        ("confidence", &note.confidence.map(|part| format!("{part:.3}")).unwrap_or_default()),
        ("incident", &note.incident),
        ("similarity", &similarity),
        ("action", &note.action),
        ("resolution", &note.resolution),
    ] {
        if !value.is_empty() {
            data.push_str(&format!(" {name}=\"{}\"", parameter(value)));
        }
    }
    line(
        facility,
        note.severity,
        &note.time,
        sensor,
        note.told.name(),
        &data,
        &format!("{}: {}", note.headline(), note.symptom),
    )
}

fn of_summary(summary: &Summary, facility: u8, sensor: &str) -> String {
    let data = format!(
        " messages=\"{}\" alerts=\"{}\" sources=\"{}\"",
        summary.messages,
        summary.alerts,
        parameter(&summary.sources())
    );
    line(facility, summary.worst, &summary.times[1], sensor, "summary", &data, &summary.headline())
}

/// `<PRI>1 TIME HOST vesper - MSGID [DATA] BOM TEXT`.
fn line(
    facility: u8,
    severity: Option<Severity>,
    time: &str,
    sensor: &str,
    kind: &str,
    data: &str,
    text: &str,
) -> String {
    let level = match severity {
        Some(Severity::Critical) => 2,
        Some(Severity::High) => 3,
        Some(Severity::Medium) => 4,
        Some(Severity::Low) => 5,
        None => 6,
    };
    // Only our own times: anything else would move the fields.
    let is_time = !time.is_empty() && time.chars().all(|c| c.is_ascii_digit() || "-:.TZ+".contains(c));
    let time = if is_time { time } else { "-" };
    let mut line =
        format!("<{}>1 {time} {sensor} vesper - {kind} [{DATA_ID}{data}] \u{feff}", facility * 8 + level);
    for c in text.chars() {
        if line.len() + c.len_utf8() > LONGEST {
            break;
        }
        line.push(c);
    }
    line
}

/// As a value of structured data (RFC 5424, 6.3.3), short enough that all of them fit.
fn parameter(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars().take(120) {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
#[path = "syslog_tests.rs"]
mod tests;
