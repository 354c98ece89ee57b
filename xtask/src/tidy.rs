//! `cargo xtask tidy`: rules of this repository that no compiler checks. All that is wrong is said at once.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{dashboards, ebpf, program};

const LONGEST_FILE: usize = 400;
/// Where raw memory is touched, each block with its reason; the test counts what the allocator is asked for.
const MAY_BE_UNSAFE: [&str; 3] = ["sensor-ebpf/", "sensor/src/capture/xsk", "tests/allocation.rs"];
/// Ways from text to markup or code: the console has none, so that no text of a packet finds one.
const MARKUP: [&str; 9] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "eval(",
    "new Function",
    "DOMParser",
    "createContextualFragment",
    "srcdoc",
];
/// Put together here, so that this file does not break its own rules.
const UNSAFE: [&str; 5] = [
    concat!("unsafe", " {"),
    concat!("unsafe", " fn"),
    concat!("unsafe", " impl"),
    concat!("unsafe", " extern"),
    concat!("(unsafe", "_code"),
];
const PRIVATE_PATHS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
const METRIC_MAKERS: [&str; 3] = ["Opts::new(\"", "opts!(\"", "Desc::new(\""];
const COMMANDS: [&str; 14] = [
    "bench",
    "cuda",
    "dashboards",
    "demo",
    "deploy",
    "dist",
    "ebpf",
    "eval",
    "fuzz",
    "lab",
    "setup",
    "test",
    "tidy",
    "types",
];

/// `cargo xtask tidy`.
pub fn command() -> Result<()> {
    let mut problems = Vec::new();
    let files = program::output(Command::new("git").current_dir(program::root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))
    .context("list the files of the repository")?;
    for file in files.lines().filter(|file| is_text(file)) {
        match fs::read_to_string(program::root().join(file)) {
            Ok(text) => problems.extend(check(file, &text)),
            // Deleted, and not yet committed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => problems.push(format!("{file}: {error}")),
        }
    }
    problems.extend(modules_that_do_not_parse(&files));
    for checked in [ebpf::verify_committed(), dashboards::check()] {
        problems.extend(checked.err().map(|error| format!("{error:#}")));
    }
    if !problems.is_empty() {
        bail!("{} to tidy:\n  {}", problems.len(), problems.join("\n  "));
    }
    println!("tidy: nothing to say");
    Ok(())
}

/// Node reads every module once, where there is Node; nothing runs.
fn modules_that_do_not_parse(files: &str) -> Vec<String> {
    let Some(node) = program::find("node") else { return Vec::new() };
    let is_module = |file: &&str| {
        (file.starts_with("sensor/console/") && file.ends_with(".js")) || file.ends_with(".mjs")
    };
    let there = files.lines().filter(is_module).filter(|file| program::root().join(file).exists());
    there
        .filter_map(|file| {
            // As a module, whatever its ending.
            let source = fs::File::open(program::root().join(file)).ok()?;
            let read =
                Command::new(&node).args(["--input-type=module", "--check", "-"]).stdin(source).output();
            let said = read.map_or_else(
                |error| error.to_string(),
                |output| {
                    if output.status.success() {
                        String::new()
                    } else {
                        String::from_utf8_lossy(&output.stderr).into_owned()
                    }
                },
            );
            (!said.is_empty()).then(|| format!("{file}: {}", program::printable(&said)))
        })
        .collect()
}

fn is_text(file: &str) -> bool {
    let kinds = [
        ".rs",
        ".toml",
        ".md",
        ".yml",
        ".service",
        ".json",
        ".sysusers",
        ".tmpfiles",
        ".ci/run",
        ".js",
        ".mjs",
        ".css",
        ".html",
    ];
    kinds.iter().any(|kind| file.ends_with(kind))
}

/// What is wrong with one file.
fn check(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    let code = [".rs", ".js", ".mjs", ".css"].iter().any(|kind| file.ends_with(kind));
    if code && lines > LONGEST_FILE {
        problems.push(format!("{file}: {lines} lines, {LONGEST_FILE} at most: it tells more than one story"));
    }
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        problems.extend(check_line(file, line).map(|problem| format!("{file}:{number}: {problem}")));
    }
    problems
}

fn check_line(file: &str, line: &str) -> Option<String> {
    let code = line.split("//").next().unwrap_or(line);
    if line.ends_with([' ', '\t']) {
        return Some("trailing whitespace".to_owned());
    }
    if line.contains('\t') && !file.ends_with(".json") {
        return Some("a tab: indent with spaces".to_owned());
    }
    if let Some(path) = PRIVATE_PATHS.iter().find(|path| line.contains(*path)) {
        return Some(format!("names a path of somebody's machine ({path})"));
    }
    if file.ends_with(".rs") {
        let allowed = MAY_BE_UNSAFE.iter().any(|folder| file.starts_with(folder));
        if !allowed && UNSAFE.iter().any(|word| code.contains(word)) {
            return Some(format!("unsafe code belongs in {}", MAY_BE_UNSAFE.join(" or ")));
        }
    }
    if file.starts_with("sensor/console/")
        && let Some(way) = MARKUP.iter().find(|way| line.contains(*way))
    {
        return Some(format!("{way} turns text into markup or code: use h() of dom.js"));
    }
    if file.starts_with("sensor/src") {
        let name = METRIC_MAKERS.iter().find_map(|maker| code.split_once(maker)).map(|(_, rest)| rest);
        if name.is_some_and(|name| !name.starts_with("vesper_")) {
            return Some("metric names begin with vesper_".to_owned());
        }
    }
    if file.ends_with(".md") {
        let mut named = line.split("cargo xtask ").skip(1).map(first_word);
        return named
            .find(|name| !name.is_empty() && !COMMANDS.contains(name))
            .map(|name| format!("there is no `cargo xtask {name}`"));
    }
    None
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_its_case_and_leaves_the_good_one() {
        let unsafe_block = concat!("let x = unsafe", " { y };");
        let private = concat!("see /wo", "rk/notes");
        for (file, line, wrong) in [
            ("a.rs", "let x = 1;", false),
            ("a.rs", "let x = 1; ", true),
            ("a.rs", "\tlet x = 1;", true),
            ("README.md", private, true),
            ("sensor/src/main.rs", unsafe_block, true),
            ("sensor/src/capture/xsk/ring.rs", unsafe_block, false),
            ("sensor/src/main.rs", concat!("// no unsafe", " {"), false),
            ("sensor/src/api/metrics.rs", "Opts::new(\"packets_total\", \"\")", true),
            ("sensor/src/api/metrics.rs", "Opts::new(\"vesper_packets_total\", \"\")", false),
            ("sensor/console/app.js", "node.innerHTML = text;", true),
            ("sensor/console/app.js", "node.textContent = text;", false),
            ("tests/console/run.mjs", "page.innerHTML('main')", false),
            ("README.md", "run `cargo xtask demo --keep`", false),
            ("README.md", "run `cargo xtask dance`", true),
        ] {
            assert_eq!(check_line(file, line).is_some(), wrong, "{file}: {line}");
        }
    }

    #[test]
    fn a_long_file_is_named_with_its_length() {
        let problems = check("a.rs", &"\n".repeat(LONGEST_FILE + 1));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("401 lines"), "{problems:?}");
    }
}
