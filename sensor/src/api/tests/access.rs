//! Who may ask for what.

use super::super::access::Need;
use super::super::token::{self, Scope};
use super::super::{openapi, routes};
use super::*;

/// An API with a token of each scope.
fn guarded() -> (Api, [String; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let secrets = [("reader", Scope::Read), ("writer", Scope::Write), ("boss", Scope::Admin)]
        .map(|(name, scope)| token::create(&path, name, scope).unwrap());
    (Api::with(folder, |config| config.tokens_file = "tokens".into()), secrets)
}

fn bearer(secret: &str) -> String {
    format!("authorization: Bearer {secret}\r\n")
}

/// Every registered route: without a token nothing, with too small a scope nothing.
#[test]
fn no_route_is_open_by_mistake() {
    let (api, [reader, writer, boss]) = guarded();
    let (_, document) = routes::described();
    let mut open = Vec::new();
    for ((method, path), need) in openapi::needs(&document) {
        let target = path.replace("{id}", "x").replace("{ip}", "10.0.0.1").replace("{name}", "x");
        let ask = |headers: &str| api.ask(method.as_str(), &target, headers, "").0;
        match need {
            Need::Nobody => open.push(format!("{method} {path}")),
            Need::Token(scope) => {
                for nothing in ["", "authorization: Bearer vesper_wrong\r\n", "cookie: vesper_session=x\r\n"]
                {
                    assert_eq!(ask(nothing), 401, "{method} {path} with {nothing:?}");
                }
                for (secret, has) in [(&reader, Scope::Read), (&writer, Scope::Write), (&boss, Scope::Admin)]
                {
                    if has < scope {
                        assert_eq!(ask(&bearer(secret)), 403, "{method} {path} for {has:?}");
                    }
                }
            }
        }
    }
    open.sort();
    let expected = [
        "DELETE /api/v1/session",
        "GET /-/healthy",
        "GET /-/ready",
        "GET /openapi.json",
        "POST /api/v1/session",
    ];
    assert_eq!(open, expected, "what needs no token is chosen, not forgotten");
    assert_eq!(api.ask("GET", "/api/v1/session", &bearer(&writer), "").0, 200);
    let (code, answer) = api.get("/api/v1/alerts");
    assert!(code == 401 && answer.contains("www-authenticate: Bearer"), "{answer}");
}

#[test]
fn a_browser_logs_in_and_out() {
    let (api, [_, writer, _]) = guarded();
    let (code, answer) = api.post("/api/v1/session", r#"{"token":"vesper_guess"}"#);
    assert_eq!(code, 401, "{answer}");
    let (code, answer) = api.post("/api/v1/session", &format!(r#"{{"token":"{writer}"}}"#));
    assert_eq!(code, 200, "{answer}");
    assert!(answer.contains("HttpOnly; SameSite=Strict; Path=/"), "{answer}");
    assert!(!answer.contains(&writer), "the token is in the answer");
    let cookie = answer.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let with = format!("cookie: theme=dark; {cookie}\r\n");
    let (code, answer) = api.ask("GET", "/api/v1/session", &with, "");
    assert_eq!((code, json(&answer)["name"].as_str()), (200, Some("writer")));
    let json_type = format!("{with}content-type: application/json\r\n");
    let own = format!("{json_type}origin: http://{}\r\nsec-fetch-site: same-origin\r\n", api.address);
    assert_eq!(api.ask("POST", "/api/v1/captures/x/stop", &own, "").0, 404);
    for foreign in ["origin: https://evil.example\r\n", "sec-fetch-site: cross-site\r\n", "origin: null\r\n"]
    {
        let (code, answer) = api.ask("POST", "/api/v1/captures/x/stop", &format!("{json_type}{foreign}"), "");
        assert_eq!(code, 403, "{answer}");
        assert!(answer.contains("another origin"), "{answer}");
    }
    // What a form of a foreign page may send without asking.
    for plain in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let typed = format!("{with}content-type: {plain}\r\n");
        assert_eq!(api.ask("POST", "/api/v1/incidents", &typed, "{}").0, 415, "{plain}");
    }
    assert_eq!(api.ask("DELETE", "/api/v1/session", &with, "").0, 204);
    assert_eq!(api.ask("GET", "/api/v1/session", &with, "").0, 401);
}

/// Without tokens this machine may do everything, and pages of others in its browser nothing.
#[test]
fn a_page_of_others_changes_nothing_on_loopback() {
    let api = Api::start();
    let headers = "content-type: application/json\r\norigin: http://evil.example\r\n";
    assert_eq!(api.ask("POST", "/api/v1/incidents", headers, "{}").0, 403);
    assert_eq!(api.ask("POST", "/analyze-pcap", "sec-fetch-site: cross-site\r\n", "").0, 403);
    let rebound = "GET /api/v1/alerts HTTP/1.1\r\nhost: evil.example:8888\r\nconnection: close\r\n\r\n";
    assert_eq!(api.raw(rebound).0, 421);
    let absolute = "GET http://evil.example/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(api.raw(absolute).0, 421);
    let (code, answer) = api.get("/api/v1/session");
    assert_eq!((code, json(&answer)["scope"].as_str()), (200, Some("admin")));
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(answer.contains(header), "{header} not in {answer}");
    }
}

#[test]
fn what_cannot_be_safe_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ApiConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..ApiConfig::default() };
    config.tokens_file = "tokens".into();
    let error = open(&config, folder.path()).unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("vesper token new"), "{error}");
    config.tokens_file = PathBuf::new();
    (config.tls_cert, config.tls_key) = ("cert.pem".into(), "key.pem".into());
    let error = open(&config, folder.path()).unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("api.tls_cert"), "{error}");
    std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    let error = open(&config, folder.path()).unwrap_err().to_string();
    assert!(error.contains("api.tls_cert"), "{error}");
}

