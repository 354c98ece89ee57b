//! Settings as people and the API see them: nothing that must stay secret.

use toml::Value;

use super::Config;
use crate::sinks::redacted;

/// Every setting with its default and what it means.
pub const DEFAULTS: &str = include_str!("../../../systemd/vesper.toml");

/// What runs, as a table. Addresses lose user, password and what follows `?`: whoever reads this may not know them. Other
/// secrets are in files, of which this has the names only.
pub fn shown(config: &Config) -> Result<Value, toml::ser::Error> {
    let mut value = Value::try_from(config)?;
    hide(&mut value);
    Ok(value)
}

/// The same as text, in the form of the configuration file.
pub fn text(config: &Config) -> Result<String, toml::ser::Error> {
    toml::to_string(&shown(config)?)
}

fn hide(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("://") => *text = redacted(text),
        Value::Array(list) => list.iter_mut().for_each(hide),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| hide(value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load};

    #[test]
    fn what_is_shown_can_be_read_again_and_holds_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vesper.toml");
        let written = "[[sinks.webhook]]\nurl = \"https://soc.example.net/hook?token=hidden\"\n";
        std::fs::write(&file, written).unwrap();
        let config = load(Some(&file), [], &Overrides::default()).unwrap().config;
        let shown = text(&config).unwrap();
        assert!(shown.contains("https://soc.example.net/hook?***") && !shown.contains("hidden"), "{shown}");
        std::fs::write(&file, &shown).unwrap();
        let again = load(Some(&file), [], &Overrides::default()).unwrap().config;
        assert_eq!(again.alert, config.alert);
        assert_eq!(again.capture, config.capture);
    }
}
