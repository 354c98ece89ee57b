//! Lists over time: hostile ones keep the last good one; servers on real sockets.

use super::feed::Feed;
use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NOW: u64 = 1_800_000_000;

fn address(text: &str) -> [u8; 16] {
    match text.parse().unwrap() {
        std::net::IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(six) => six.octets(),
    }
}

/// Lists as they are read from files.
pub(crate) fn set(config: &IntelConfig, lists: &[(FeedConfig, &str)]) -> Set {
    let read =
        |(config, text): &(FeedConfig, &str)| formats::read(config, text.as_bytes(), NOW).unwrap().items;
    Set::build(config, lists.iter().map(|list| FeedItems { config: &list.0, items: read(list) }).collect())
}

pub(crate) fn feed(name: &str) -> FeedConfig {
    FeedConfig { name: name.to_owned(), ..FeedConfig::default() }
}

#[test]
fn what_is_allowed_wins_at_any_length() {
    let config = IntelConfig {
        allow: vec!["198.51.100.9".to_owned(), "good.evil.example".to_owned()],
        ..IntelConfig::default()
    };
    let lists = [
        (
            feed("a"),
            "198.51.100.0/24 # net\n198.51.100.128\n203.0.113.7\n10.1.2.3\nevil.example\n192.0.2.0/24\n2001:db8::/32\n",
        ),
        (FeedConfig { allow: true, ..feed("ours") }, "203.0.113.0/24\n192.0.2.5\nother.example\n"),
        (FeedConfig { confidence: 90, ..feed("b") }, "198.51.100.128 # surer\na.other.example\n"),
    ];
    let set = set(&config, &lists);
    for (text, expected) in [
        ("198.51.100.1", Some(("a", "198.51.100.0/24"))),
        ("198.51.100.9", None),
        ("198.51.100.128", Some(("b", "198.51.100.128"))),
        ("203.0.113.7", None),
        ("192.0.2.5", None),
        ("192.0.2.6", Some(("a", "192.0.2.0/24"))),
        ("10.1.2.3", None),
        ("2001:db8::7", Some(("a", "2001:db8::/32"))),
        ("2001:db9::7", None),
    ] {
        let hit = set.address(&address(text));
        let said = hit.as_ref().map(|hit| (hit.feed.name.as_str(), hit.indicator.as_str()));
        assert_eq!(said, expected, "{text}");
        assert_eq!(set.list(&address(text)) != 0, expected.is_some(), "{text}");
    }
    for (name, expected) in [
        ("evil.example", Some("evil.example")),
        ("WWW.Evil.Example.", Some("evil.example")),
        ("good.evil.example", None),
        ("x.good.evil.example", None),
        ("notevil.example", None),
        ("a.other.example", None),
        ("example", None),
        ("", None),
    ] {
        assert_eq!(set.domain(name.as_bytes()).map(|hit| hit.indicator).as_deref(), expected, "{name}");
    }
    let long = format!("{}evil.example", "a.".repeat(100));
    assert!(set.domain(long.as_bytes()).is_some(), "{long}");
    assert_eq!((set.refused[0].own, set.refused[0].allowed, set.refused[2].allowed), (1, 1, 0));
    assert_eq!(set.entries[0], [3, 1, 0]);
}

#[test]
fn bounds_of_the_set_hold_and_are_counted() {
    let config = IntelConfig { max_prefixes: 2, max_names: 1, ..IntelConfig::default() };
    let set = set(&config, &[(feed("a"), "192.0.2.1\n192.0.2.3\n192.0.2.5\na.example\nb.example\n")]);
    assert_eq!((set.entries[0], set.refused[0].beyond), ([2, 1, 0], 2));
}

/// A list's file and what it says over time.
struct Bench {
    folder: tempfile::TempDir,
    feed: Feed,
}

