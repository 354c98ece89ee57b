//! `vesper alerts`, `vesper model`, `vesper journal`, `vesper incidents`, `vesper config` and `vesper token`: what was kept and what is
//! set, for people.

use std::io::{BufWriter, ErrorKind, Write, stderr, stdin, stdout};
use std::time::{SystemTime, UNIX_EPOCH};

use sensor::api::token;
use sensor::capture::pins;
use sensor::cli::{
    ConfigCommand, ConfigShowArgs, DetachArgs, ModelArgs, ModelCommand, TokenArgs, TokenCommand,
};
use sensor::config::{self, Overrides};
use sensor::incidents::{self, IncidentsArgs};
use sensor::journal::{JournalArgs, PrintError};
use sensor::model::command;
use sensor::model::train::{self, Source};
use sensor::model::types;
use sensor::store::command::CommandError;
use sensor::store::{self, AlertsArgs};
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

#[expect(
    clippy::disallowed_methods,
    reason = "a person is told how old a model is, and when an incident was added"
)]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub fn detach(arguments: &DetachArgs) -> anyhow::Result<()> {
    let loaded =
        config::load(arguments.config.config.as_deref(), std::env::vars(), &arguments.config.overrides())?;
    let config = loaded.config;
    telemetry::init(&config.telemetry);
    let Some(interface) = &config.capture.interface else {
        anyhow::bail!(
            "no interface given: pass --interface IF, or set capture.interface in the configuration"
        );
    };
    let detached = pins::detach(&config.capture, interface, &config.state_dir)?;
    let mut out = stdout().lock();
    if !detached.found {
        writeln!(out, "{interface}: nothing of a stopped sensor is there")?;
        return Ok(());
    }
    writeln!(
        out,
        "{interface}: {}, its maps are freed; it had counted {} packets, {} of them not analysed by any sensor",
        if detached.program { "the program is off the interface" } else { "no program was on it" },
        detached.counted,
        detached.not_analysed
    )?;
    Ok(())
}

pub fn alerts(arguments: &AlertsArgs) -> anyhow::Result<()> {
    let loaded = config::load(arguments.config.as_deref(), std::env::vars(), &Overrides::default())?;
    telemetry::init(&loaded.config.telemetry);
    let out = &mut BufWriter::new(stdout().lock());
    let done = store::command::run(&loaded.config, &arguments.command, out);
    match done.and_then(|()| Ok(out.flush()?)) {
        // `head` has seen enough.
        Err(CommandError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => {
            // What was found comes before what is said of it.
            let _said_already = out.flush();
            Ok(done?)
        }
    }
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

pub fn incidents(arguments: &IncidentsArgs) -> anyhow::Result<()> {
    let loaded = config::load(arguments.config.as_deref(), std::env::vars(), &Overrides::default())?;
    telemetry::init(&loaded.config.telemetry);
    let now = i64::try_from(now()).unwrap_or(i64::MAX);
    let out = &mut BufWriter::new(stdout().lock());
    match incidents::command::run(&loaded.config, arguments, now, &mut stdin().lock(), out) {
        // `head` has seen enough.
        Err(incidents::command::CommandError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

pub fn token(arguments: &TokenArgs) -> anyhow::Result<()> {
    let TokenCommand::New { name, scope } = &arguments.command;
    let loaded = config::load(arguments.config.as_deref(), std::env::vars(), &Overrides::default())?;
    let config = loaded.config;
    if config.api.tokens_file.as_os_str().is_empty() {
        anyhow::bail!(
            "api.tokens_file is not set: set it first, to \"tokens\" for a file in the state folder"
        );
    }
    let path = config.state_dir.join(&config.api.tokens_file);
    let secret = token::create(&path, name, *scope)?;
    eprintln!("added to {}; this is shown once:", path.display());
    println!("{secret}");
    Ok(())
}
