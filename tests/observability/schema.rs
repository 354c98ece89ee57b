//! Dashboards as values of Grafana's own type, for the TypeScript compiler to judge.

use std::path::Path;
use std::process::Command;

use crate::dashboard;
use crate::repository;

/// JSON has the values of enumerations, not their names.
const TYPES: &str = "import type { Dashboard } from '@grafana/schema';
type Plain<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
";

/// The compiler on these dashboards; what it said, if anything.
fn check(folder: &Path, dashboards: &[(String, String)]) -> String {
    let modules = repository("target/tools/grafana/node_modules");
    std::os::unix::fs::symlink(&modules, folder.join("node_modules")).unwrap();
    let mut files = Vec::new();
    for (name, json) in dashboards {
        // As a literal: from a file, the compiler would take every word for any text.
        let text = format!("{TYPES}export const dashboard: Plain<Dashboard> = {json};\n");
        std::fs::write(folder.join(format!("{name}.ts")), text).unwrap();
        files.push(format!("{name}.ts"));
    }
    let output = Command::new(modules.join(".bin/tsc"))
        .args(["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext"])
        .args(["--moduleResolution", "bundler"])
        .args(files)
        .current_dir(folder)
        .output()
        .expect("the compiler runs: cargo xtask setup, as root");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
#[ignore = "needs Grafana's schema of npm: cargo xtask setup, as root"]
fn dashboards_are_of_grafanas_type() {
    let folder = tempfile::tempdir().unwrap();
    let mut all: Vec<_> = dashboard::all()
        .into_iter()
        .map(|one| (one.file.replace(".json", ""), one.json.to_string()))
        .collect();
    assert_eq!(check(folder.path(), &all), "");

    // The compiler does look.
    let folder = tempfile::tempdir().unwrap();
    all.truncate(1);
    all[0].1 = all[0].1.replace("\"graphTooltip\"", "\"graphTooltp\"");
    assert!(check(folder.path(), &all).contains("graphTooltp"));
}
