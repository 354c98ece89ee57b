//! Evidence: bounded, and read by other programs.

use std::process::Command;

use super::evidence;
use super::testing::{alert, insert, open, replay, sample};

#[test]
fn evidence_is_bounded_and_other_programs_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for number in 1..=100 {
        insert(&store, number, number as i64);
    }
    let id = alert(100).threat_id;
    let more = evidence::of_samples(&[sample(2_000_000_007), sample(1_000_000_001)]);
    let about = id.clone();
    store.write(move |tx| evidence::add(tx, &about, &more)).unwrap();
    let lines = store.read(|connection| evidence::packets(connection, &id)).unwrap();
    assert_eq!(lines.len(), 3);
    let line = &lines[1];
    assert_eq!(
        (line.time.as_str(), line.source.as_str(), line.destination.as_str(), line.protocol.as_str()),
        ("1970-01-01T00:00:01.000Z", "10.0.0.1:1234", "10.0.0.2:80", "TCP")
    );
    assert_eq!((line.length, line.captured, line.summary.as_str()), (60, 54, "SYN, payload up to 6 bytes"));
    let file = store.read(|connection| evidence::pcapng(connection, &id, true)).unwrap().unwrap();
    let path = folder.path().join("evidence.pcapng");
    std::fs::write(&path, &file).unwrap();
    let mut frames = Vec::new();
    replay(&path, |time, frame| frames.push((time, frame.to_vec())));
    assert_eq!(frames.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [100, 1_000_000_001, 2_000_000_007]);
    assert!(frames.iter().all(|(_, frame)| frame == &sample(0).frame[..]));
    tshark(&path, &id);

    store.write(|tx| evidence::limit(tx, 1000)).unwrap();
    assert!(store.read(evidence::bytes).unwrap() <= 1000);
    assert!(
        store.read(|connection| evidence::pcapng(connection, &alert(1).threat_id, true)).unwrap().is_none()
    );
    assert_eq!(store.read(|connection| evidence::packets(connection, &id)).unwrap().len(), 3);
    let counted: i64 = store
        .read(|connection| {
            connection.query_row("SELECT sum(length(data)) FROM evidence", [], |row| row.get(0))
        })
        .unwrap();
    assert_eq!(store.read(evidence::bytes).unwrap(), counted);
}

fn tshark(path: &std::path::Path, id: &str) {
    let fields = ["frame.time_epoch", "ip.src", "tcp.dstport", "frame.len", "frame.cap_len", "frame.comment"];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-T", "fields", "-E", "separator=|"]);
    let Ok(output) = command.args(fields.iter().flat_map(|field| ["-e", field])).output() else {
        eprintln!("SKIPPED: tshark is not installed, so it was not asked to read the file");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].starts_with("0.000000100|10.0.0.1|80|60|54|") || lines[0].contains("|10.0.0.1|80|60|54|"),
        "{text}"
    );
    assert!(lines[0].contains(id) && lines[0].contains("PortScan, score 1.000"), "{text}");
}
