//! How the lines are written: for a tired person on a terminal, for grep in a pipe, as JSON for programs.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::mend::Change;
use super::{Line, Status, subjects};
use crate::telemetry::printable;

/// Where a value begins: behind the status and the name.
const INDENT: usize = 2 + 6 + 14;
/// Longer text is cut: it may come from others.
const LONGEST: usize = 500;
/// Of the JSON object. Fields may be added; a change of what one means raises it.
const SCHEMA: u32 = 1;

/// What a page looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Columns that text is wrapped at; none in a pipe, where a line is a line.
    pub(super) width: Option<usize>,
    pub(super) colour: bool,
    /// Leaves out what is ok.
    pub(super) quiet: bool,
}

impl Page {
    /// Colour on terminals only, and not where NO_COLOR (no-color.org) or a dumb terminal forbid it.
    pub(super) fn for_this_terminal(quiet: bool) -> Page {
        let terminal = io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(80);
        Page {
            width: terminal.then(|| columns.clamp(60, 100)),
            colour: terminal && !set("NO_COLOR") && !dumb,
            quiet,
        }
    }

    pub(super) fn write(self, lines: &[Line], changes: &[Change], out: &mut impl Write) -> io::Result<()> {
        self.changes(changes, out)?;
        let mut group = "";
        for line in lines.iter().filter(|line| !self.quiet || line.status != Status::Ok || line.fixed) {
            let subject = subjects::of(line.name);
            if subject.group != group {
                let gap = if group.is_empty() { "" } else { "\n" };
                writeln!(out, "{gap}{}", self.paint("1", subject.group))?;
                group = subject.group;
            }
            self.line(line, subject.why, out)?;
        }
        if !group.is_empty() {
            writeln!(out)?;
        }
        self.sum(lines, out)
    }

    fn changes(self, changes: &[Change], out: &mut impl Write) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        writeln!(out, "{}", self.paint("1", "Changed"))?;
        for change in changes {
            let (word, colour) = if change.error.is_none() { ("done", "32") } else { ("not", "31") };
            let failed = change.error.iter().map(|error| format!("  ({error})")).collect::<String>();
            let text = printable(&format!("{}{failed}", change.command), LONGEST);
            let head = format!("  {} {:<13} ", self.paint(colour, &format!("{word:<5}")), change.name);
            writeln!(out, "{head}{}", self.wrapped(&text))?;
        }
        writeln!(out)
    }

    fn line(self, line: &Line, why: &str, out: &mut impl Write) -> io::Result<()> {
        let (word, colour) = match line.status {
            Status::Ok => ("ok", "32"),
            Status::Warn => ("warn", "33"),
            Status::Fail => ("fail", "1;31"),
        };
        let fixed = if line.fixed { " (mended)" } else { "" };
        let says = printable(&line.says, LONGEST) + fixed;
        let head = format!("  {} {:<13} ", self.paint(colour, &format!("{word:<5}")), line.name);
        writeln!(out, "{head}{}", self.wrapped(&says))?;
        if line.status == Status::Ok {
            return Ok(());
        }
        let other = if line.command.is_empty() { "do" } else { "or" };
        for (label, text) in [("why", why), ("run", line.command.as_str()), (other, line.remedy.as_str())] {
            if text.is_empty() {
                continue;
            }
            let text = printable(text, LONGEST);
            // A command is copied: it stays on one line.
            let text = if label == "run" { self.paint("1", &text) } else { self.wrapped(&text) };
            writeln!(out, "{:8}{} {text}", "", self.paint("2", &format!("{label:<13}")))?;
        }
        Ok(())
    }

    fn sum(self, lines: &[Line], out: &mut impl Write) -> io::Result<()> {
        let count = |status| lines.iter().filter(|line| line.status == status).count();
        let names = |status| match names(lines.iter().filter(|line| line.status == status)) {
            names if names.is_empty() => names,
            names => format!(" ({names})"),
        };
        let stops = match count(Status::Fail) {
            0 => "nothing stops the sensor".to_owned(),
            1 => "1 stops the sensor".to_owned(),
            more => format!("{more} stop the sensor"),
        };
        let text = format!(
            "{} ok, {} to look at{}, {stops}{}",
            count(Status::Ok),
            count(Status::Warn),
            names(Status::Warn),
            names(Status::Fail)
        );
        writeln!(out, "{}", wrap(&text, self.width, 0))?;
        let safe = names_of_safe(lines);
        if !safe.is_empty() {
            writeln!(out, "{}", wrap(&format!("The same command with --fix mends {safe}."), self.width, 0))?;
        }
        Ok(())
    }

    fn wrapped(self, text: &str) -> String {
        wrap(text, self.width, INDENT)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn names_of_safe(lines: &[Line]) -> String {
    names(lines.iter().filter(|line| line.fix.is_some()))
}

/// Each name once.
fn names<'a>(lines: impl Iterator<Item = &'a Line>) -> String {
    let mut names: Vec<&str> = lines.map(|line| line.name).collect();
    names.dedup();
    names.join(", ")
}

/// Breaks text between words; further lines begin at `indent`.
pub(super) fn wrap(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(room) = width.map(|width| width.saturating_sub(indent).max(20)) else { return text.to_owned() };
    let mut wrapped = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += length;
    }
    wrapped
}

/// One line as JSON.
#[derive(Serialize)]
struct Row<'a> {
    group: &'a str,
    name: &'a str,
    status: Status,
    says: &'a str,
    why: &'a str,
    /// Empty where there is none, as when it is ok.
    command: &'a str,
    remedy: &'a str,
    fixable: bool,
    fixed: bool,
}

pub(super) fn json(lines: &[Line], changes: &[Change], code: u8, out: &mut impl Write) -> io::Result<()> {
    let count = |status| lines.iter().filter(|line| line.status == status).count();
    let rows: Vec<Row> = lines
        .iter()
        .map(|line| {
            let subject = subjects::of(line.name);
            Row {
                group: subject.group,
                name: line.name,
                status: line.status,
                says: &line.says,
                why: subject.why,
                command: &line.command,
                remedy: &line.remedy,
                fixable: line.fix.is_some(),
                fixed: line.fixed,
            }
        })
        .collect();
    let report = serde_json::json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "exit_code": code,
        "ok": count(Status::Ok),
        "warn": count(Status::Warn),
        "fail": count(Status::Fail),
        "changes": changes,
        "lines": rows,
    });
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}
