//! The XDP program under BPF_PROG_TEST_RUN: frames in, and what it counted out.

use std::collections::HashMap;
use std::time::Duration;

use aya::TestRun;
use aya::programs::TestRunOptions;
use sensor::capture::{Drain, Program};
use sensor_ebpf::counter::Totals;
use sensor_ebpf::flow::{FlowKey, FlowStats};

/// The program in the kernel, attached to nothing.
pub struct Kernel {
    program: Program,
    drain: Drain,
}

impl Kernel {
    /// With room for so many flows.
    pub fn new(entries: u32) -> Kernel {
        let program = Program::load(entries).expect("the kernel takes the program");
        // Whatever is read counts as idle, and is taken out.
        Kernel { program, drain: Drain::new(Duration::ZERO) }
    }

    /// Runs it on a frame; gives the verdict.
    pub fn run(&mut self, frame: &[u8]) -> u32 {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        let program = self.program.xdp().expect("the program is loaded");
        program.test_run(options).expect("the program runs").return_value
    }

    /// Where every packet went so far.
    pub fn totals(&self) -> Totals {
        self.program.totals().expect("the totals can be read")
    }

    /// What each flow carried since the last call; the flow map is empty then.
    pub fn flows(&mut self) -> HashMap<FlowKey, FlowStats> {
        let read = self.drain.tick(&self.program, u64::MAX, 0).expect("the flow map can be read");
        read.0.into_iter().map(|delta| (delta.key, delta.grown)).collect()
    }
}
