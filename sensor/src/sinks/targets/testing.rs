//! What the tests of the targets have in common: an alert, messages, and a server that reads requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use super::{Message, Told};
use crate::alert::{Alert, Recommendation};

/// What an attacker puts wherever text fits.
pub const HOSTILE: &str =
    "<!channel> <@U1|x> & `code` *b* \u{1b}[2J\u{202e}\r\nBcc: a@b\r\n\r\n\"];] \\ https://evil.example 中";

pub fn alert(number: u32) -> Alert {
    // From JSON, so that a new field that has a default changes no test.
    let json = serde_json::json!({
        "threat_id": format!("THREAT_20260101_{number:03}"), "threat_type": "PortScan", "severity": "high",
        "source_ip": "10.0.0.1", "destination_ip": "10.0.0.2", "source_port": 40_000, "destination_port": 443,
        "protocol": "TCP", "confidence": 0.9, "timestamp": "2026-01-01T00:00:00Z",
        "details": {
            "packet_count": 1, "total_bytes": 60, "duration": 0.0, "flags": ["SYN"], "model_used": "autoencoder",
            "score": 1.0, "threshold": 0.5, "explanation": [], "narrative": "10.0.0.1 tried 100 ports of 10.0.0.2",
            "community_id": "1:abc=", "first_seen": "2026-01-01T00:00:00Z", "last_seen": "2026-01-01T00:00:00Z",
            "count": 1,
        },
        "recommendation": {
            "incident_id": "INC-2026-001", "similarity": 0.87, "action": "block 10.0.0.1 at the firewall",
            "confidence": 0.8,
        },
    });
    serde_json::from_value(json).unwrap()
}

/// With text of an attacker in every field that is text.
pub fn hostile_alert(number: u32) -> Alert {
    let mut alert = alert(number);
    let text = || HOSTILE.repeat(40);
    alert.source_ip = text();
    alert.destination_ip = text();
    alert.protocol = text();
    alert.timestamp = text();
    alert.details.narrative = text();
    alert.details.community_id = text();
    alert.recommendation =
        Some(Recommendation { incident_id: text(), similarity: 2.0, action: text(), confidence: -1.0 });
    alert
}

pub fn message(event: i64, told: Told, about: &str, json: &str) -> Message {
    Message { id: event, event, about: about.to_owned(), told, json: json.into() }
}

pub fn of_alert(event: i64, alert: &Alert) -> Message {
    let json = super::harmless(serde_json::to_string(alert).unwrap());
    message(event, Told::Raised, &alert.threat_id, &json)
}

pub fn decision(event: i64) -> Message {
    let json = r#"{"id":"dec_1","error_type":"database_timeout","symptom":"timeouts rose by 450 %","matched_incident":"INC-2026-002","recommended_action":"throttle to 30 %","confidence_score":0.91,"similarity":0.88,"latency_ms":245,"created_at":"2026-01-01T00:00:00Z"}"#;
    message(event, Told::Decision, "dec_1", json)
}

/// A secret's file.
pub fn secret_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// One request: head in lower case, body.
#[derive(Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default()
    }
}

/// `None` when the client hung up.
pub fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
            None => line,
        };
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, body: String::from_utf8(body).ok()? })
}

/// Serves one request per connection; `answer` gives status line, headers, and after an empty line the body.
pub fn server(answer: impl Fn(&Request) -> String + Send + 'static) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, serve(listener, answer))
}

/// The same on a listener that is there.
pub fn serve(
    listener: TcpListener,
    answer: impl Fn(&Request) -> String + Send + 'static,
) -> Receiver<Request> {
    let (sender, receiver) = sync_channel(10_000);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let Some(request) = read_request(&stream) else { continue };
            let said = answer(&request);
            let (head, body) = said.split_once("\n\n").unwrap_or((&said, ""));
            let head = head.replace('\n', "\r\n");
            let text = format!(
                "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            // First to the test: what its client was answered it can count on.
            if sender.send(request).is_err() {
                return;
            }
            let _client_may_be_gone = stream.write_all(text.as_bytes());
        }
    });
    receiver
}
