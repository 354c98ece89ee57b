//! `cargo xtask`: what cargo alone cannot do. No product code lives here, and nothing here is needed to run
//! the product.
#![allow(clippy::disallowed_methods, reason = "a tool for people: it measures how long things take")]

mod bench;
mod cuda;
mod dashboards;
mod demo;
mod deploy;
mod dist;
mod ebpf;
mod eval;
mod fuzz;
mod interrupt;
mod lab;
mod program;
mod random;
mod setup;
mod step;
mod test;
mod tidy;
mod traffic;
mod types;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo [--keep] [--seed N]   set up, build, make a lab, run the sensor live, show it catch five attacks;
                             --keep leaves lab, traffic and sensor running
  test [FILTER]              set up, then every check and test; as root the privileged tests too
  bench offline [OPTIONS]    a capture through the sensor, softflowd, nfpcapd, argus and NFStream
  bench live [OPTIONS]       the same capture sent into a veth pair, one core for the sender, one for each of them;
                             --frames: the packet generator of the kernel, against a program that only drops
  bench flood [OPTIONS]      a spoofed flood between the packets of established flows
  bench stages [OPTIONS]     time of each stage of the sensor, by Criterion
  bench score [OPTIONS]      windows a second through the model, against onnxruntime and the machine's limits
  bench gpu                  the same on an NVIDIA GPU, and that it finds what the CPU finds; exit code 3 without one
  bench kernel [OPTIONS]     nanoseconds a packet in the kernel
                             options: --rounds N, --pcap FILE, --only NAME,NAME; results in target/bench
  eval [DIR] [OPTIONS]       how well the sensor detects: on the captures in DIR (../shared/data) and on made traffic
                             options: --only SET,SET, --seeds N, --vesper (no baselines), --sensor FILE (another
                             build of vesper), --ablation, --write-docs; results in target/eval
  cuda [--dev]               build the sensor for NVIDIA GPUs, also where there is none; says where it is
  cuda test                  that it starts without a GPU and survives drivers that do not work
  dashboards [--check]       write dashboards/grafana from xtask/src/dashboards; --check only compares
  dist [OPTIONS]             a Debian package, an archive, checksums and the bill of materials, in target/dist
                             options: --profile NAME, --features cuda, --sensor FILE (built already), --version V,
                             --out DIR
  deploy --host HOST ...     the package to these machines, one after the other: install, check, wait until ready, or go back
                             options: --package FILE, --dry-run, --status, --port N, --identity FILE, --ssh-config FILE,
                             --wait SECONDS; what to write into the settings: --interface IF, --mode mirror|host,
                             --set SECTION.NAME=VALUE, --sink \"KIND NAME=VALUE ...\", --credential NAME=FILE
  ebpf [--check]             build the XDP program from source and install it; --check only compares
  fuzz parse [--minutes N]   the header parser on what libFuzzer thinks of, 5 minutes unless told otherwise
  types [--sensor FILE]      train what alerts look like on labelled traffic that code makes, and commit the weights
  tidy                       what no compiler checks: file length, the committed object, unsafe, README
  lab up                     make the lab of network namespaces and leave it
  lab down [--all]           remove labs whose maker is gone; --all removes every lab of this machine
  lab exec NAME COMMAND...   run a command inside one namespace of the lab that is up
  lab traffic [SECONDS]      ordinary traffic in the lab that is up
  lab attack KIND            port-scan, syn-flood, brute-force, beacon or exfiltration, in the lab that is up
  setup                      install what test and demo need, and nothing else

exit codes: 0 done, 1 failed, 2 usage, 3 no GPU (bench gpu)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["demo", rest @ ..] => demo::command(rest),
        ["test", rest @ ..] => test::command(rest),
        ["bench", rest @ ..] => bench::command(rest),
        ["eval", rest @ ..] => eval::command(rest),
        ["cuda", rest @ ..] => cuda::command(rest),
        ["dashboards", rest @ ..] => dashboards::command(rest),
        ["deploy", rest @ ..] => deploy::command(rest),
        ["dist", rest @ ..] => dist::command(rest),
        ["ebpf", rest @ ..] => ebpf::command(rest),
        ["fuzz", rest @ ..] => fuzz::command(rest),
        ["types", rest @ ..] => types::command(rest),
        ["tidy"] => tidy::command(),
        ["setup"] => setup::everything(),
        ["lab", rest @ ..] => lab::command(rest),
        ["lab-worker", rest @ ..] => traffic::worker(rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => return usage(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            eprintln!("{error:#}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(error) if error.is::<Reported>() => ExitCode::FAILURE,
        Err(error) if error.is::<bench::gpu::NoGpu>() => {
            eprintln!("{error}");
            ExitCode::from(3)
        }
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The arguments made no sense: exit code 2, and the usage text.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// It failed, and all there is to say was said.
#[derive(Debug)]
struct Reported;

impl std::fmt::Display for Reported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed, see above")
    }
}

impl std::error::Error for Reported {}

/// An error about arguments that a command does not understand.
fn misused(command: &str, args: &[&str]) -> anyhow::Error {
    Usage(format!("cargo xtask {command} does not understand `{}`", args.join(" "))).into()
}

fn usage(words: &[&str]) -> ExitCode {
    match words {
        [] => eprintln!("{USAGE}"),
        _ => eprintln!("unknown command `{}`\n\n{USAGE}", words.join(" ")),
    }
    ExitCode::from(2)
}
