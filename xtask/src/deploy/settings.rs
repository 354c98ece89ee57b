//! Settings written into `/etc/vesper/vesper.toml` as a person would: the line is set where it stands, with its comment, and
//! nothing else changes. Whether a setting exists the sensor says itself (`vesper check`).

use anyhow::{Context, Result, bail};

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Section, name, value as TOML writes it.
    lines: Vec<(String, String, String)>,
    /// Blocks such as `[[sinks.webhook]]`.
    blocks: Vec<String>,
}

/// Sinks of which there is one; of the others there are as many as there are blocks.
const SINGLE: [&str; 2] = ["jsonl", "eve"];

impl Settings {
    /// `section.name` with a value: numbers, true and false, and lists as they are, everything else as text.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let (section, name) =
            name.rsplit_once('.').context("a setting is SECTION.NAME, as in capture.interface")?;
        self.lines.push((key(section)?, key(name)?, toml(value)?));
        Ok(())
    }

    /// `webhook url=https://soc.example.net secret_file=webhook`: a sink with its settings.
    pub fn sink(&mut self, text: &str) -> Result<()> {
        let mut words = text.split_whitespace();
        let kind = key(words.next().context("--sink is \"KIND NAME=VALUE ...\"")?)?;
        let mut block = format!("[[sinks.{kind}]]\n");
        for word in words {
            let (name, value) =
                word.split_once('=').with_context(|| format!("{word:?} is not NAME=VALUE"))?;
            if SINGLE.contains(&kind.as_str()) {
                self.set(&format!("sinks.{kind}.{name}"), value)?;
            }
            block += &format!("{} = {}\n", key(name)?, toml(value)?);
        }
        if !SINGLE.contains(&kind.as_str()) {
            self.blocks.push(block);
        }
        Ok(())
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.blocks.is_empty()
    }

    /// The interface, if it is set.
    pub fn interface(&self) -> Option<&str> {
        let line =
            self.lines.iter().find(|(section, name, _)| section == "capture" && name == "interface")?;
        Some(line.2.trim_matches('"'))
    }

    /// What will be written, a line each, for people.
    pub fn shown(&self) -> Vec<String> {
        let lines = self.lines.iter().map(|(section, name, value)| format!("{section}.{name} = {value}"));
        lines.chain(self.blocks.iter().map(|block| block.trim_end().replace('\n', "; "))).collect()
    }

    /// The file with all of it. What is there already, word for word, is not written twice.
    pub fn apply(&self, file: &str) -> String {
        let mut text = file.to_owned();
        for (section, name, value) in &self.lines {
            text = set(&text, section, name, value);
        }
        for block in self.blocks.iter().filter(|block| !file.contains(block.as_str())) {
            text = format!("{}\n\n{block}", text.trim_end());
        }
        text
    }
}

/// Sets one line: in place of the one that sets it, else of the one that shows its default, else at the section's beginning.
fn set(text: &str, section: &str, name: &str, value: &str) -> String {
    let line = format!("{name} = {value}");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let head = format!("[{section}]");
    let Some(start) = lines.iter().position(|line| line.trim() == head) else {
        return format!("{}\n\n{head}\n{line}\n", text.trim_end());
    };
    let end = lines[start + 1..]
        .iter()
        .position(|line| line.trim_start_matches('#').starts_with('['))
        .map_or(lines.len(), |length| start + 1 + length);
    let sets = |text: &str| text.split_once('=').is_some_and(|(before, _)| before.trim() == name);
    let place = (start + 1..end)
        .find(|at| sets(&lines[*at]))
        .or_else(|| (start + 1..end).find(|at| lines[*at].strip_prefix('#').is_some_and(sets)));
    match place {
        Some(at) => lines[at] = line,
        None => lines.insert(start + 1, line),
    }
    lines.join("\n") + "\n"
}

fn key(text: &str) -> Result<String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    if text.is_empty() || !text.chars().all(legal) {
        bail!("{text:?} is no name of a setting");
    }
    Ok(text.to_owned())
}

fn toml(value: &str) -> Result<String> {
    if value.chars().any(char::is_control) {
        bail!("{value:?} holds a control character");
    }
    let number = !value.is_empty()
        && value.chars().all(|c| c.is_ascii_digit() || c == '.')
        && value.parse::<f64>().is_ok();
    if number || ["true", "false"].contains(&value) || (value.starts_with('[') && value.ends_with(']')) {
        return Ok(value.to_owned());
    }
    Ok(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
[capture]
# The interface.
#interface = \"eth1\"
#mode = \"mirror\"

[capture.sample]
#one_in = 64

# Alerts to an endpoint.
#[[sinks.webhook]]
#url = \"https://soc.example.net\"

[api]
listen = \"127.0.0.1:8888\"
";

    #[test]
    fn a_setting_takes_the_place_of_its_default_and_nothing_else_changes() {
        let mut settings = Settings::default();
        settings.set("capture.interface", "eth7").unwrap();
        settings.set("capture.sample.one_in", "32").unwrap();
        settings.set("api.listen", "127.0.0.1:9").unwrap();
        settings.set("api.names", "[\"a\"]").unwrap();
        settings.set("store.max_age", "3d").unwrap();
        settings.sink("webhook url=https://x.example.net/a?b=c queue=5").unwrap();
        settings.sink("eve enabled=true").unwrap();
        let text = settings.apply(FILE);
        let expected = FILE
            .replace("#interface = \"eth1\"", "interface = \"eth7\"")
            .replace("#one_in = 64", "one_in = 32")
            .replace(
                "[api]\nlisten = \"127.0.0.1:8888\"",
                "[api]\nnames = [\"a\"]\nlisten = \"127.0.0.1:9\"",
            )
            + "\n[store]\nmax_age = \"3d\"\n\n[sinks.eve]\nenabled = true\n\n[[sinks.webhook]]\nurl = \
               \"https://x.example.net/a?b=c\"\nqueue = 5\n";
        assert_eq!(text, expected);
        // A second time changes nothing.
        assert_eq!(settings.apply(&text), text);
        assert_eq!(settings.interface(), Some("eth7"));
    }

    #[test]
    fn what_could_break_the_file_is_refused_or_quoted() {
        let mut settings = Settings::default();
        assert!(settings.set("interface", "x").is_err());
        assert!(settings.set("capture.Interface", "x").is_err());
        assert!(settings.set("capture.interface", "a\nb = 1").is_err());
        assert!(settings.sink("webhook url").is_err());
        assert_eq!(toml("a\"b\\").unwrap(), "\"a\\\"b\\\\\"");
        assert_eq!(toml("0.5").unwrap(), "0.5");
        assert_eq!(toml("10.0.0.1").unwrap(), "\"10.0.0.1\"");
    }
}
