//! What a million prefixes cost.

use super::*;

/// What a million prefixes cost. Prints what docs/intel.md says.
#[test]
#[ignore = "needs root: cargo xtask test; measures with VESPER_LONG=1"]
fn a_million_prefixes() {
    if std::env::var_os("VESPER_LONG").is_none() {
        return;
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut draw = |count: usize| -> Vec<String> {
        let mut networks = Vec::with_capacity(count);
        while networks.len() < count {
            let bits = random.next();
            let (address, len) = (Ipv4Addr::from(bits as u32), bits >> 36 & 0xf);
            // Mostly addresses, as in lists; some networks of 16 to 256 addresses.
            let len = if len < 13 { 32 } else { 24 + len % 5 };
            if !address.is_private() {
                networks.push(format!("{address}/{len}"));
            }
        }
        networks
    };
    let (first, second) = (draw(1_000_000), draw(10_000));
    let started = Instant::now();
    let set = set_of(&nothing_own(), &[(false, first.clone())]);
    println!(
        "set of {} prefixes: {:.2} s, {:.0} MiB",
        set.trie().len(),
        started.elapsed().as_secs_f64(),
        mib(set.bytes() as u64)
    );
    let changed = set_of(&nothing_own(), &[(false, [&first[5_000..], &second].concat())]);

    for program in ["full", "full_scattered"] {
        let (mut kernel, mut lister) = bench(program);
        let before = measured(&mut kernel, program);
        let slab = slab();
        let started = Instant::now();
        kernel.list(&mut lister, &set);
        let loaded = started.elapsed();
        let memory = slab_since(slab);
        let after = measured(&mut kernel, program);
        println!(
            "{program}: {before} ns a packet with none, {after} with a million ({:.2}x); loaded in {:.2} s, {:.0} MiB of kernel memory",
            after as f64 / before as f64,
            loaded.as_secs_f64(),
            mib(memory)
        );
        if program == "full" {
            let started = Instant::now();
            kernel.list(&mut lister, &changed);
            println!("the other trie filled and in use: {:.2} s", started.elapsed().as_secs_f64());
            let started = Instant::now();
            kernel.list(&mut lister, &set);
            println!(
                "the first one again, 1.5 % of it changed: {:.0} ms",
                started.elapsed().as_secs_f64() * 1e3
            );
            let started = Instant::now();
            kernel.list(&mut lister, &set);
            let started_again = started.elapsed().as_secs_f64() * 1e3;
            println!("nothing changed (the turn alone, and 1.5 %): {started_again:.0} ms");
        }
    }
}

fn bench(program: &'static str) -> (Kernel, Lister) {
    let object =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../sensor-ebpf/bench-programs.o")).unwrap();
    let mut program = Program::load_from(&object, program, TableSize::new(2_097_152, 1, false)).unwrap();
    let mut draw: Array<_, [u64; 3]> = Array::try_from(program.ebpf().map_mut("DRAW").unwrap()).unwrap();
    draw.set(0, [100_000, 0x2545_f491_4f6c_dd1d, 0], 0).unwrap();
    program.set_control(Control { mode: mode::MIRROR, one_in: 1 << 30, ..Control::default() }).unwrap();
    Kernel::new(program)
}

/// Nanoseconds a packet, the median of some runs.
fn measured(kernel: &mut Kernel, program: &str) -> u64 {
    let fresh = program != "full";
    let frame =
        frames::udp((Ipv4Addr::new(10, 0, 0, 1).into(), 1), (Ipv4Addr::new(192, 0, 2, 1).into(), 2), &[0; 6]);
    let repeat = if fresh { 100_000 } else { 1_000_000 };
    let mut runs: Vec<u64> = (0..6)
        .map(|_| {
            let options = TestRunOptions { data_in: Some(&frame), repeat, ..TestRunOptions::new() };
            let run = kernel.program.xdp().unwrap().test_run(options).unwrap();
            kernel.listed();
            run.duration.as_nanos() as u64
        })
        .skip(1)
        .collect();
    runs.sort_unstable();
    runs[runs.len() / 2]
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Kernel memory that is not given back, bytes.
fn slab() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let field = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("Slab:") + field("Percpu:")) << 10
}

fn slab_since(before: u64) -> u64 {
    slab().saturating_sub(before)
}