#[test]
fn tls_is_spoken_where_it_is_configured() {
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};

    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let api = Api::with(folder, |config| {
        (config.tls_cert, config.tls_key) = ("cert.pem".into(), "key.pem".into());
    });
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut stream = StreamOwned::new(session, api.connect());
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _closed = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("strict-transport-security"), "{answer}");
    // Plain HTTP on the same port gets nothing.
    let mut plain = api.connect();
    plain.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

/// A token that only reads must not tell whoever stole it how near his traffic is to the threshold.
#[test]
fn scores_are_exact_for_those_who_may_write_and_coarse_for_others() {
    let (api, [reader, writer, _]) = guarded();
    let mut alert = sample(1);
    alert.details.score = 5.4321;
    let share = serde_json::json!({"feature": "ports", "unit": "ports", "value": 86.0, "expected": 1.0, "share": 0.9,
        "accepted": 7.5});
    alert.details.explanation = vec![serde_json::from_value(share).unwrap()];
    let raised = crate::alert::Raised { alert, fingerprint: Vec::new(), evidence: Vec::new() };
    api.store.write(move |tx| crate::store::alerts::insert(tx, &raised, NOW)).unwrap();
    let host =
        crate::status::top::HostNow { address: "10.0.0.5".into(), score: Some(3.7), ..Default::default() };
    let top = crate::status::top::Top { hosts: vec![host], ..Default::default() };
    api.top.publish(top);

    let ask = |secret: &str, path: &str| {
        let (code, answer) = api.ask("GET", path, &bearer(secret), "");
        assert_eq!(code, 200, "{path}: {answer}");
        json(&answer)
    };
    let id = "THREAT_20261121_000001";
    for (secret, score, now, accepted) in [(&reader, 5.0, 3.5, None), (&writer, 5.4321, 3.7, Some(7.5))] {
        for alert in [
            ask(secret, &format!("/api/v1/alerts/{id}")),
            ask(secret, "/api/v1/alerts")["items"][0].clone(),
            ask(secret, "/threats")["threats"][0].clone(),
            ask(secret, "/api/v1/hosts/10.0.0.5")["alerts"][0].clone(),
        ] {
            assert_eq!(alert["details"]["score"].as_f64(), Some(score), "{alert}");
            assert_eq!(alert["details"]["explanation"][0]["accepted"].as_f64(), accepted, "{alert}");
            assert_eq!(alert["details"]["explanation"][0]["value"], 86.0);
        }
        assert_eq!(ask(secret, "/api/v1/hosts")["items"][0]["score"].as_f64(), Some(now));
    }
    // Bounds tell no more than what is shown.
    let found = |secret: &str, least: &str| {
        ask(secret, &format!("/api/v1/alerts?min_score={least}"))["items"].as_array().unwrap().len()
    };
    assert_eq!([found(&writer, "5.43"), found(&writer, "5.44")], [1, 0]);
    assert_eq!([found(&reader, "5.0"), found(&reader, "5.1"), found(&reader, "5.43")], [1, 0, 0]);
    assert_eq!(api.ask("HEAD", "/api/v1/alerts", &bearer(&reader), "").0, 200);

    // The live stream, from the first event on.
    let first = |secret: &str| {
        let mut stream = api.connect();
        let head =
            format!("GET /api/v1/events?since=0 HTTP/1.1\r\nhost: {}\r\n{}\r\n", api.address, bearer(secret));
        stream.write_all(head.as_bytes()).unwrap();
        let mut said = String::new();
        while !said.contains(id) {
            let mut some = [0; 4096];
            let read = stream.read(&mut some).unwrap();
            assert!(read > 0, "{said}");
            said.push_str(&String::from_utf8_lossy(&some[..read]));
        }
        said
    };
    let (coarse, exact) = (first(&reader), first(&writer));
    assert!(coarse.contains("\"score\":5.0") && !coarse.contains("5.4321"), "{coarse}");
    assert!(exact.contains("\"score\":5.4321"), "{exact}");
}
