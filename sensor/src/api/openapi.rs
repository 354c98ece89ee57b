//! The OpenAPI description: made from the routes, completed with what every route has in common.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::access::Need;

/// The document without its paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vesper",
        description = "A network sensor: what it sees now, what it found, what was done about it. Errors are \
            application/problem+json with a remedy. Times are RFC 3339 in UTC. Lists give `next` where there is more: \
            hand it back as `cursor`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "now", description = "What the sensor does and sees now"),
        (name = "alerts", description = "What it found"),
        (name = "incidents", description = "What happened before and what was done"),
        (name = "captures", description = "Sessions on the interface, and captures to be analysed"),
        (name = "model", description = "What was learned"),
        (name = "decisions", description = "Answers to anomalies that others saw"),
        (name = "live", description = "What happens, as it happens"),
        (name = "access", description = "Who asks, and who changed what"),
        (name = "sensor", description = "Settings and sinks"),
        (name = "legacy", description = "Paths that backends of the older systems call"),
    ),
    components(schemas(super::problem::Body))
)]
struct Document;

/// What every path adds to.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.info.version = crate::status::VERSION.to_owned();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "`vesper token new NAME --scope read|write|admin`. Browsers may exchange it for a cookie by POST \
         /api/v1/session. Where no tokens are configured (on a loopback address only) none is needed.",
    ));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    document
}

/// Every operation.
fn operations(
    document: &mut utoipa::openapi::OpenApi,
) -> impl Iterator<Item = (Method, String, &mut Operation)> {
    document.paths.paths.iter_mut().flat_map(|(path, item)| {
        let methods = [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::DELETE, &mut item.delete),
            (Method::PATCH, &mut item.patch),
        ];
        methods.into_iter().filter_map(|(method, operation)| {
            operation.as_mut().map(|operation| (method, path.clone(), operation))
        })
    })
}

/// What each route needs, as its description says; a route that says nothing is missing here, and needs everything.
pub(super) fn needs(document: &utoipa::openapi::OpenApi) -> HashMap<(Method, String), Need> {
    let mut document = document.clone();
    operations(&mut document)
        .filter_map(|(method, path, operation)| {
            let requirements = serde_json::to_value(operation.security.as_ref()?).ok()?;
            Some(((method, path), need(&requirements)?))
        })
        .collect()
}

fn need(requirements: &Value) -> Option<Need> {
    let list = requirements.as_array()?;
    if list == &[json!({})] {
        return Some(Need::Nobody);
    }
    let [requirement] = list.as_slice() else { return None };
    let [scope] = requirement.get("token")?.as_array()?.as_slice() else { return None };
    scope.as_str()?.parse().ok().map(Need::Token)
}

/// Adds the answers that any route may give.
pub(super) fn complete(document: &mut utoipa::openapi::OpenApi) {
    let needs = needs(document);
    for (method, path, operation) in operations(document) {
        let mut add = |code: &str, description: &str| {
            let there = operation.responses.responses.contains_key(code);
            if !there {
                operation.responses.responses.insert(code.to_owned(), RefOr::T(problem(description)));
            }
        };
        add("400", "the request cannot be understood");
        add("421", "the request names another host");
        add("503", "it cannot be done now");
        if needs.get(&(method.clone(), path.clone())) != Some(&Need::Nobody) {
            add("401", "this needs a token");
            add("403", "this needs another scope, or comes from a page of another origin");
        } else if method != Method::GET {
            add("403", "this comes from a page of another origin");
        }
        if path.contains('{') {
            add("404", "there is no such thing");
        }
        if operation.request_body.is_some() {
            add("413", "the body is too large");
            add("415", "the body is of another type");
            add("422", "the values make no sense");
            add("429", "others came first");
        }
    }
}

fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", ContentBuilder::new().schema(Some(schema)).build())
        .build()
}

/// The document as it is served and committed.
pub(super) fn text(document: &utoipa::openapi::OpenApi) -> String {
    // Maps with text as keys alone: it cannot fail.
    document.to_pretty_json().unwrap_or_default() + "\n"
}
