use std::process::{Command, Stdio};

use super::super::Target;
use super::super::pace::Paced;
use super::super::testing::{alert, hostile_alert, of_alert, secret_file, server};
use super::*;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_request_is_the_stored_json_signed_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = server(|_| "200 OK".to_owned());
    let config = WebhookConfig {
        url,
        secret_file: secret_file(folder.path(), "secret", "hunter2\n"),
        token_file: secret_file(folder.path(), "token", "t0ken\n"),
        ..WebhookConfig::default()
    };
    let mut webhook = Webhook::new(&config, "box-1");
    let message = of_alert(42, &hostile_alert(7));
    for _attempt in 0..2 {
        assert_eq!(webhook.one(&message, LONG), Outcome::Delivered);
    }
    let (first, again) = (requests.recv().unwrap(), requests.recv().unwrap());
    assert!(first.head.starts_with("POST /api/network/webhook HTTP/1.1\r\n"), "{}", first.head);
    assert_eq!(first.body, *message.json);
    assert!(!first.body.chars().any(crate::telemetry::is_hostile));
    assert_eq!((first.header("x-vesper-id"), first.header("x-vesper-event")), ("box-1:42", "raised"));
    assert_eq!(again.header("x-vesper-id"), "box-1:42");
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("authorization"), "Bearer t0ken");
    // As docs/sinks.md tells receivers to check it, by a program that is not ours.
    let check = "import hmac, sys
secret, header, body = sys.argv[1].encode(), sys.argv[2], sys.stdin.buffer.read()
fields = dict(part.split('=', 1) for part in header.split(','))
expected = hmac.new(secret, fields['t'].encode() + b'.' + body, 'sha256').hexdigest()
sys.exit(0 if hmac.compare_digest(expected, fields['v1']) else 1)";
    for (body, passes) in [(first.body.clone(), true), (format!("{} ", first.body), false)] {
        let mut python = Command::new("python3")
            .args(["-c", check, "hunter2", first.header("x-vesper-signature")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut python.stdin.take().unwrap(), body.as_bytes()).unwrap();
        assert_eq!(python.wait().unwrap().success(), passes);
    }
}

#[test]
fn the_signature_is_hmac_sha256_of_time_dot_body() {
    // From `printf '1700000000.{}' | openssl dgst -sha256 -hmac key`.
    assert_eq!(
        signature("key", 1_700_000_000, "{}"),
        "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
    );
}

#[test]
fn a_secret_that_others_can_read_is_not_used_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = server(|_| "200 OK".to_owned());
    let secret_file = secret_file(folder.path(), "secret", "hunter2");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&secret_file, open).unwrap();
    let config = WebhookConfig { url, secret_file: secret_file.clone(), ..WebhookConfig::default() };
    let mut webhook = Webhook::new(&config, "box-1");
    let outcome = webhook.one(&of_alert(1, &alert(1)), LONG);
    assert!(
        matches!(&outcome, Outcome::Retry { error, .. } if error.contains("chmod 0600") && !error.contains("hunter2")),
        "{outcome:?}"
    );
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret_file, private).unwrap();
    assert_eq!(webhook.one(&of_alert(1, &alert(1)), LONG), Outcome::Delivered);
    assert!(requests.recv().is_ok() && requests.try_recv().is_err());
    assert!(!format!("{webhook:?}").contains("hunter2"));
}

#[test]
fn grouped_on_request() {
    let (url, requests) = server(|_| "200 OK".to_owned());
    let config = WebhookConfig { url, ..WebhookConfig::default() };
    let mut webhook = Paced::new(Webhook::new(&config, "box-1"), Duration::from_secs(10), 0);
    let messages: Vec<_> = (1..=3).map(|n| of_alert(n.into(), &alert(n))).collect();
    assert_eq!(webhook.deliver(&messages, LONG), vec![Outcome::Delivered; 3]);
    let request = requests.recv().unwrap();
    assert_eq!((request.header("x-vesper-id"), request.header("x-vesper-event")), ("box-1:1-3", "summary"));
    assert_eq!(
        request.body,
        r#"{"alerts":3,"first":"2026-01-01T00:00:00Z","further_sources":0,"last":"2026-01-01T00:00:00Z","messages":3,"severities":{"high":3},"sources":{"10.0.0.1":3},"summary":true,"threat_ids":["THREAT_20260101_001","THREAT_20260101_002","THREAT_20260101_003"],"told":{"raised":3},"types":{"PortScan":3}}"#
    );
}
