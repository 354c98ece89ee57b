//! Prometheus' rules: its own tools, the names in them, and that each alert has its runbook and its tests.

use std::collections::BTreeSet;
use std::process::Command;

use crate::query::unknown;
use crate::{exposition, read, repository};

const ALERTING: &str = "dashboards/prometheus/alerting.rules.yml";
const RECORDING: &str = "dashboards/prometheus/recording.rules.yml";

/// A rule of a file, as far as its lines tell.
#[derive(Default)]
struct Rule {
    name: String,
    expr: String,
    /// The lines behind the query.
    rest: String,
}

/// Rules begin with `- alert:` or `- record:`; the query is a line, or a block that is indented deeper.
fn rules(path: &str, kind: &str) -> Vec<Rule> {
    let text = read(path);
    let mut rules: Vec<Rule> = Vec::new();
    let mut in_query = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(&format!("      - {kind}: ")) {
            rules.push(Rule { name: name.to_owned(), ..Rule::default() });
            continue;
        }
        let Some(rule) = rules.last_mut() else { continue };
        if let Some(query) = line.strip_prefix("        expr: ") {
            in_query = query == "|";
            if !in_query {
                query.clone_into(&mut rule.expr);
            }
        } else if in_query && line.starts_with("          ") {
            rule.expr.push_str(line);
        } else {
            in_query = false;
            rule.rest.push_str(line);
            rule.rest.push('\n');
        }
    }
    rules
}

fn tool(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(repository("dashboards/prometheus"))
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run ({error}): cargo xtask setup"));
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}:\n{said}");
}

#[test]
fn prometheus_tools_find_nothing() {
    tool(
        "promtool",
        &["check", "rules", "--lint=all", "--lint-fatal", "recording.rules.yml", "alerting.rules.yml"],
    );
    tool("promtool", &["check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"]);
    tool("amtool", &["check-config", "alertmanager.yml"]);
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let names = tests();
    let files: Vec<String> = names.iter().map(|name| format!("tests/{name}")).collect();
    let files: Vec<&str> = ["test", "rules"].into_iter().chain(files.iter().map(String::as_str)).collect();
    tool("promtool", &files);

    let (mut fires, mut stays_quiet) = (BTreeSet::new(), BTreeSet::new());
    for name in &names {
        let text = read(&format!("dashboards/prometheus/tests/{name}"));
        for case in text.split("alertname: ").skip(1) {
            let alert = case.lines().next().unwrap().to_owned();
            let quiet = case.contains("exp_alerts: []");
            if quiet {
                stays_quiet.insert(alert)
            } else {
                fires.insert(alert)
            };
        }
    }
    let alerts: BTreeSet<_> = rules(ALERTING, "alert").into_iter().map(|rule| rule.name).collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    assert_eq!(fires, alerts, "alerts that fire in a test");
    assert_eq!(stays_quiet, alerts, "alerts that stay quiet in a test");
}

fn tests() -> Vec<String> {
    let folder = std::fs::read_dir(repository("dashboards/prometheus/tests")).unwrap();
    folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn rules_name_what_the_sensor_registers() {
    let mut known = exposition::names();
    let recording = rules(RECORDING, "record");
    let mut wrong = Vec::new();
    for rule in recording.iter().chain(&rules(ALERTING, "alert")) {
        wrong.extend(
            unknown(&rule.expr, &known).into_iter().map(|problem| format!("{}: {problem}", rule.name)),
        );
        if rule.name.contains(':') {
            known.insert(rule.name.clone(), ["job", "instance"].map(String::from).into());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let runbooks = read("docs/runbooks.md");
    let sections: BTreeSet<&str> =
        runbooks.lines().filter_map(|line| line.strip_prefix("## Vesper")).collect();
    let mut alerts = BTreeSet::new();
    for rule in rules(ALERTING, "alert") {
        let name = rule.name.as_str();
        let severity = ["critical", "warning", "info"]
            .iter()
            .any(|level| rule.rest.contains(&format!("severity: {level}\n")));
        assert!(severity, "{name}: severity");
        let link = format!("runbook_url: docs/runbooks.md#{}\n", name.to_lowercase());
        for part in ["summary: ", "description: ", &link] {
            assert!(rule.rest.contains(part), "{name}: {part}");
        }
        alerts.insert(name.strip_prefix("Vesper").unwrap().to_owned());
    }
    let alerts: BTreeSet<&str> = alerts.iter().map(String::as_str).collect();
    assert_eq!(sections, alerts, "a section in docs/runbooks.md for each alert, and no other");
}
