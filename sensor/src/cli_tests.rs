use super::*;
use clap::CommandFactory;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn lines_as_in_the_design() {
    for line in [
        "vesper run",
        "vesper run --config f.toml --interface eth0 --mode host --json",
        "vesper analyze a.pcap b.pcapng.gz - --alerts a.jsonl --scores s.csv --rows r.csv --flows f.csv --eve e.jsonl --json",
        "vesper analyze a.pcap --model m --save-model n --journal j --threads 4",
        "vesper check --config f.toml --interface eth0",
        "vesper check --fix --quiet",
        "vesper check --fix --json",
        "vesper config show --defaults",
        "vesper config show --config f.toml",
        "vesper journal --host 10.0.0.1 --since 1h --unusual --json",
        "vesper model info --json",
        "vesper model rollback 20261121T080000Z-g12 --config f.toml",
        "vesper model promote",
        "vesper alerts list --type portscan --severity high --state open --host 10.0.0.1 --since 1h --limit 5 --json",
        "vesper alerts show THREAT_20261121_001 --pcapng f.pcapng --config f.toml",
        "vesper alerts verify",
        "vesper alerts retry",
        "vesper alerts retry webhook_1",
        "vesper alerts test jsonl",
        "vesper model train --journal --json",
        "vesper model train a.pcap b.pcap",
        "vesper journal folder --until 2026-11-21",
        "vesper incidents list --json --limit 5",
        "vesper incidents search port scan --config f.toml",
        "vesper incidents add",
        "vesper incidents add --symptom s --action a --type PortScan --severity high --port 22 --json",
        "vesper incidents import f.csv",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
    for line in [
        "vesper",
        "vesper analyze",
        "vesper run --mode tap",
        "vesper runn",
        "vesper model train",
        "vesper check --json --quiet",
        "vesper alerts",
        "vesper alerts test",
        "vesper model train a --journal",
        "vesper incidents search",
        "vesper incidents add --symptom s",
        "vesper incidents add --title t",
        "vesper incidents add --symptom s --action a --severity bad",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
