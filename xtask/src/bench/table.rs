//! What was measured: rows by columns of samples, one sample a round; shown as text, kept as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::machine;
use crate::program;

/// Median and range of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; the mean of the two in the middle where their number is even.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of these samples; `None` without any.
    pub fn of(samples: &[f64]) -> Option<Spread> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Spread { median, min, max })
    }
}

/// A column of ratios: how a row does in `column` against the row `baseline`, round by round.
struct Ratio {
    column: String,
    baseline: String,
}

/// See the module.
pub struct Table {
    name: &'static str,
    title: String,
    columns: Vec<(String, usize)>,
    rows: Vec<String>,
    /// By row and column.
    samples: BTreeMap<(usize, usize), Vec<f64>>,
    ratios: Vec<Ratio>,
    notes: Vec<String>,
}

impl Table {
    /// Empty; kept in `target/bench/NAME.json`.
    pub fn new(name: &'static str, title: impl Into<String>) -> Table {
        Table {
            name,
            title: title.into(),
            columns: Vec::new(),
            rows: Vec::new(),
            samples: BTreeMap::new(),
            ratios: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The next column, shown with so many decimals.
    pub fn column(&mut self, name: impl Into<String>, decimals: usize) {
        self.columns.push((name.into(), decimals));
    }

    /// The result of one round. Rows and columns that are new come last.
    pub fn add(&mut self, row: &str, column: &str, value: f64) {
        let row = self.rows.iter().position(|name| name == row).unwrap_or_else(|| {
            self.rows.push(row.to_owned());
            self.rows.len() - 1
        });
        let column = self.columns.iter().position(|(name, _)| name == column).unwrap_or_else(|| {
            self.columns.push((column.to_owned(), 1));
            self.columns.len() - 1
        });
        self.samples.entry((row, column)).or_default().push(value);
    }

    /// Names of the columns so far.
    pub fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// One more column: each row's `column` divided by that of `baseline` in the same round.
    pub fn ratio(&mut self, column: &str, baseline: &str) {
        self.ratios.push(Ratio { column: column.to_owned(), baseline: baseline.to_owned() });
    }

    /// Said below the table.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Samples of a cell.
    pub fn samples(&self, row: &str, column: &str) -> &[f64] {
        let row = self.rows.iter().position(|name| name == row);
        let column = self.columns.iter().position(|(name, _)| name == column);
        let cell = row.zip(column).and_then(|at| self.samples.get(&at));
        cell.map(Vec::as_slice).unwrap_or_default()
    }

    fn ratios_of(&self, row: &str, ratio: &Ratio) -> Vec<f64> {
        let (own, base) = (self.samples(row, &ratio.column), self.samples(&ratio.baseline, &ratio.column));
        own.iter().zip(base).filter(|(_, base)| **base != 0.0).map(|(own, base)| own / base).collect()
    }

    /// Says which column only where there are several.
    fn heading(&self, ratio: &Ratio) -> String {
        if self.ratios.iter().any(|other| other.column != ratio.column) {
            format!("{} x {}", ratio.column, ratio.baseline)
        } else {
            format!("x {}", ratio.baseline)
        }
    }

    /// Aligned, with median and range in each cell.
    pub fn text(&self) -> String {
        let mut lines = vec![vec![String::new()]];
        lines[0].extend(self.columns.iter().map(|(name, _)| name.clone()));
        lines[0].extend(self.ratios.iter().map(|ratio| self.heading(ratio)));
        for row in &self.rows {
            let mut line = vec![row.clone()];
            let cells = self.columns.iter().map(|(name, decimals)| cell(self.samples(row, name), *decimals));
            line.extend(cells);
            line.extend(self.ratios.iter().map(|ratio| cell(&self.ratios_of(row, ratio), 2)));
            lines.push(line);
        }
        let widths: Vec<usize> = (0..lines[0].len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = format!("{}\n", self.title);
        for line in &lines {
            let mut shown = format!("{:1$}", line[0], widths[0]);
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                let _ = write!(shown, "  {cell:>width$}");
            }
            text.push_str(shown.trim_end());
            text.push('\n');
        }
        text.push_str("each cell: median (least - greatest of the rounds)\n");
        for ratio @ Ratio { column, baseline } in &self.ratios {
            let heading = self.heading(ratio);
            let _ = writeln!(text, "{heading}: {column}, divided by that of {baseline} in the same round");
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }

    /// All samples, and on which machine they were taken.
    fn json(&self, machine: Value) -> Value {
        let rows = self.rows.iter().map(|row| {
            let cells = self.columns.iter().filter_map(|(name, _)| {
                let samples = self.samples(row, name);
                Some((name.clone(), spread_json(samples)?))
            });
            let ratios = self.ratios.iter().filter_map(|ratio| {
                let mut value = spread_json(&self.ratios_of(row, ratio))?;
                value["column"] = json!(ratio.column);
                Some((self.heading(ratio), value))
            });
            json!({
                "name": row,
                "cells": cells.collect::<serde_json::Map<_, _>>(),
                "ratios": ratios.collect::<serde_json::Map<_, _>>(),
            })
        });
        json!({
            "bench": self.name,
            "title": self.title,
            "machine": machine,
            "rows": rows.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    /// Prints it and writes the JSON file.
    pub fn publish(&self) -> Result<()> {
        println!("\n{}", self.text());
        let file = self.file();
        let text = serde_json::to_string_pretty(&self.json(machine::facts()))?;
        fs::write(&file, text + "\n").with_context(|| format!("write {}", file.display()))?;
        println!("all samples: {}", file.display());
        Ok(())
    }

    fn file(&self) -> PathBuf {
        program::root().join("target/bench").join(self.name).with_extension("json")
    }
}

fn cell(samples: &[f64], decimals: usize) -> String {
    match (Spread::of(samples), samples.len()) {
        (None, _) => "-".to_owned(),
        (Some(one), 1) => format!("{:.decimals$} (one round)", one.median),
        (Some(Spread { median, min, max }), _) => {
            format!("{median:.decimals$} ({min:.decimals$} - {max:.decimals$})")
        }
    }
}

fn spread_json(samples: &[f64]) -> Option<Value> {
    let Spread { median, min, max } = Spread::of(samples)?;
    Some(json!({ "median": median, "min": min, "max": max, "samples": samples }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("test", "speed of animals");
        table.column("km/h", 1);
        for (row, value) in [("hare", 60.0), ("hare", 70.0), ("hare", 62.0), ("snail", 0.05), ("snail", 0.04)]
        {
            table.add(row, "km/h", value);
        }
        table.ratio("km/h", "hare");
        table
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn text_shows_the_range_of_each_cell() {
        let text = table().text();
        assert!(text.contains("hare   62.0 (60.0 - 70.0)  1.00 (1.00 - 1.00)"), "{text}");
        assert!(text.lines().nth(1).is_some_and(|head| head.ends_with("x hare")), "{text}");
    }

    #[test]
    fn ratios_pair_the_rounds() {
        let json = table().json(Value::Null);
        let ratio = &json["rows"][1]["ratios"]["x hare"];
        assert_eq!(ratio["samples"], json!([0.05 / 60.0, 0.04 / 70.0]));
        assert_eq!(ratio["column"], json!("km/h"));
    }
}
