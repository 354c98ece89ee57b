//! `--fix`: not ok before, ok after, and nothing to do the second time.

use std::process::Command;

use serde_json::Value;

use super::{Machine, VESPER, hide, line};

#[test]
#[ignore = "needs root: cargo xtask test"]
fn what_is_safe_is_mended_once() {
    let machine = Machine::new("chk-fix", 1);
    machine.namespace.ip(&["link", "set", "rx0", "down"]);
    let state = machine.folder.path().join("a/b");
    let config = machine.folder.path().join("fix.toml");
    let text = format!("state_dir = {state:?}\n[capture]\ninterface = \"rx0\"\nprepare_nic = false\n");
    std::fs::write(&config, text).unwrap();
    let names = ["bpffs", "link", "offloads", "promiscuous", "state"];

    let before = machine.report(&config, "", "");
    for name in names {
        let line = line(&before, name);
        assert!(line["status"] != "ok" && line["fixable"] == true && line["fixed"] == false, "{line}");
    }
    assert_eq!((before["exit_code"].as_u64(), before["changes"].as_array().unwrap().len()), (Some(1), 0));

    // A user without rights is told so, and nothing is changed.
    let without = "UNDER='setpriv --bounding-set -net_admin,-sys_admin'";
    let refused = machine.report(&config, without, "--fix");
    let change =
        refused["changes"].as_array().unwrap().iter().find(|change| change["name"] == "link").unwrap();
    assert!(change["error"].as_str().unwrap().contains("run it as root"), "{change}");
    assert_eq!(
        (&line(&refused, "link")["status"], &line(&refused, "link")["fixed"]),
        (&"warn".into(), &false.into())
    );

    let mended = machine.report(&config, "", "--fix");
    for name in names.into_iter().filter(|name| *name != "state") {
        let line = line(&mended, name);
        assert!(line["status"] == "ok" && line["fixed"] == true && line["fixable"] == false, "{line}");
        let change =
            mended["changes"].as_array().unwrap().iter().find(|change| change["name"] == name).unwrap();
        assert_eq!((&change["command"], &change["error"]), (&command(&before, name).into(), &Value::Null));
    }
    assert_eq!(mended["exit_code"], 0);
    assert!(state.is_dir());
    let features = machine.namespace.command("ethtool").args(["-k", "rx0"]).output().unwrap();
    assert!(String::from_utf8_lossy(&features.stdout).contains("rx-vlan-offload: off"));

    // bpffs was mounted in the mount namespace of that command, which is gone: it is mended in this one's, too.
    let again = machine.report(&config, "$CHECK >&2", "--fix");
    assert_eq!(again["changes"].as_array().unwrap().len(), 0, "{:#}", again["changes"]);
    assert!(again["lines"].as_array().unwrap().iter().all(|line| line["fixed"] == false));
    assert_eq!(again["exit_code"], 0);
}

/// The switch belongs to the first network namespace, and to the whole machine: a file stands for it.
#[test]
#[ignore = "needs root: cargo xtask test"]
fn the_compiler_is_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vesper.toml");
    let text = format!("state_dir = {:?}\n[capture]\ninterface = \"lo\"\nmode = \"host\"\n", folder.path());
    std::fs::write(&config, text).unwrap();
    let check = format!("{VESPER} check --config {} --quiet", config.display());
    let hidden = hide("/proc/sys/net/core/bpf_jit_enable", "0");
    let script =
        format!("{hidden}; {check}; {check} --fix; {check} --fix; cat /proc/sys/net/core/bpf_jit_enable");
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    let count = |words: &str| text.matches(words).count();
    assert_eq!(count("  warn  bpf jit       off"), 1, "before, not after");
    assert_eq!(count("  done  bpf jit       sysctl -w net.core.bpf_jit_enable=1\n"), 1, "once");
    assert_eq!(count("  ok    bpf jit       on (mended)\n"), 1);
    assert!(text.ends_with("\n1"), "{text}");
}

fn command(report: &Value, name: &str) -> String {
    line(report, name)["command"].as_str().unwrap().to_owned()
}
