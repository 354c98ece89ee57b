//! Captures as teachers: nothing is alerted and nothing written.

use std::path::{Path, PathBuf};

use super::{AnalyzeError, AnalyzeOptions, Results, Run, feed};
use crate::analysis::{Analysis, AnalysisConfig, Exemplar, Keep, Output};
use crate::capture::Event;
use crate::capture::replay::{Replay, ReplayConfig};
use crate::config::Config;
use crate::status::Status;

/// What the captures teach, without any result; memory does not grow with them.
pub fn learn(files: &[PathBuf], config: &Config) -> Result<Analysis, AnalyzeError> {
    let settings = ReplayConfig::new(&config.capture, config.flow.idle_timeout);
    let replay = Replay::open(files, settings)?;
    let analysis = Analysis::new(&AnalysisConfig::from(config))?;
    let results = Results::create(&AnalyzeOptions::default(), config)?;
    let mut run = Run { analysis, results, status: Status::default(), bounds: None };
    run.all(replay, 2)?;
    Ok(run.analysis)
}

/// Gives the rows that teach what looks like what to `take`, as they come.
pub fn exemplars(file: &Path, config: &Config, mut take: impl FnMut(Exemplar)) -> Result<(), AnalyzeError> {
    let settings = ReplayConfig::new(&config.capture, config.flow.idle_timeout);
    let replay = Replay::open(&[file.to_owned()], settings)?;
    let mut analysis = Analysis::new(&AnalysisConfig::from(config))?;
    analysis.keep(Keep { exemplars: true, ..Keep::default() });
    let (buffers, mut last) = (replay.buffers().clone(), 0);
    let mut told = |output: Output| output.exemplars.into_iter().for_each(&mut take);
    feed(replay, 2, |event, _, _| {
        match &event {
            Event::Samples(samples) => analysis.samples(samples),
            Event::Flows(deltas) => analysis.flows(deltas),
            Event::Tunnels(tunnels) => analysis.tunnels(tunnels),
            // Lists of others teach nothing.
            Event::Packets(_) | Event::Listed(_) | Event::Lists(_) => {}
            Event::Tick(tick) => {
                last = tick.time;
                told(analysis.tick(tick)?);
            }
        }
        buffers.give_back(event);
        Ok(())
    })?;
    told(analysis.finish(last)?);
    Ok(())
}
