//! The dashboards' files.

use serde_json::Value;

use crate::repository;

/// One dashboard as committed.
pub struct Dashboard {
    pub file: String,
    pub json: Value,
}

impl Dashboard {
    /// Panels without rows.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
    }

    /// Variables that are asked of Prometheus: name and question.
    pub fn questions(&self) -> Vec<(&str, &str)> {
        let variables = self.json["templating"]["list"].as_array().unwrap();
        let asked = variables.iter().filter(|variable| variable["type"] == "query");
        asked.map(|variable| (text(&variable["name"]), text(&variable["query"]["query"]))).collect()
    }
}

/// All of them.
pub fn all() -> Vec<Dashboard> {
    let mut files: Vec<_> = std::fs::read_dir(repository("dashboards/grafana"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    let read = |path: &std::path::PathBuf| Dashboard {
        file: path.file_name().unwrap().to_string_lossy().into_owned(),
        json: serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap(),
    };
    let all: Vec<_> = files.iter().map(read).collect();
    assert_eq!(all.len(), 5);
    all
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Queries of a panel.
pub fn queries(panel: &Value) -> impl Iterator<Item = &str> {
    panel["targets"].as_array().into_iter().flatten().map(|target| text(&target["expr"]))
}
