//! A panel in few words, and the JSON that Grafana wants for it.

use serde_json::{Value, json};

/// Columns of a dashboard.
pub const WIDTH: u64 = 24;

/// Kinds of panels; these can be drawn by Grafana's library alone, so what is shipped was looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Graph,
    Number,
    Bars,
    Table,
}

/// One panel.
#[derive(Clone)]
pub struct Panel {
    kind: Kind,
    title: &'static str,
    unit: &'static str,
    description: &'static str,
    queries: Vec<(&'static str, &'static str)>,
    width: u64,
    height: u64,
    stacked: bool,
    events: bool,
    nothing: &'static str,
    limits: (Option<f64>, Option<f64>),
    levels: Vec<(f64, &'static str)>,
    words: &'static [Word],
    columns: &'static [Column],
}

/// A value that is shown as a word: value, word, colour.
pub type Word = (f64, &'static str, &'static str);

/// A column of a table: the query's letter or a label, heading, unit, words for values.
pub type Column = (&'static str, &'static str, &'static str, &'static [Word]);

/// Values over time.
pub fn graph(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    Panel {
        kind: Kind::Graph,
        title,
        unit,
        description,
        queries: Vec::new(),
        width: 12,
        height: 8,
        stacked: false,
        events: false,
        nothing: "",
        limits: (Some(0.0), None),
        levels: Vec::new(),
        words: &[],
        columns: &[],
    }
}

/// Values over time, three in a row.
pub fn third(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    graph(title, unit, description).size(8, 8)
}

/// The latest value, large.
pub fn number(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    Panel { kind: Kind::Number, width: 3, height: 4, ..graph(title, unit, description) }
}

/// The latest values, a bar each.
pub fn bars(title: &'static str, unit: &'static str, description: &'static str) -> Panel {
    Panel { kind: Kind::Bars, ..graph(title, unit, description) }
}

/// The latest values of several queries, a row for each set of labels.
pub fn table(title: &'static str, description: &'static str, columns: &'static [Column]) -> Panel {
    Panel { kind: Kind::Table, columns, width: WIDTH, ..graph(title, "short", description) }
}

impl Panel {
    /// Adds a query and the name of its series. In the query `@` stands for the sensors that were chosen, `[@]` for
    /// the shortest range that holds a rate.
    pub fn query(mut self, expr: &'static str, legend: &'static str) -> Panel {
        self.queries.push((expr, legend));
        self
    }

    /// Width and height in the units of the grid.
    pub fn size(mut self, width: u64, height: u64) -> Panel {
        (self.width, self.height) = (width, height);
        self
    }

    /// Series on top of each other: parts of a whole.
    pub fn stacked(mut self) -> Panel {
        self.stacked = true;
        self
    }

    /// A few things that happen: a stick for each interval.
    pub fn events(mut self) -> Panel {
        (self.events, self.stacked) = (true, true);
        self
    }

    /// What it means that there is nothing to show.
    pub fn nothing(mut self, meaning: &'static str) -> Panel {
        self.nothing = meaning;
        self
    }

    /// The scale from 0 to 1.
    pub fn ratio(mut self) -> Panel {
        self.limits = (Some(0.0), Some(1.0));
        self
    }

    /// The scale may go below 0.
    pub fn signed(mut self) -> Panel {
        self.limits = (None, None);
        self
    }

    /// Green below the first of these values, their colours from there on.
    pub fn levels(mut self, levels: &[(f64, &'static str)]) -> Panel {
        self.levels = levels.to_vec();
        self
    }

    /// Words for values.
    pub fn words(mut self, words: &'static [Word]) -> Panel {
        self.words = words;
        self
    }

    /// Width and height.
    pub fn extent(&self) -> (u64, u64) {
        (self.width, self.height)
    }

    /// The panel at a place of the grid.
    pub fn json(&self, id: u64, x: u64, y: u64) -> Value {
        let (kind, options) = match self.kind {
            Kind::Graph => ("timeseries", self.graph_options()),
            Kind::Number => ("stat", self.number_options()),
            Kind::Bars => ("bargauge", bars_options()),
            Kind::Table => {
                ("table", json!({ "showHeader": true, "cellHeight": "sm", "footer": { "show": false } }))
            }
        };
        let mut panel = json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.description,
            "datasource": datasource(),
            "gridPos": { "x": x, "y": y, "w": self.width, "h": self.height },
            "targets": self.targets(),
            "fieldConfig": { "defaults": self.defaults(), "overrides": self.overrides() },
            "options": options,
        });
        if self.kind == Kind::Table {
            panel["transformations"] = self.transformations();
        }
        panel
    }

    fn targets(&self) -> Vec<Value> {
        let targets = self.queries.iter().zip('A'..='Z').map(|((expr, legend), letter)| {
            let mut target = json!({
                "refId": letter.to_string(),
                "datasource": datasource(),
                "expr": expanded(expr),
                "editorMode": "code",
                "legendFormat": legend,
            });
            let latest = matches!(self.kind, Kind::Bars | Kind::Table);
            target[if latest { "instant" } else { "range" }] = json!(true);
            if self.kind == Kind::Table {
                target["format"] = json!("table");
            }
            target
        });
        targets.collect()
    }

