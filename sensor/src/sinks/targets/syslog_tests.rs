use std::net::TcpListener;

use super::super::testing::{alert, decision, hostile_alert, of_alert};
use super::*;

const LONG: Duration = Duration::from_secs(20);

fn to(address: &str) -> Syslog {
    let config = SyslogConfig { address: address.to_owned(), ..SyslogConfig::default() };
    assert!(config.target().is_some());
    Syslog::new(&config, "box-1")
}

/// Reads one message with its count.
fn framed(stream: &mut TcpStream) -> String {
    let mut digits = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        match byte[0] {
            b' ' => break,
            digit => digits.push(char::from(digit)),
        }
    }
    let mut line = vec![0; digits.parse().unwrap()];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8(line).unwrap()
}

#[test]
fn lines_are_rfc_5424() {
    let line = of_note(&Note::of(&of_alert(7, &alert(1))), 16, "box-1");
    assert_eq!(
        line,
        "<131>1 2026-01-01T00:00:00Z box-1 vesper - raised [vesper@32473 id=\"THREAT_20260101_001\" event=\"7\" \
         type=\"PortScan\" source=\"10.0.0.1:40000\" destination=\"10.0.0.2:443\" protocol=\"TCP\" confidence=\"0.900\" \
         incident=\"INC-2026-001\" similarity=\"87 %\" action=\"block 10.0.0.1 at the firewall\"] \
         \u{feff}High PortScan: 10.0.0.1 tried 100 ports of 10.0.0.2"
    );
    assert!(
        of_note(&Note::of(&decision(8)), 3, "box-1")
            .starts_with("<30>1 2026-01-01T00:00:00Z box-1 vesper - decision [")
    );
    let many: Vec<Message> = (0..9).map(|n| of_alert(n.into(), &alert(n))).collect();
    assert_eq!(
        of_summary(&Summary::of(&many), 16, "box-1"),
        "<131>1 2026-01-01T00:00:00Z box-1 vesper - summary [vesper@32473 messages=\"9\" alerts=\"9\" \
         sources=\"10.0.0.1 (9)\"] \u{feff}9 alerts: 9 PortScan"
    );
}

#[test]
fn hostile_text_stays_one_line_and_inside_its_field() {
    let line = of_note(&Note::of(&of_alert(7, &hostile_alert(1))), 16, "box-1");
    assert!(line.len() <= LONGEST && !line.chars().any(|c| c.is_control()), "{line:?}");
    // Its time is no time, so the header has none.
    assert!(line.starts_with("<131>1 - box-1 vesper - raised [vesper@32473 id="), "{line}");
    let mut inside = false;
    let mut end = 0;
    let mut characters = line.char_indices().skip_while(|(_, c)| *c != '[').peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' if inside => drop(characters.next()),
            '"' => inside = !inside,
            ']' if !inside => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    assert!(line[end..].starts_with("] \u{feff}High PortScan: "), "{}", &line[end..]);
}

#[test]
fn tcp_counts_octets_and_connects_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut syslog = to(&format!("tcp://{}", listener.local_addr().unwrap()));
    let first = of_alert(1, &alert(1));
    assert_eq!(syslog.one(&first, LONG), Outcome::Delivered);
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(syslog.one(&of_alert(2, &alert(2)), LONG), Outcome::Delivered);
    assert!(framed(&mut stream).contains("THREAT_20260101_001"));
    assert!(framed(&mut stream).contains("THREAT_20260101_002"));
    // The server is restarted: what comes next goes to the new one, none into the old connection.
    drop(stream);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(syslog.one(&of_alert(3, &alert(3)), LONG), Outcome::Delivered);
    let (mut stream, _) = listener.accept().unwrap();
    assert!(framed(&mut stream).contains("THREAT_20260101_003"));
    drop((stream, listener));
    std::thread::sleep(Duration::from_millis(50));
    let outcome = syslog.one(&of_alert(4, &alert(4)), LONG);
    assert!(matches!(&outcome, Outcome::Retry { error, .. } if error.contains("refused")), "{outcome:?}");
}

#[test]
fn datagrams_one_each() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut syslog = to(&format!("udp://{}", udp.local_addr().unwrap()));
    assert_eq!(syslog.one(&of_alert(1, &hostile_alert(1)), LONG), Outcome::Delivered);
    let mut buffer = [0; 4096];
    let length = udp.recv(&mut buffer).unwrap();
    assert!(length <= LONGEST && buffer.starts_with(b"<131>1 "));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut syslog = to(&format!("unix:{}", path.display()));
    let outcome = syslog.one(&of_alert(1, &alert(1)), LONG);
    assert!(
        matches!(&outcome, Outcome::Retry { error, .. } if error.contains("No such file")),
        "{outcome:?}"
    );
    let socket = UnixDatagram::bind(&path).unwrap();
    assert_eq!(syslog.one(&of_alert(1, &alert(1)), LONG), Outcome::Delivered);
    let length = socket.recv(&mut buffer).unwrap();
    assert!(std::str::from_utf8(&buffer[..length]).unwrap().contains("THREAT_20260101_001"));
}
