//! Lists as others write them, and texts that are none.

use super::*;

const NOW: u64 = 1_800_000_000;

fn check(kind: FeedKind, text: &str, expected: &[&str]) -> Refused {
    let config = FeedConfig { kind, ..FeedConfig::default() };
    let parsed = read(&config, text.as_bytes(), NOW).unwrap();
    let shown: Vec<String> = parsed
        .items
        .iter()
        .map(|item| {
            let sure = item.confidence.map_or(String::new(), |sure| format!(" {sure}%"));
            let said =
                if item.description.is_empty() { String::new() } else { format!(" {}", item.description) };
            format!("{}{sure}{said}", item.value.text())
        })
        .collect();
    assert_eq!(shown, expected, "{text}");
    parsed.refused
}

fn fails(kind: FeedKind, text: &str, expected: &str) {
    let config = FeedConfig { kind, ..FeedConfig::default() };
    let error = read(&config, text.as_bytes(), NOW).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn plain() {
    let text = "\u{feff}# a list\r\n192.0.2.1 # a scanner\r\n; more\n198.51.100.0/24 ; SBL1\n\nevil.example\n0.0.0.0 ads.example\nnot one\n";
    let refused = check(
        FeedKind::Plain,
        text,
        &["192.0.2.1 a scanner", "198.51.100.0/24 SBL1", "evil.example", "ads.example"],
    );
    assert_eq!(refused, Refused { malformed: 1, ..Refused::default() });
    check(FeedKind::Plain, "# emptied on purpose\n", &[]);
    check(FeedKind::Plain, "192.0.2.1 # \u{1b}[2J red\n", &["192.0.2.1 \u{fffd}[2J red"]);
    fails(FeedKind::Plain, "", "empty");
    fails(FeedKind::Plain, "<html>\n<body>\nplease log in\n</body>\n", "neither a network");
}

#[test]
fn csv() {
    let text = "# comment\nfirst_seen,dst_ip,dst_port,confidence,malware\n2026-01-01,192.0.2.1,443,90,Emotet\nx,\"192.0.2.2\",,,\"a, b\"\nx\n";
    let refused = check(FeedKind::Csv, text, &["192.0.2.1 90% Emotet", "192.0.2.2 a, b"]);
    assert_eq!(refused.malformed, 1);
    fails(FeedKind::Csv, "a,b\n1,2\n", "set the feed's column to one of a, b");
    let config = FeedConfig { kind: FeedKind::Csv, column: "B".to_owned(), ..FeedConfig::default() };
    assert_eq!(read(&config, b"a,b\n1,192.0.2.9\n", NOW).unwrap().items.len(), 1);
}

#[test]
fn misp() {
    let text = r#"{"Event": {"info": "A campaign", "uuid": "5f0b", "Attribute": [
        {"type": "ip-dst", "value": "192.0.2.1", "to_ids": true, "comment": "C2"},
        {"type": "domain|ip", "value": "evil.example|192.0.2.2", "to_ids": true},
        {"type": "ip-src", "value": "192.0.2.3", "to_ids": false},
        {"type": "ip-src", "value": "192.0.2.4", "to_ids": true, "deleted": true},
        {"type": "sha256", "value": "00", "to_ids": true}],
        "Object": [{"Attribute": [{"type": "hostname|port", "value": "a.evil.example|443", "to_ids": true}]}]}}"#;
    let refused = check(
        FeedKind::Misp,
        text,
        &["192.0.2.1 C2", "evil.example A campaign", "192.0.2.2 A campaign", "a.evil.example A campaign"],
    );
    assert_eq!((refused.doubtful, refused.revoked, refused.unsupported), (1, 1, 1));
    fails(FeedKind::Misp, "{}", "not a MISP event");
    let events = misp::manifest(
        br#"{"b0b0b0b0-0000-4000-8000-000000000000": {"timestamp": "5"}, "../../etc/passwd": {"timestamp": 9},
            "a0a0a0a0-0000-4000-8000-000000000000": {"timestamp": 7}}"#,
    );
    let names: Vec<String> = events.unwrap().into_iter().map(|(name, _)| name[..2].to_owned()).collect();
    assert_eq!(names, ["a0", "b0"]);
}

#[test]
fn stix() {
    let text = r#"{"type": "bundle", "id": "bundle--1", "objects": [
        {"type": "identity", "id": "identity--1"},
        {"type": "indicator", "id": "indicator--1", "name": "C2", "confidence": 85, "pattern_type": "stix",
         "pattern": "[ipv4-addr:value = '192.0.2.1']", "valid_from": "2026-01-01T00:00:00.123456Z"},
        {"type": "indicator", "id": "indicator--2", "pattern": "[ipv4-addr:value = '192.0.2.2']",
         "valid_until": "2020-01-01T00:00:00Z"},
        {"type": "indicator", "id": "indicator--3", "pattern": "[ipv4-addr:value = '192.0.2.3']", "revoked": true},
        {"type": "indicator", "id": "indicator--4", "pattern": "[file:name = 'x']"},
        {"type": "indicator", "id": "indicator--5", "pattern": "[domain-name:value = 'x.example']", "pattern_type": "sigma"},
        {"type": "indicator", "id": "indicator--6"},
        {"type": "indicator", "id": "indicator--7", "pattern": "[ipv4-addr:value = '192.0.2.7']", "valid_until": "soon"}]}"#;
    let refused = check(FeedKind::Stix, text, &["192.0.2.1 85% C2"]);
    let expected = Refused { expired: 1, revoked: 1, unsupported: 2, malformed: 2, ..Refused::default() };
    assert_eq!(refused, expected);
    check(FeedKind::Stix, r#"{"type": "bundle", "objects": []}"#, &[]);
    for (text, expected) in [
        ("{\"type\": \"bundle\", \"objects\": [", "EOF"),
        ("[]", "bundle"),
        ("{}", "type"),
        ("nonsense", "expected"),
    ] {
        fails(FeedKind::Stix, text, expected);
    }
    // Far deeper than any bundle: the parser has a limit of its own.
    let deep = format!("{{\"type\": \"bundle\", \"objects\": {}", "[".repeat(1_000_000));
    fails(FeedKind::Stix, &deep, "recursion limit");
}
