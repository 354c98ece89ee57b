//! The list of metrics in docs/observability.md is what the sensor registers.

use crate::{exposition, read, repository};

const BEGIN: &str = "<!-- metrics: written by VESPER_WRITE_DOCS=1 -->\n";
const END: &str = "<!-- end of metrics -->\n";

/// The unit that a name ends in; a counter of things has none.
fn unit(name: &str) -> &str {
    let name = name.trim_end_matches("_total");
    let units = ["seconds", "bytes", "ratio", "packets", "rows", "entries", "alerts", "samples"];
    match name.rsplit('_').next().unwrap() {
        "hour" => "1/hour",
        last => units.iter().find(|unit| **unit == last).copied().unwrap_or("-"),
    }
}

fn table() -> String {
    let mut table = String::from("| name | type | unit | labels | what it says |\n|---|---|---|---|---|\n");
    for (name, metric) in exposition::metrics() {
        let labels: Vec<_> = metric.labels.iter().map(String::as_str).collect();
        let (unit, labels) = (unit(&name), labels.join(", "));
        table.push_str(&format!("| `{name}` | {} | {unit} | {labels} | {} |\n", metric.kind, metric.help));
    }
    table
}

#[test]
fn the_list_of_metrics_is_complete() {
    const FILE: &str = "docs/observability.md";
    let text = read(FILE);
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (list, after) = rest.split_once(END).unwrap();
    let table = table();
    if std::env::var_os("VESPER_WRITE_DOCS").is_some() {
        std::fs::write(repository(FILE), format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert!(list == table, "{FILE} is not what the sensor registers: run this test with VESPER_WRITE_DOCS=1");
}
