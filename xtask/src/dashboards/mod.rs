//! `cargo xtask dashboards`: writes dashboards/grafana from short descriptions.
//!
//! Grafana's JSON needs forty lines a panel, most of them the same; here a panel is its question, its query and its
//! unit, and what all have in common is said once. The files are committed: nobody needs this program to use them.

mod api;
mod data_path;
mod detections;
mod fleet;
mod lists;
mod model;
mod overview;
mod panel;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{misused, program};
use panel::{Panel, WIDTH};

/// One dashboard.
pub struct Dashboard {
    /// Never changed: links rest on it.
    uid: &'static str,
    title: &'static str,
    description: &'static str,
    rows: Vec<Row>,
}

/// Panels under one question.
pub struct Row(&'static str, Vec<Panel>);

/// `cargo xtask dashboards [--check]`.
pub fn command(args: &[&str]) -> Result<()> {
    match args {
        [] => write(),
        ["--check"] => check(),
        _ => Err(misused("dashboards", args)),
    }
}

fn all() -> [Dashboard; 5] {
    [
        overview::dashboard(),
        data_path::dashboard(),
        detections::dashboard(),
        model::dashboard(),
        fleet::dashboard(),
    ]
}

fn write() -> Result<()> {
    for dashboard in all() {
        let path = dashboard.path();
        fs::create_dir_all(path.parent().unwrap_or(&path))
            .and_then(|()| fs::write(&path, dashboard.text()))
            .with_context(|| format!("write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// An error unless the committed files are what the descriptions say.
pub fn check() -> Result<()> {
    for dashboard in all() {
        let path = dashboard.path();
        if fs::read_to_string(&path).unwrap_or_default() != dashboard.text() {
            bail!("{} is not what xtask/src/dashboards says: run `cargo xtask dashboards`", path.display());
        }
    }
    Ok(())
}

impl Dashboard {
    fn path(&self) -> PathBuf {
        program::root().join(format!("dashboards/grafana/{}.json", self.uid))
    }

    fn text(&self) -> String {
        format!("{:#}\n", self.json())
    }

    fn json(&self) -> Value {
        json!({
            "id": null,
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["vesper"],
            "timezone": "browser",
            "editable": true,
            // A shared crosshair.
            "graphTooltip": 1,
            "time": { "from": "now-1h", "to": "now" },
            "refresh": "30s",
            "schemaVersion": 41,
            "links": links(),
            "templating": { "list": variables() },
            "annotations": { "list": [] },
            "panels": self.panels(),
        })
    }

    /// Panels flow from left to right, and to the next line where the grid ends.
    fn panels(&self) -> Vec<Value> {
        let mut panels = Vec::new();
        let mut y = 0;
        for Row(title, members) in &self.rows {
            panels.push(json!({
                "id": panels.len() + 1,
                "type": "row",
                "title": title,
                "collapsed": false,
                "gridPos": { "x": 0, "y": y, "w": WIDTH, "h": 1 },
                "panels": [],
            }));
            y += 1;
            let (mut x, mut tallest) = (0, 0);
            for panel in members {
                let (width, height) = panel.extent();
                if x + width > WIDTH {
                    (x, y, tallest) = (0, y + tallest, 0);
                }
                panels.push(panel.json(panels.len() as u64 + 1, x, y));
                x += width;
                tallest = tallest.max(height);
            }
            y += tallest;
        }
        panels
    }
}

/// Which Prometheus, which job, which sensors; and where the docs are, for the links to runbooks.
fn variables() -> Value {
    let labels = |name: &str, label: &str, query: &str| {
        json!({
            "name": name,
            "label": label,
            "type": "query",
            "datasource": panel::datasource(),
            "query": { "query": query, "refId": format!("variable-{name}") },
            // On each change of the time range: sensors come and go.
            "refresh": 2,
            "sort": 1,
            "multi": true,
            "includeAll": true,
            "allValue": ".+",
            "current": { "selected": true, "text": "All", "value": "$__all" },
        })
    };
    json!([
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "refresh": 1,
        },
        labels("job", "Job", "label_values(vesper_build_info, job)"),
        labels("instance", "Sensor", "label_values(vesper_build_info{job=~\"$job\"}, instance)"),
        {
            "name": "docs",
            "label": "Address of the docs",
            "type": "textbox",
            "query": "/public/vesper",
            "current": { "selected": true, "text": "/public/vesper", "value": "/public/vesper" },
        },
    ])
}

fn links() -> Value {
    json!([
        {
            "type": "dashboards", "title": "Vesper", "tags": ["vesper"], "icon": "external link",
            "asDropdown": false, "includeVars": true, "keepTime": true, "targetBlank": false,
            "tooltip": "", "url": "",
        },
        {
            "type": "link", "title": "Runbooks", "url": "${docs}/runbooks.md", "tags": [], "icon": "doc",
            "asDropdown": false, "includeVars": false, "keepTime": false, "targetBlank": true,
            "tooltip": "What to do about each alert",
        },
    ])
}
