//! The rules of Grafana's dashboard-linter, and ours.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::dashboard::{self, Dashboard, queries, text};
use crate::query::{selectors, unknown};
use crate::{exposition, read};

/// What Grafana's library can draw alone: what is shipped was looked at.
const KINDS: [&str; 5] = ["timeseries", "stat", "gauge", "bargauge", "table"];
const DATASOURCE: &str = "${datasource}";

#[test]
fn dashboards_keep_the_linters_rules() {
    let mut wrong = Vec::new();
    for dashboard in dashboard::all() {
        let mut found = whole(&dashboard);
        for panel in dashboard.panels() {
            let title = text(&panel["title"]);
            found.extend(panel_rules(panel).into_iter().map(|problem| format!("{title}: {problem}")));
        }
        found.extend(grid(&dashboard));
        wrong.extend(found.into_iter().map(|problem| format!("{}: {problem}", dashboard.file)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn queries_name_what_the_sensor_registers() {
    let known = exposition::names();
    let mut wrong = Vec::new();
    for dashboard in dashboard::all() {
        let asked: Vec<_> = dashboard.questions().iter().map(|(_, question)| series_of(question)).collect();
        let panels = dashboard.panels().flat_map(queries).map(str::to_owned);
        for query in panels.chain(asked) {
            wrong.extend(unknown(&query, &known).into_iter().map(|problem| format!("{problem}: {query}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The series in `label_values(series, label)`.
pub fn series_of(question: &str) -> String {
    let inner = question.trim_start_matches("label_values(").trim_end_matches(')');
    inner.rsplit_once(',').unwrap().0.to_owned()
}

/// Rules about a dashboard as a whole.
fn whole(dashboard: &Dashboard) -> Vec<String> {
    let json = &dashboard.json;
    let mut wrong = Vec::new();
    let mut rule = |holds: bool, problem: &str| {
        if !holds {
            wrong.push(problem.to_owned());
        }
    };
    rule(json["id"].is_null(), "id is the database's, not ours");
    rule(json.get("__inputs").is_none(), "__inputs are of exports: provisioning does not fill them in");
    rule(format!("{}.json", text(&json["uid"])) == dashboard.file, "file and uid have one name");
    rule(text(&json["uid"]).starts_with("vesper-") && text(&json["uid"]).len() <= 40, "a uid that stays");
    rule(json["tags"] == json!(["vesper"]), "the tag that links go by");
    rule(json["graphTooltip"] == 1, "a shared crosshair");
    rule(!text(&json["title"]).is_empty() && !text(&json["description"]).is_empty(), "title and description");
    rule(json["links"].as_array().is_some_and(|links| links.len() == 2), "links to dashboards and runbooks");
    let variables = json["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|variable| text(&variable["name"])).collect();
    rule(names == ["datasource", "job", "instance", "docs"], "variables, the data source first");
    rule(
        variables[0]["type"] == "datasource" && variables[0]["query"] == "prometheus",
        "datasource variable",
    );
    for variable in &variables[1..3] {
        rule(variable["datasource"]["uid"] == DATASOURCE, "variables ask the chosen data source");
        rule(variable["multi"] == true && variable["includeAll"] == true, "several may be chosen, and all");
        rule(
            variable["allValue"] == ".+" && variable["refresh"] == 2,
            "all is .+, asked on each change of time",
        );
    }
    let ids: BTreeSet<_> =
        json["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64()).collect();
    rule(ids.len() == json["panels"].as_array().unwrap().len() && !ids.contains(&None), "ids are unique");
    wrong
}

/// Rules about one panel.
fn panel_rules(panel: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rule = |holds: bool, problem: String| {
        if !holds {
            wrong.push(problem);
        }
    };
    rule(KINDS.contains(&text(&panel["type"])), format!("type {}", panel["type"]));
    rule(!text(&panel["title"]).is_empty(), "no title".to_owned());
    rule(text(&panel["description"]).ends_with('.'), "a description is a sentence".to_owned());
    rule(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "no unit".to_owned());
    rule(panel["datasource"]["uid"] == DATASOURCE, "another data source".to_owned());
    let runbooks = read("docs/runbooks.md");
    for alert in text(&panel["description"]).split([' ', '.', ',']).filter(|word| word.starts_with("Vesper"))
    {
        rule(runbooks.contains(&format!("## {alert}\n")), format!("no runbook {alert}"));
    }
    let mut letters = BTreeSet::new();
    for target in panel["targets"].as_array().unwrap() {
        rule(letters.insert(text(&target["refId"])), "two targets with one letter".to_owned());
        rule(target["datasource"]["uid"] == DATASOURCE, "another data source".to_owned());
        for selector in selectors(text(&target["expr"])) {
            let name = &selector.name;
            for matcher in ["job=~\"$job\"", "instance=~\"$instance\""] {
                rule(selector.matchers.contains(matcher), format!("{name} without {matcher}"));
            }
            let range = selector.range.as_deref();
            // Counts over a time that is said, such as 6 hours, and over what is shown.
            let fixed = matches!(range, Some("$__range" | "1h" | "6h"));
            rule(
                range.is_none_or(|range| range == "$__rate_interval" || fixed),
                format!("{name} over {range:?}: $__rate_interval holds enough points"),
            );
            let counter = name.ends_with("_total") || name.ends_with("_bucket");
            let rated = matches!(selector.function.as_str(), "rate" | "increase");
            let absolute = panel["type"] == "stat" && selector.function == "sum";
            rule(!counter || rated || absolute, format!("{name} is a counter: rate or increase"));
        }
    }
    rule(!letters.is_empty(), "no query".to_owned());
    wrong
}

/// Panels do not overlap, keep to the grid's 24 columns, and leave no hole in a line but behind the last.
fn grid(dashboard: &Dashboard) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard.json["panels"].as_array().unwrap() {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        if at("x") + at("w") > 24 {
            wrong.push(format!("{} is wider than the grid", panel["title"]));
        }
        for cell in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            if !taken.insert(cell) {
                wrong.push(format!("{} lies on another panel", panel["title"]));
                break;
            }
        }
    }
    let bottom = taken.iter().map(|(_, y)| y + 1).max().unwrap_or(0);
    if taken.len() as u64 != bottom * 24 {
        wrong.push(format!("{} cells of the grid are empty", bottom * 24 - taken.len() as u64));
    }
    wrong
}

#[test]
fn each_rule_finds_its_case() {
    let all = dashboard::all();
    let overview = all.iter().find(|one| one.file == "vesper-overview.json").unwrap();
    let good = overview.panels().next().unwrap();
    let broken = |change: fn(&mut Value)| {
        let mut panel = good.clone();
        change(&mut panel);
        panel_rules(&panel).len()
    };
    assert_eq!(panel_rules(good), Vec::<String>::new());
    assert_eq!(broken(|panel| panel["description"] = json!("")), 1);
    assert_eq!(broken(|panel| panel["type"] = json!("heatmap")), 1);
    assert_eq!(broken(|panel| panel["fieldConfig"]["defaults"]["unit"] = json!("")), 1);
    assert_eq!(broken(|panel| panel["targets"][0]["datasource"]["uid"] = json!("prometheus")), 1);
    assert_eq!(broken(|panel| panel["targets"][0]["expr"] = json!("up")), 2);
    assert_eq!(broken(|panel| panel["description"] = json!("See VesperDance.")), 1);
    let fast = "rate(a_total{job=~\"$job\", instance=~\"$instance\"}[1m])";
    let mut panel = good.clone();
    panel["targets"][0]["expr"] = json!(fast);
    assert_eq!(panel_rules(&panel).len(), 1);
}
