//! `vesper run`: settings, stages, wait for a signal, stop in order, closing summary.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::Context;
use sensor::api::{App, Parts};
use sensor::capture::nic;
use sensor::cli::RunArgs;
use sensor::config::{self, Config};
use sensor::incidents::Advice;
use sensor::model::{self, Mailbox};
use sensor::pipeline::{Opened, Pipeline};
use sensor::reload::{Outlets, Reloaded, Reloader};
use sensor::status::{Shared, Status, Summary};
use sensor::store::Store;
use sensor::{api, notify, telemetry};
use tokio::signal::unix::{SignalKind, signal};

pub fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let loaded =
        config::load(arguments.config.config.as_deref(), std::env::vars(), &arguments.config.overrides())?;
    let config = loaded.config;
    telemetry::init(&config.telemetry);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let nic = nic::find(interface(&config)?)?;
    std::fs::create_dir_all(&config.state_dir).with_context(|| {
        format!(
            "cannot make the state folder {}: set state_dir to one you may write to",
            config.state_dir.display()
        )
    })?;
    let Some(_lock) = model::request::lock(&config.state_dir).context("locking the state folder")? else {
        anyhow::bail!(
            "another vesper (process id {}) runs with the state folder {}: stop it first, or give each its own state_dir",
            model::request::running(&config.state_dir).unwrap_or_default(),
            config.state_dir.display()
        );
    };
    let (store, notice) = Store::open(&config.store, &config.state_dir)?;
    if let Some(notice) = &notice {
        tracing::error!("{notice}");
    }
    let advice = Advice::start(&store, &config.incidents, &config.state_dir)?;
    let index = advice.index().clone();
    let opened = Opened { store: store.clone(), notice, advice };
    // Before anything is attached: two sensors on one box are noticed here.
    let door = api::open(&config.api, &config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("api")
        .enable_all()
        .build()
        .context("starting the API's threads")?;
    // Before the interface is touched: from then on a signal must stop in order.
    let (mut terminate, mut interrupt, mut hangup) = {
        let _runtime = runtime.enter();
        let listen = |kind, name| signal(kind).with_context(|| format!("listening for {name}"));
        (
            listen(SignalKind::terminate(), "SIGTERM")?,
            listen(SignalKind::interrupt(), "SIGINT")?,
            listen(SignalKind::hangup(), "SIGHUP")?,
        )
    };
    let shared = Arc::new(Shared::default());
    let pipeline = Pipeline::start(&config, &nic, shared.clone(), opened)?;
    announce(&config, &pipeline);
    notify::ready();
    notify::watch(&shared)?;

    let (steering, waiting) = (pipeline.live().steering.clone(), pipeline.waiting().clone());
    let sinks = pipeline.sinks().clone();
    let outlets = Outlets { steering, waiting, sinks, lists: pipeline.lists() };
    let mut reloader = Reloader::new(arguments.config.clone(), config.clone(), outlets);
    let mailbox = pipeline.mailbox().clone();
    let (reloads, mut asked_to_reload) = tokio::sync::mpsc::channel::<api::Reload>(1);
    let app = App::new(Parts {
        store,
        index,
        status: shared.clone(),
        top: pipeline.top().clone(),
        config: config.clone(),
        mailbox: mailbox.clone(),
        reload: reloads,
        program: PathBuf::from("/proc/self/exe"),
    });
    let shown = app.clone();
    runtime.spawn(async move {
        loop {
            let answer = tokio::select! {
                signal = hangup.recv() => if signal.is_some() { None } else { break },
                asked = asked_to_reload.recv() => if asked.is_some() { asked } else { break },
            };
            notify::reloading();
            promote(&mailbox, reloader.running());
            let told = tokio::task::block_in_place(|| reload(&mut reloader));
            shown.set_config(reloader.running().clone());
            notify::ready();
            // Whoever asked may be gone.
            let _told = answer.map(|answer| answer.send(told));
        }
    });
    // Whoever stops it by hand is done with it; a service manager may be about to start the next one.
    let by_hand = Arc::new(AtomicBool::new(false));
    let told = by_hand.clone();
    let served = runtime.block_on(async {
        let asked = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => told.store(true, Relaxed),
            }
        };
        api::serve(door, app, asked).await.context("serving the API")
    });
    notify::stopping();
    let stay = pipeline.live().pinned() && !arguments.detach_on_exit && !by_hand.load(Relaxed);
    tracing::info!(
        "stopping: {}, then analysing and delivering what is left",
        if stay { "the program stays and counts on" } else { "detaching" }
    );
    let status = pipeline.stop(stay);
    runtime.shutdown_background();
    served?;
    summarise(&status, arguments.json)
}

/// Has the model read that somebody asked for, if anybody did.
fn promote(mailbox: &Mailbox, running: &Config) {
    match mailbox.look(&running.state_dir) {
        Ok(true) => tracing::info!("SIGHUP: a model is waiting to be taken up"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "SIGHUP: the model that was asked for cannot be used"),
    }
}

/// Takes up what may change while packets come. What was there stays where the new settings are wrong.
fn reload(reloader: &mut Reloader) -> Result<Reloaded, String> {
    match reloader.reload() {
        Ok(reloaded) => {
            for warning in &reloaded.warnings {
                tracing::warn!("{warning}");
            }
            tracing::info!(taken_up = reloaded.taken_up.join(", "), "SIGHUP: settings read");
            if !reloaded.need_restart.is_empty() {
                let settings = reloaded.need_restart.join(", ");
                tracing::warn!("SIGHUP: changed as well, and in force after a restart: {settings}");
            }
            Ok(reloaded)
        }
        Err(error) => {
            tracing::error!(%error, "SIGHUP: the settings are wrong; going on with those there were");
            Err(error.to_string())
        }
    }
}

fn interface(config: &Config) -> anyhow::Result<&str> {
    config.capture.interface.as_deref().with_context(|| {
        let there = nic::list().unwrap_or_default();
        let names: Vec<&str> = there.iter().map(|nic| nic.name.as_str()).collect();
        format!(
            "no interface given: pass --interface IF, or set capture.interface in the configuration (there are: {})",
            names.join(", ")
        )
    })
}

fn announce(config: &Config, pipeline: &Pipeline) {
    let live = pipeline.live();
    tracing::info!(
        interface = live.interface,
        mode = ?config.capture.mode,
        xdp = ?live.attached,
        queues = live.queues.len(),
        zero_copy = live.queues.iter().filter(|queue| queue.zero_copy).count(),
        huge_pages = live.queues.iter().filter(|queue| queue.huge_pages).count(),
        "watching; the API, /metrics and /health are at http://{}",
        config.api.listen
    );
}

/// One object for machines on stdout, a few lines for people on stderr.
fn summarise(status: &Status, json: bool) -> anyhow::Result<()> {
    let summary = Summary::from(status);
    if json {
        println!("{}", serde_json::to_string(&summary).context("writing the summary")?);
    }
    let left: Vec<String> = summary
        .residue
        .iter()
        .filter(|(_, residue)| **residue != 0)
        .map(|(equation, residue)| format!("{equation} {residue}"))
        .collect();
    tracing::info!(
        packets = summary.packets,
        bytes = summary.bytes,
        flows = summary.flows,
        windows = summary.windows,
        alerts = summary.alerts,
        "stopped; {}",
        if left.is_empty() {
            "every packet, sample, row and alert is accounted for".to_owned()
        } else {
            format!("NOT accounted for: {}; this is a fault of the sensor, please report it", left.join(", "))
        }
    );
    Ok(())
}
