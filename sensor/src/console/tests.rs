//! The files as they are served, and what holds between them and the rest of the sensor.

use axum::body::to_bytes;
use axum::http::{HeaderMap, StatusCode, header};

use super::{Files, file, kind};

fn text(path: &str) -> String {
    String::from_utf8(Files::get(path).unwrap_or_else(|| panic!("no {path}")).data.into_owned()).unwrap()
}

fn files(ending: &str) -> Vec<String> {
    Files::iter().map(|path| path.to_string()).filter(|path| path.ends_with(ending)).collect()
}

#[tokio::test]
async fn a_file_comes_whole_with_its_policy_and_once_known_only_by_name() {
    let response = file("index.html", &HeaderMap::new());
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(rule), "{rule} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert!(body.starts_with(b"<!doctype html>"));

    let tag = headers[header::ETAG].clone();
    for (sent, status) in [
        (tag.to_str().unwrap().to_owned(), StatusCode::NOT_MODIFIED),
        (format!("\"other\", W/{}", tag.to_str().unwrap()), StatusCode::NOT_MODIFIED),
        ("\"other\"".to_owned(), StatusCode::OK),
    ] {
        let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, sent.parse().unwrap())]);
        let response = file("index.html", &known);
        assert_eq!(response.status(), status, "{sent}");
        assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    }
}

#[test]
fn only_files_of_the_console_are_served() {
    for path in [
        "../Cargo.toml",
        "pages/../../Cargo.toml",
        "/etc/passwd",
        "",
        "pages",
        "index.html%00.js",
        "nothing.js",
    ] {
        assert_eq!(file(path, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{path}");
    }
    for path in Files::iter() {
        assert!(kind(&path).is_some(), "{path} would not be served");
    }
}

#[test]
fn every_file_that_is_named_is_there() {
    let page = text("index.html");
    for named in page.split('"').filter(|part| part.starts_with("console/")) {
        let path = named.strip_prefix("console/").unwrap();
        assert!(Files::get(path).is_some(), "index.html names {path}");
    }
    for module in files(".js") {
        let folder = module.rsplit_once('/').map_or("", |(folder, _)| folder);
        let source = text(&module);
        for import in source.lines().filter_map(|line| line.strip_prefix("import ")?.split('\'').nth(1)) {
            let path = match (import.strip_prefix("../"), import.strip_prefix("./")) {
                (Some(up), _) => up.to_owned(),
                (_, Some(here)) if folder.is_empty() => here.to_owned(),
                (_, Some(here)) => format!("{folder}/{here}"),
                _ => panic!("{module} imports {import}, which is not a file of the console"),
            };
            assert!(Files::get(&path).is_some(), "{module} imports {path}");
        }
    }
}

/// What would break under the policy anyway is not even written.
#[test]
fn nothing_comes_from_elsewhere() {
    for path in Files::iter() {
        let source = text(&path);
        let own = source.replace("http://www.w3.org/2000/svg", "");
        for word in ["http://", "https://", "@import", "style=\"", "onclick=\""] {
            assert!(!own.contains(word), "{path} contains {word}");
        }
    }
}
