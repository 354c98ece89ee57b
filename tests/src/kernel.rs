//! The XDP program under BPF_PROG_TEST_RUN: frames in, and what it counted out.

use std::collections::HashMap;
use std::time::Duration;

use aya::TestRun;
use aya::programs::TestRunOptions;
use sensor::capture::{Drain, Frames, Program, TableSize};
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
        let size = TableSize::new(entries, 1, false);
        let program = Program::load(size, Frames::Single).expect("the kernel takes the program");
        // Whatever is read counts as idle, and is taken out.
        let drain = Drain::new(&program.table, Duration::ZERO);
        Kernel { program, drain }
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

    /// What each flow carried since the last call; the flow table is empty then.
    pub fn flows(&mut self) -> HashMap<FlowKey, FlowStats> {
        let mut flows = HashMap::new();
        // Idle entries leave a part of the table at a time. No packet is under way, so there is nothing to wait for.
        loop {
            self.drain
                .drain(&mut self.program, u64::MAX, 0, false, |delta| {
                    assert!(flows.insert(delta.key, delta.grown).is_none(), "twice: {:?}", delta.key);
                })
                .expect("the flow table can be read");
            if self.drain.entries() == 0 {
                return flows;
            }
        }
    }
}
