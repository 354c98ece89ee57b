//! Joins the stages of a live sensor: capture, analysis, sinks; and tells the control plane how it goes.
//!
//! Threads: capture's (see `capture::live`), one for the analysis, one a sink, and the API's runtime. The analysis
//! takes events from one bounded queue; it alone touches flow table, model and ledger.

#[cfg(test)]
mod gpu_tests;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use watcher::{Watched, Watcher};

use crate::analysis::{Analysis, AnalysisConfig, Keep};
use crate::capture::nic::Nic;
use crate::capture::nic::prepare::{Lasting, Prepared, prepare};
use crate::capture::pins::Pins;
use crate::capture::{Live, TICK_ROOM};
use crate::config::Config;
use crate::incidents::Advice;
use crate::intel;
use crate::journal::{Journal, Sample};
use crate::model::{self, Keeper, Mailbox};
use crate::reload::Waiting;
use crate::sinks::{self, Sinks};
use crate::status::top::SharedTop;
use crate::status::{Shared, Status};
use crate::store::retention::Limits;
use crate::store::{self, Ingest, Store};

/// How long sinks, journal and model may take for what still waits when the sensor stops.
const SINK_PATIENCE: Duration = Duration::from_secs(5);

/// A running sensor.
pub struct Pipeline {
    live: Live,
    // Behind `live`: the interface is put back once no program is on it.
    prepared: Prepared,
    analysis: thread::JoinHandle<(Analysis, Outlets)>,
    lists: Option<intel::Keeper>,
    mailbox: Arc<Mailbox>,
    waiting: Arc<Waiting>,
    sinks: Sinks,
    shared: Arc<Shared>,
    top: Arc<SharedTop>,
    rest: Arc<AtomicBool>,
}

/// The store, and what goes with it.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// In words, what was set aside when it was opened.
    pub notice: Option<String>,
    /// Sees every new alert before it is stored.
    pub advice: Arc<Advice>,
}

/// Where results go; they outlive the analysis.
struct Outlets {
    ingest: Ingest,
    sinks: Sinks,
    journal: Journal,
    keeper: Keeper,
}

impl Pipeline {
    /// Starts every stage, the last one first, so that nothing is handed to a stage that is not there.
    pub fn start(
        config: &Config,
        nic: &Nic,
        shared: Arc<Shared>,
        opened: Opened,
    ) -> anyhow::Result<Pipeline> {
        let sinks = Sinks::start(sinks::configured(&config.sinks, &config.state_dir), &opened.store)?;
        let ingest =
            Ingest::start(opened.store.clone(), Limits::of(&config.store), Some(opened.advice.hook()))?;
        let running = sinks.clone();
        let mut analysis = Analysis::new(&AnalysisConfig::from(config))?;
        analysis.set_head(model::types::chosen(&config.state_dir));
        analysis.keep(Keep { top: true, evidence: true, ..Keep::default() });
        let top = Arc::new(SharedTop::default());
        model::Store::new(&config.state_dir).take_up(&mut analysis);
        if let Some((date, number)) = opened.store.read(store::alerts::latest_number)? {
            analysis.number_from(date, number);
        }
        model::run_shadow(&mut analysis, config);
        let keeper = Keeper::start(&config.state_dir, &config.score)?;
        let mailbox = keeper.mailbox.clone();
        let journal = Journal::start(&config.journal, &config.state_dir, analysis.layout())?;
        if config.journal.enabled {
            analysis.keep_journal(Sample::new(&config.journal, config.score.seed));
        }
        let (sender, events) = sync_channel(config.capture.queue_batches as usize + TICK_ROOM);
        let pins = Pins::open(&config.capture, nic)?;
        let lasting = match &pins {
            Some(pins) => Lasting::Pinned { held: pins.held(nic) },
            None => Lasting::Process,
        };
        let prepared = prepare(&config.capture, nic, &config.state_dir, lasting);
        let mut live = Live::start_with(&config.capture, nic, sender, pins)?;
        let lists = match live.lister.take() {
            Some(lister) => Some(intel::Keeper::start(&config.intel, &config.state_dir, lister)?),
            None => None,
        };
        let outlets = Outlets { ingest, sinks, journal, keeper };
        let watched = Watched::of(&live, config);
        let mut watcher = Watcher::new(analysis, outlets, watched, config, shared.clone());
        watcher.capture.prepared = prepared.lines().to_vec();
        watcher.top = top.clone();
        watcher.lists = lists.as_ref().map(intel::Keeper::status);
        let waiting = watcher.waiting.clone();
        watcher.set_aside = opened.notice;
        watcher.advice = Some(opened.advice);
        let rest = watcher.rest.clone();
        let analysis =
            thread::Builder::new().name("analysis".to_owned()).spawn(move || watcher.run(&events))?;
        Ok(Pipeline { live, prepared, analysis, lists, mailbox, waiting, sinks: running, shared, top, rest })
    }

    /// What a person wants to know about the start.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Who talks now.
    pub fn top(&self) -> &Arc<SharedTop> {
        &self.top
    }

    /// Where settings wait that were read again.
    pub fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// Where other lists are handed over; `None` where no list can be used.
    pub fn lists(&self) -> Option<intel::Replacing> {
        self.lists.as_ref().map(intel::Keeper::replacing)
    }

    /// The sinks that run.
    pub fn sinks(&self) -> &Sinks {
        &self.sinks
    }

    /// Where a model waits that somebody asked for.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Stops in the order of the path: no more packets, then everything that was counted is analysed, then every
    /// alert is delivered or given up. With `stay` the program goes on counting for the next process, where it is pinned.
    /// Returns the final status.
    pub fn stop(self, stay: bool) -> Arc<Status> {
        if let Some(lists) = self.lists {
            lists.stop();
        }
        self.rest.store(!(stay && self.live.pinned()), Relaxed);
        let stays = if stay {
            self.live.leave()
        } else {
            self.live.stop();
            false
        };
        if stays {
            self.prepared.keep();
        } else {
            drop(self.prepared);
        }
        // Capture dropped its ends of the queue: the analysis ends when it has read it all.
        let Ok((analysis, outlets)) = self.analysis.join() else {
            tracing::error!("the analysis had panicked: the summary is the last one it wrote");
            return self.shared.latest();
        };
        let mut last = Status::clone(&self.shared.latest());
        last.model = outlets.keeper.stop(&analysis, SINK_PATIENCE);
        // The sinks are told what is stored by then.
        last.store = Some(outlets.ingest.stop(SINK_PATIENCE));
        last.sinks = outlets.sinks.stop(SINK_PATIENCE);
        last.journal = outlets.journal.stop(SINK_PATIENCE);
        self.shared.publish(last);
        self.shared.latest()
    }
}