impl Bench {
    fn new(kind: FeedKind) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let config = FeedConfig { kind, path: Some(folder.path().join("source")), ..feed("list") };
        let intel = IntelConfig { max_bytes: 100_000, ..IntelConfig::default() };
        Bench { feed: Feed::new(&config, &intel, &folder.path().join("state")), folder }
    }

    /// What becomes of a new source; the last good list after it.
    fn says(&mut self, bytes: &[u8], now: u64) -> (Result<bool, String>, usize) {
        let path = self.folder.path().join("source");
        // Beside it and then in its place, so that it is another file for sure.
        std::fs::write(path.with_extension("new"), bytes).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
        let looked = self.feed.poll(now).map_err(|error| error.to_string());
        (looked, self.feed.last_good(now).1.len())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_hostile_list_keeps_the_last_good_one() {
    let lines = |count: u32| -> Vec<u8> {
        (0..count).flat_map(|n| format!("198.51.{}.{}\n", n / 256, n % 256).into_bytes()).collect()
    };
    let bomb = gzip(&vec![b'#'; 50_000_000]);
    assert!(bomb.len() < 100_000, "the bomb is small until it is unpacked");
    let mut bench = Bench::new(FeedKind::Plain);
    assert_eq!(bench.says(&lines(300), NOW), (Ok(true), 300));
    for (bytes, expected) in [
        (bomb, "longer than 100000 bytes unpacked"),
        (vec![b'\n'; 200_000], "longer than 100000 bytes"),
        (gzip(&lines(300))[..50].to_vec(), "cannot be unpacked"),
        (Vec::new(), "empty"),
        (b"<html>log in</html>".to_vec(), "neither a network"),
        (b"\x7fELF\0\0\0\xff\xfe".to_vec(), "neither a network"),
        (b"0.0.0.0/0\n".to_vec(), "would match everybody"),
        (b"0.0.0.0/7\n".to_vec(), "a /8 of IPv4"),
        (b"2000::/3\n".to_vec(), "a /16 of IPv6"),
        (lines(20), "20 entries and had 300"),
        (lines(4000), "4000 entries and had 300"),
    ] {
        let (looked, kept) = bench.says(&bytes, NOW);
        let error = looked.unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert_eq!(kept, 300, "{error}");
    }
    // An odd size that stands for a day is taken; so is what is there afterwards.
    assert!(bench.says(&lines(20), NOW + 10).0.is_err());
    assert_eq!(bench.says(&lines(20), NOW + 86_500), (Ok(true), 20));
    assert_eq!(bench.says(&gzip(&lines(25)), NOW + 86_600), (Ok(true), 25));
    assert!(!bench.feed.poll(NOW + 86_700).unwrap(), "nothing new");
    std::fs::remove_file(bench.folder.path().join("source")).unwrap();
    assert!(bench.feed.poll(NOW + 86_800).is_err());
    assert_eq!(bench.feed.last_good(NOW).1.len(), 25, "what is kept outlives its source");
    // A file that was cut off in the middle gives what is whole in it.
    let state = bench.folder.path().join("state/list.list");
    let whole = std::fs::read(&state).unwrap();
    std::fs::write(&state, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(bench.feed.last_good(NOW).1.len(), 24);
}

#[test]
fn what_expires_leaves_while_nothing_new_comes() {
    let text = r#"{"type": "bundle", "objects": [{"type": "indicator", "id": "indicator--1",
        "pattern": "[ipv4-addr:value = '192.0.2.1']", "valid_until": "2027-01-16T00:00:00Z"}]}"#;
    let mut bench = Bench::new(FeedKind::Stix);
    assert_eq!(bench.says(text.as_bytes(), NOW), (Ok(true), 1));
    let (head, items) = bench.feed.last_good(NOW + 86_400);
    assert_eq!((items.len(), head.refused.expired), (0, 1));
    assert_eq!(bench.says(b"{\"type\": \"bundle\", \"objects\": [", NOW).1, 1, "bad JSON");
}

type Answers = Box<dyn Fn(&str, &str) -> Option<Vec<u8>> + Send>;