    fn defaults(&self) -> Value {
        let by_level = !self.levels.is_empty() || !self.words.is_empty();
        let mut defaults = json!({
            "unit": self.unit,
            "color": { "mode": if by_level { "thresholds" } else { "palette-classic" } },
            "thresholds": { "mode": "absolute", "steps": steps(&self.levels) },
            "mappings": mappings(self.words),
        });
        // Prometheus extrapolates: 1 alert may come as 1.02.
        if self.unit == "short" && self.kind != Kind::Graph {
            defaults["decimals"] = json!(0);
        }
        if !self.nothing.is_empty() {
            defaults["noValue"] = json!(self.nothing);
        }
        if let Some(min) = self.limits.0 {
            defaults["min"] = json!(min);
        }
        if let Some(max) = self.limits.1 {
            defaults["max"] = json!(max);
        }
        if self.kind == Kind::Graph {
            defaults["color"] = json!({ "mode": "palette-classic" });
            let mut custom = json!({
                "drawStyle": if self.events { "bars" } else { "line" },
                "lineInterpolation": if self.words.is_empty() { "linear" } else { "stepAfter" },
                "lineWidth": 1,
                "fillOpacity": if self.events { 80 } else if self.stacked { 40 } else { 10 },
                "showPoints": "never",
                "spanNulls": false,
                "stacking": { "group": "A", "mode": if self.stacked { "normal" } else { "none" } },
                "thresholdsStyle": { "mode": if self.levels.is_empty() { "off" } else { "dashed" } },
            });
            if let Some(end) = soft_max(self.unit).filter(|_| self.limits.1.is_none()) {
                custom["axisSoftMax"] = json!(end);
            }
            defaults["custom"] = custom;
        }
        defaults
    }

    fn graph_options(&self) -> Value {
        json!({
            "legend": {
                "showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []
            },
            "tooltip": { "mode": "multi", "sort": "desc" },
        })
    }

    fn number_options(&self) -> Value {
        let plain = self.levels.is_empty() && self.words.is_empty();
        json!({
            "colorMode": if plain { "none" } else { "background" },
            "graphMode": if self.words.is_empty() { "area" } else { "none" },
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
            "wideLayout": true,
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        })
    }

    /// What is particular to one column of a table.
    fn overrides(&self) -> Vec<Value> {
        let columns = self.columns.iter().filter(|(_, _, unit, words)| !unit.is_empty() || !words.is_empty());
        let overrides = columns.map(|(_, heading, unit, words)| {
            let mut properties = vec![json!({ "id": "unit", "value": unit })];
            if !words.is_empty() {
                properties.push(json!({ "id": "mappings", "value": mappings(words) }));
                properties.push(json!({ "id": "custom.cellOptions", "value": { "type": "color-text" } }));
            }
            json!({ "matcher": { "id": "byName", "options": heading }, "properties": properties })
        });
        overrides.collect()
    }

    /// One row for each set of labels, columns in our order under our headings.
    fn transformations(&self) -> Value {
        let several = self.queries.len() > 1;
        let field = |source: &str| match source {
            letter if letter.len() == 1 && several => format!("Value #{letter}"),
            letter if letter.len() == 1 => "Value".to_owned(),
            label => label.to_owned(),
        };
        let (mut order, mut names) = (json!({}), json!({}));
        for (at, (source, heading, ..)) in self.columns.iter().enumerate() {
            order[field(source)] = json!(at);
            names[field(source)] = json!(heading);
        }
        let mut left_out = json!({ "Time": true });
        // A series that is always 1 is there for its labels.
        for (_, letter) in self.queries.iter().zip('A'..='Z') {
            if !self.columns.iter().any(|(source, ..)| *source == letter.to_string()) {
                left_out[field(&letter.to_string())] = json!(true);
            }
        }
        json!([
            { "id": "merge", "options": {} },
            {
                "id": "organize",
                "options": { "excludeByName": left_out, "indexByName": order, "renameByName": names }
            },
        ])
    }
}

/// Where nothing happens the scale ends here, not at 100.
fn soft_max(unit: &str) -> Option<f64> {
    match unit {
        "percentunit" => Some(0.01),
        "pps" | "short" | "suffix:/s" => Some(1.0),
        _ => None,
    }
}

fn bars_options() -> Value {
    json!({
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": true,
        "valueMode": "color",
        "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
    })
}

/// The variable that says which Prometheus: works in provisioned files and in the import dialog.
pub fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// The query as Grafana has it.
fn expanded(expr: &str) -> String {
    expr.replace("[@]", "[$__rate_interval]").replace('@', "job=~\"$job\", instance=~\"$instance\"")
}

fn steps(levels: &[(f64, &str)]) -> Vec<Value> {
    let first = json!({ "color": "green", "value": null });
    let rest = levels.iter().map(|(from, color)| json!({ "color": color, "value": from }));
    std::iter::once(first).chain(rest).collect()
}

fn mappings(words: &[Word]) -> Value {
    if words.is_empty() {
        return json!([]);
    }
    let mut options = json!({});
    for (at, (value, word, color)) in words.iter().enumerate() {
        options[value.to_string()] = json!({ "text": word, "color": color, "index": at });
    }
    json!([{ "type": "value", "options": options }])
}
