//! `vesper model`, `vesper journal` and `vesper config`: what was kept and what is set, for people.

use std::io::{BufWriter, ErrorKind, Write, stderr, stdout};
use std::time::{SystemTime, UNIX_EPOCH};

use sensor::cli::{ConfigCommand, ConfigShowArgs, JournalArgs, ModelArgs, ModelCommand};
use sensor::config::{self, Overrides};
use sensor::journal::PrintError;
use sensor::model::command;
use sensor::model::train::{self, Source};
use sensor::model::types;
use sensor::telemetry;

pub fn model(arguments: &ModelArgs) -> anyhow::Result<()> {
    let loaded = config::load(arguments.config.as_deref(), std::env::vars(), &Overrides::default())?;
    let config = &loaded.config;
    telemetry::init(&config.telemetry);
    let out = &mut stdout().lock();
    match &arguments.command {
        ModelCommand::Info { json } => command::info(config, now(), *json, out)?,
        ModelCommand::Promote { file } => command::promote(config, file.as_deref(), out)?,
        ModelCommand::Rollback { snapshot } => command::rollback(config, snapshot.as_deref(), out)?,
        ModelCommand::Export { file } => command::export(config, file, out)?,
        ModelCommand::Import { file } => command::import(config, file, out)?,
        ModelCommand::Train { files, labels: Some(labels), name, json, .. } => {
            types::report(&types::train(config, labels, files, name)?, *json, out)?;
        }
        ModelCommand::Train { files, journal, json, .. } => {
            let source = if *journal { Source::Journal } else { Source::Captures(files.clone()) };
            train::report(&train::train(config, &source)?, *json, out)?;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a person is told how old a model is")]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub fn journal(arguments: &JournalArgs) -> anyhow::Result<()> {
    let loaded = config::load(arguments.config.as_deref(), std::env::vars(), &Overrides::default())?;
    let options = arguments.options(&loaded.config);
    let out = &mut BufWriter::new(stdout().lock());
    match sensor::journal::print(&options, out, &mut stderr().lock()) {
        // `head` has seen enough.
        Err(PrintError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

pub fn config(arguments: &ConfigShowArgs) -> anyhow::Result<()> {
    let ConfigCommand::Show { defaults, config } = &arguments.command;
    let text = if *defaults {
        config::show::DEFAULTS.to_owned()
    } else {
        let loaded = config::load(config.config.as_deref(), std::env::vars(), &config.overrides())?;
        config::show::text(&loaded.config)?
    };
    match stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