/// Answers each request by its path and head; `None` says nothing until the client gives up.
fn serve(answers: Answers) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let head = head(&stream);
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            log.lock().unwrap().push(path.clone());
            match answers(&path, &head) {
                Some(answer) => drop(stream.write_all(&answer)),
                None => drop(std::io::Read::read(&mut stream, &mut [0])),
            }
        }
    });
    (url, asked)
}

fn head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect::<String>().to_owned()
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn indicator(number: u32, rest: &str) -> String {
    format!(
        r#"{{"type": "indicator", "id": "indicator--{number}", "name": "n{number}",
        "pattern": "[ipv4-addr:value = '192.0.2.{number}']"{rest}}}"#
    )
}

fn remote(config: FeedConfig, folder: &Path) -> Feed {
    let intel = IntelConfig { max_bytes: 100_000, ..IntelConfig::default() };
    Feed::new(&config, &intel, folder)
}

fn listed(feed: &Feed) -> Vec<String> {
    let mut all: Vec<String> = feed.last_good(NOW).1.iter().map(|item| item.value.text()).collect();
    all.sort();
    all
}

#[test]
fn a_taxii_collection_is_read_in_pages_and_then_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "secret\n").unwrap();
    let answers: Answers = Box::new(|path, head| {
        let ok = |added: &str, body: String| {
            let headers = format!(
                "content-type: application/taxii+json;version=2.1\r\nx-taxii-date-added-last: {added}\r\n"
            );
            Some(answer("200 OK", &headers, body.as_bytes()))
        };
        if !head.to_ascii_lowercase().contains("authorization: bearer secret") {
            return Some(answer("401 Unauthorized", "", b""));
        }
        if !head.contains("application/taxii+json;version=2.1") {
            return Some(answer("406 Not Acceptable", "", b""));
        }
        if !path.starts_with("/api/collections/c1/objects/?limit=")
            || !path.contains("match%5Btype%5D=indicator")
        {
            return Some(answer("404 Not Found", "", b""));
        }
        if path.contains("added_after=2026-02-02T00%3A00%3A00Z") {
            let objects = [indicator(2, r#", "revoked": true"#), indicator(4, "")].join(",");
            return ok("2026-03-03T00:00:00Z", format!(r#"{{"objects": [{objects}]}}"#));
        }
        if path.contains("added_after=2026-03-03") {
            return ok("2026-03-03T00:00:00Z", "{}".to_owned());
        }
        if path.contains("next=page%2F2") {
            return ok(
                "2026-02-02T00:00:00Z",
                format!(r#"{{"more": false, "objects": [{}]}}"#, indicator(3, "")),
            );
        }
        let objects = [indicator(1, ""), indicator(2, "")].join(",");
        ok("2026-01-01T00:00:00Z", format!(r#"{{"more": true, "next": "page/2", "objects": [{objects}]}}"#))
    });
    let (url, asked) = serve(answers);
    let config = FeedConfig {
        kind: FeedKind::Taxii,
        url: Some(format!("{url}/api/collections/c1/")),
        token_file: Some(folder.path().join("token")),
        ..feed("taxii")
    };
    let mut feed = remote(config.clone(), folder.path());
    assert!(feed.poll(NOW).unwrap());
    assert_eq!(listed(&feed), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert!(feed.poll(NOW).unwrap(), "a revocation and a new one");
    assert_eq!(listed(&feed), ["192.0.2.1", "192.0.2.3", "192.0.2.4"]);
    // As after a restart.
    let mut feed = remote(config.clone(), folder.path());
    assert!(!feed.poll(NOW).unwrap(), "nothing new");
    assert_eq!(asked.lock().unwrap().len(), 4);
    std::fs::write(folder.path().join("token"), "wrong").unwrap();
    let error = feed.poll(NOW).unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("token_file"), "{error}");
    assert_eq!(listed(&feed).len(), 3);
}

#[test]
fn hostile_servers() {
    let endless = |path: &str| -> Option<Vec<u8>> {
        let json = "content-type: application/json\r\n";
        match path.split('?').next().unwrap_or_default() {
            "/more/objects/" => {
                Some(answer("200 OK", json, br#"{"more": true, "next": "again", "objects": []}"#))
            }
            "/nowhere/objects/" => Some(answer("200 OK", json, br#"{"more": true}"#)),
            "/huge/objects/" => Some(answer("200 OK", json, &vec![b' '; 200_000])),
            "/broken/objects/" => Some(answer("200 OK", json, br#"{"objects": ["#)),
            "/moved/objects/" => Some(answer("302 Found", "location: http://127.0.0.1:1/\r\n", b"")),
            "/cut/objects/" => Some(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()),
            _ => None,
        }
    };
    let (url, asked) = serve(Box::new(move |path, _| endless(path)));
    let folder = tempfile::tempdir().unwrap();
    for (path, expected) in [
        ("more", "longer than 1000 pages"),
        ("nowhere", "not where"),
        ("huge", "longer than 100000 bytes"),
        ("broken", "not a TAXII 2.1 envelope"),
        ("moved", "redirects are not followed"),
        ("cut", ""),
        ("silent", "timeout"),
    ] {
        let config = FeedConfig {
            kind: FeedKind::Taxii,
            url: Some(format!("{url}/{path}")),
            timeout: Duration::from_millis(500),
            ..feed(path)
        };
        let error = remote(config, folder.path()).poll(NOW).unwrap_err().to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
    assert!(asked.lock().unwrap().len() <= 1010, "pages are bounded");
}

#[test]
fn an_unchanged_list_is_not_sent_again() {
    let answers: Answers = Box::new(|_, head| {
        let known = head.to_ascii_lowercase().contains("if-none-match: \"v1\"");
        Some(if known {
            answer("304 Not Modified", "", b"")
        } else {
            answer("200 OK", "etag: \"v1\"\r\n", &gzip(b"192.0.2.1\n"))
        })
    });
    let (url, asked) = serve(answers);
    let folder = tempfile::tempdir().unwrap();
    let mut feed = remote(FeedConfig { url: Some(url), ..feed("plain") }, folder.path());
    assert_eq!((feed.poll(NOW).unwrap(), feed.poll(NOW).unwrap()), (true, false));
    assert_eq!((listed(&feed).len(), asked.lock().unwrap().len()), (1, 2));
}

#[test]
fn a_misp_feed_is_read_event_by_event() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("misp");
    std::fs::create_dir(&source).unwrap();
    let ids = ["a0a0a0a0-0000-4000-8000-000000000000", "b0b0b0b0-0000-4000-8000-000000000000"];
    let event = |id: &str, value: &str| {
        let text = format!(
            r#"{{"Event": {{"info": "i", "uuid": "{id}", "Attribute": [{{"type": "ip-dst", "value": "{value}", "to_ids": true}}]}}}}"#
        );
        std::fs::write(source.join(format!("{id}.json")), text).unwrap();
    };
    let manifest = |text: String| std::fs::write(source.join("manifest.json"), text).unwrap();
    event(ids[0], "192.0.2.1");
    event(ids[1], "192.0.2.2");
    manifest(format!(r#"{{"{}": {{"timestamp": "1"}}, "{}": {{"timestamp": "1"}}}}"#, ids[0], ids[1]));
    let config = FeedConfig { kind: FeedKind::Misp, path: Some(source.clone()), ..feed("misp") };
    let mut feed = remote(config, folder.path());
    assert!(feed.poll(NOW).unwrap());
    assert_eq!(listed(&feed), ["192.0.2.1", "192.0.2.2"]);
    event(ids[1], "192.0.2.3");
    manifest(format!(r#"{{"{}": {{"timestamp": "2"}}}}"#, ids[1]));
    assert!(feed.poll(NOW).unwrap());
    assert_eq!(listed(&feed), ["192.0.2.3"]);
    assert!(!feed.poll(NOW).unwrap());
}
