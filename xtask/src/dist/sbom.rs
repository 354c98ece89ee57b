//! The bill of materials: every crate whose code is in the program, in CycloneDX's format (1.5). Which crates those are
//! cargo says; build scripts, macros and what only tests need are not in the program, and not here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Version;
use crate::program;

/// Name and version.
type Crate = (String, String);

/// Writes the bill of the program that these features make.
pub fn write(file: &Path, name: &str, version: &Version, features: Option<&str>) -> Result<()> {
    let linked = linked(features)?;
    let lock = fs::read_to_string(program::root().join("Cargo.lock")).context("read Cargo.lock")?;
    let metadata = program::output(program::cargo().args(["metadata", "--locked", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("read what cargo metadata says")?;
    let (components, mut dependencies) = components(&metadata, &linked, &checksums(&lock));
    let application = format!("pkg:generic/{name}@{}", version.text);
    let own = linked.iter().find(|(name, _)| name == "sensor").context("cargo tree names no sensor")?;
    dependencies.insert(0, json!({ "ref": application, "dependsOn": [reference(own)] }));
    let identity = uuid(&format!("{application} {lock}"));
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": format!("urn:uuid:{identity}"),
        "version": 1,
        "metadata": {
            "timestamp": timestamp(version)?,
            "tools": { "components": [{ "type": "application", "name": "cargo xtask dist" }] },
            "component": {
                "type": "application",
                "bom-ref": application,
                "name": name,
                "version": version.text,
                "purl": application,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    let text = serde_json::to_string_pretty(&bill)?;
    fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))
}

/// What is linked in, by cargo's own resolution of features.
fn linked(features: Option<&str>) -> Result<BTreeSet<Crate>> {
    let mut cargo = program::cargo();
    cargo.args(["tree", "--locked", "--package", "sensor", "--edges", "normal,no-proc-macro"]);
    cargo.args(["--prefix", "none", "--format", "{p}"]);
    if let Some(features) = features {
        cargo.args(["--features", features]);
    }
    let said = program::output(&mut cargo)?;
    Ok(said.lines().filter_map(crate_of).collect())
}

/// The crate of a line such as `adler2 v2.0.1 (*)`.
fn crate_of(line: &str) -> Option<Crate> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    Some((name.to_owned(), version.to_owned()))
}

/// SHA-256 of each crate's sources, from Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<Crate, String> {
    let field = |block: &str, key: &str| {
        let value = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        value.strip_suffix('"').map(str::to_owned)
    };
    let one =
        |block: &str| Some(((field(block, "name")?, field(block, "version")?), field(block, "checksum")?));
    lock.split("[[package]]").filter_map(one).collect()
}

/// Components, and which of them stands on which.
fn components(
    metadata: &Value,
    linked: &BTreeSet<Crate>,
    checksums: &BTreeMap<Crate, String>,
) -> (Vec<Value>, Vec<Value>) {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let none = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&none);
    let by_id: BTreeMap<String, Crate> = packages
        .iter()
        .map(|package| (text(package, "id"), (text(package, "name"), text(package, "version"))))
        .filter(|(_, one)| linked.contains(one))
        .collect();
    let mut components = BTreeMap::new();
    for package in packages {
        let Some(one) = by_id.get(&text(package, "id")) else { continue };
        let mut component = json!({
            "type": "library",
            "bom-ref": reference(one),
            "name": one.0,
            "version": one.1,
            "purl": reference(one),
            "scope": "required",
        });
        if let Some(license) = package["license"].as_str() {
            // Before SPDX expressions there was a slash.
            component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
        }
        if let Some(checksum) = checksums.get(one) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        if let Some(repository) = package["repository"].as_str() {
            component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
        }
        components.insert(one, component);
    }
    let mut dependencies = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap_or(&none) {
        let Some(one) = by_id.get(&text(node, "id")) else { continue };
        let normal = |dep: &&Value| {
            dep["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        };
        let below: BTreeSet<String> = node["deps"]
            .as_array()
            .unwrap_or(&none)
            .iter()
            .filter(normal)
            .filter_map(|dep| by_id.get(dep["pkg"].as_str()?))
            .map(reference)
            .collect();
        dependencies.insert(one, json!({ "ref": reference(one), "dependsOn": below }));
    }
    (components.into_values().collect(), dependencies.into_values().collect())
}

/// A package URL.
fn reference((name, version): &Crate) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// A UUID of what is described (version 8: a hash of our own), so that the same bill has the same.
fn uuid(text: &str) -> String {
    let mut bytes = Sha256::digest(text.as_bytes());
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn timestamp(version: &Version) -> Result<String> {
    let at = format!("@{}", version.epoch);
    let date = program::output(Command::new("date").args(["--utc", "+%Y-%m-%dT%H:%M:%SZ", "--date", &at]))?;
    Ok(date.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_is_read() {
        assert_eq!(crate_of("adler2 v2.0.1 (*)"), Some(("adler2".to_owned(), "2.0.1".to_owned())));
        assert_eq!(crate_of(""), None);
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
        let read = checksums(lock);
        assert_eq!(read.len(), 1);
        assert_eq!(read[&("a".to_owned(), "1.0.0".to_owned())], "00ff");
    }

    #[test]
    fn a_bill_names_what_is_linked_and_what_stands_on_it() {
        let metadata = json!({
            "packages": [
                { "id": "i1", "name": "top", "version": "1.0.0", "license": "MIT/Apache-2.0", "repository": null },
                { "id": "i2", "name": "low", "version": "2.0.0+x", "license": "MIT" },
                { "id": "i3", "name": "only-tests", "version": "3.0.0", "license": "MIT" },
            ],
            "resolve": { "nodes": [
                { "id": "i1", "deps": [
                    { "pkg": "i2", "dep_kinds": [{ "kind": null }] },
                    { "pkg": "i3", "dep_kinds": [{ "kind": "dev" }] },
                ] },
                { "id": "i2", "deps": [] },
            ] },
        });
        let linked = [("top", "1.0.0"), ("low", "2.0.0+x")]
            .map(|(name, version)| (name.to_owned(), version.to_owned()));
        let (components, dependencies) = components(&metadata, &linked.into(), &BTreeMap::new());
        assert_eq!(components.len(), 2);
        assert_eq!(components[1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(dependencies[1]["dependsOn"], json!(["pkg:cargo/low@2.0.0%2Bx"]));
        assert_eq!(uuid("a").len(), 36);
    }
}
