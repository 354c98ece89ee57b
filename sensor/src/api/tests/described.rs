//! The description is complete, committed, and true of every route.

use super::super::{openapi, routes};
use super::*;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

/// `UPDATE=1 cargo nextest run -p sensor api::tests::described` writes it anew.
#[test]
fn the_committed_description_is_what_the_code_says() {
    let (_, document) = routes::described();
    let text = openapi::text(&document);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(COMMITTED, &text).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(committed == text, "docs/openapi.json is not what the code says: run this test with UPDATE=1");
    assert!(text.contains(r#""openapi": "3.1.0""#));
    assert_eq!(super::json(&format!("\r\n\r\n{text}"))["info"]["version"], crate::status::VERSION);
}

#[test]
fn every_operation_says_what_it_needs() {
    let (_, document) = routes::described();
    let needs = openapi::needs(&document);
    let value = serde_json::to_value(&document).unwrap();
    for (path, item) in value["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: axum::http::Method = method.to_uppercase().parse().unwrap();
            assert!(needs.contains_key(&(method.clone(), path.clone())), "{method} {path} declares no scope");
            for part in ["summary", "tags", "operationId"] {
                assert!(
                    operation[part].is_string() || operation[part].is_array(),
                    "{method} {path} has no {part}"
                );
            }
        }
    }
}

#[test]
fn the_reference_page_is_ours_alone() {
    let api = Api::start();
    for (path, content) in
        [("/docs", "<title>"), ("/docs/reference.js", "/openapi.json"), ("/docs/reference.css", "body")]
    {
        let (code, answer) = api.get(path);
        assert_eq!(code, 200);
        assert!(answer.contains(content) && answer.contains("default-src 'none'"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        for foreign in ["http://", "https://", "innerHTML", "style=", "onclick="] {
            assert!(!body.contains(foreign), "{path} holds {foreign}");
        }
    }
    assert_eq!(json(&api.get("/openapi.json").1)["openapi"], "3.1.0");
}
