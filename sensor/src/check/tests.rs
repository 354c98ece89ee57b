use std::net::TcpListener;
use std::path::Path;

use super::*;
use crate::capture::nic::{Nic, XdpSupport};
use crate::capture::{CaptureConfig, HugePages, Mode, XdpMode, ZeroCopy};
use crate::cli::ConfigArgs;
use crate::sinks::{SinksConfig, WebhookConfig};

#[test]
fn verdicts() {
    let all = 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39;
    let root = 1 << 12 | 1 << 13 | 1 << 21;
    let gibibyte = 1 << 30;
    let nic = Nic { name: "eth1".to_owned(), rx_queues: 4, ..Nic::default() };
    let whole = XdpSupport { native: true, zero_copy: true, frags: true };
    let none = XdpSupport::default();
    let require = CaptureConfig { zero_copy: ZeroCopy::Require, ..CaptureConfig::default() };
    for (line, verdict, found) in [
        (machine::kernel("6.18.0-rc1"), Verdict::Ok, "Linux 6.18"),
        (machine::kernel("5.18.0"), Verdict::Ok, "Linux 5.18"),
        (machine::kernel("5.4.0-150-generic"), Verdict::Fail, "too old"),
        (machine::kernel("strange"), Verdict::Fail, "too old"),
        (machine::jit(Some("1\n")), Verdict::Ok, "on"),
        (machine::jit(Some("0\n")), Verdict::Warn, "off"),
        (machine::jit(None), Verdict::Warn, "unknown"),
        (privileges::capabilities(all, Mode::Mirror), Verdict::Ok, "all"),
        (privileges::capabilities(root, Mode::Mirror), Verdict::Ok, "all"),
        (privileges::capabilities(all & !(1 << 13), Mode::Host), Verdict::Ok, "all"),
        (
            privileges::capabilities(all & !(1 << 13), Mode::Mirror),
            Verdict::Fail,
            "missing: cap_net_raw (to open",
        ),
        (privileges::capabilities(0, Mode::Host), Verdict::Fail, "missing: cap_bpf (to load"),
        (
            privileges::judge_locked(1 << 24, Some(65_536), false),
            Verdict::Fail,
            "64KiB may be locked, samples need 16MiB",
        ),
        (privileges::judge_locked(1 << 24, Some(65_536), true), Verdict::Ok, "16MiB"),
        (privileges::judge_locked(1 << 24, None, false), Verdict::Ok, "16MiB"),
        (
            machine::judge_memory(gibibyte, Some(gibibyte - 1), "1GiB".into()),
            Verdict::Fail,
            "more than is available",
        ),
        (machine::judge_memory(gibibyte, Some(gibibyte + 1), "1GiB".into()), Verdict::Warn, "over half"),
        (machine::judge_memory(gibibyte, Some(4 * gibibyte), "1GiB".into()), Verdict::Ok, "1GiB"),
        (fitness::native(Some(whole), XdpMode::Auto), Verdict::Ok, "has it"),
        (fitness::native(Some(none), XdpMode::Auto), Verdict::Warn, "slower"),
        (fitness::native(Some(none), XdpMode::Native), Verdict::Fail, "has none"),
        (fitness::native(None, XdpMode::Native), Verdict::Ok, "6.3"),
        (fitness::queue_count(&nic, 4), Verdict::Ok, "4 in use, one thread each, 4 CPUs"),
        (fitness::queue_count(&nic, 2), Verdict::Warn, "share CPUs"),
        (fitness::queue_count(&Nic { rx_queues: 300, ..nic.clone() }, 400), Verdict::Fail, "256 at most"),
        (fitness::symmetry(&nic, Some(true), false), Verdict::Ok, "symmetric"),
        (fitness::symmetry(&nic, Some(false), true), Verdict::Ok, "made so"),
        (fitness::symmetry(&nic, Some(false), false), Verdict::Warn, "different queues"),
        (fitness::symmetry(&nic, None, true), Verdict::Ok, "does not tell"),
        (fitness::offloads(&nic, &[], true), Verdict::Ok, "none"),
        (fitness::offloads(&nic, &[("rx-gro", "merges", true)], true), Verdict::Ok, "rx-gro will be off"),
        (fitness::offloads(&nic, &[("rx-gro", "merges", true)], false), Verdict::Warn, "rx-gro merges"),
        (fitness::offloads(&nic, &[("rx-lro", "merges", false)], true), Verdict::Warn, "cannot"),
        (fitness::promiscuous(&nic, true), Verdict::Ok, "will be on"),
        (fitness::promiscuous(&nic, false), Verdict::Warn, "off"),
        (fitness::promiscuous(&Nic { promiscuity: 1, ..nic.clone() }, false), Verdict::Ok, "on"),
        (fitness::zero_copy(Some(whole), &require), Verdict::Ok, "has it"),
        (fitness::zero_copy(Some(none), &require), Verdict::Fail, "has none"),
        (fitness::zero_copy(Some(none), &CaptureConfig::default()), Verdict::Ok, "copied"),
        (fitness::huge_pages(8, 8, HugePages::Auto), Verdict::Ok, "8 of 8 free"),
        (fitness::huge_pages(8, 7, HugePages::Auto), Verdict::Ok, "sysctl -w vm.nr_hugepages=8"),
        (places::writable("state", Path::new("/nonexistent")), Verdict::Fail, "/nonexistent"),
        (places::writable("state", Path::new("/proc")), Verdict::Fail, "cannot be written"),
    ] {
        assert_eq!(line.verdict, verdict, "{line:?}");
        assert!(line.found.contains(found), "{found} in {line:?}");
        assert_eq!(line.remedy.is_empty(), verdict == Verdict::Ok, "{line:?}");
    }
    assert_eq!(machine::available("MemTotal: 5 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
    // 330 bytes an entry in the kernel, 13 in the sensor, and a lane's 128 KiB of prefixes.
    assert_eq!(
        machine::flow_table_bytes(&CaptureConfig::default(), 1),
        262_144 * (330 + 13) + 128 + (128 << 10)
    );
    let nic = Nic { rx_queues: 2, ..Nic::default() };
    assert_eq!(machine::umem_bytes(&CaptureConfig::default(), &nic), 32 << 20);
}

#[test]
fn interfaces() {
    let good = Nic {
        name: "eth1".to_owned(),
        admin_up: true,
        link_up: true,
        mtu: 1500,
        driver: "ixgbe".to_owned(),
        rx_queues: 4,
        ..Nic::default()
    };
    let mirror = CaptureConfig::default();
    let host = CaptureConfig { mode: Mode::Host, ..CaptureConfig::default() };
    let generic = CaptureConfig { xdp: XdpMode::Generic, ..CaptureConfig::default() };
    for (nic, config, verdict, found) in [
        (good.clone(), &mirror, Verdict::Ok, "eth1: ixgbe, 4 receive queues"),
        (Nic { admin_up: false, link_up: false, ..good.clone() }, &mirror, Verdict::Warn, "eth1 is set down"),
        (Nic { link_up: false, ..good.clone() }, &mirror, Verdict::Warn, "no carrier"),
        (Nic { mtu: 9000, ..good.clone() }, &mirror, Verdict::Warn, "room for 3050"),
        (Nic { mtu: 9000, ..good.clone() }, &generic, Verdict::Ok, "9000"),
        (Nic { holds_default_route: true, ..good.clone() }, &mirror, Verdict::Fail, "would cut it"),
        (Nic { loopback: true, ..good.clone() }, &mirror, Verdict::Fail, "would cut this machine's own"),
        (Nic { holds_default_route: true, ..good.clone() }, &host, Verdict::Ok, "pass"),
    ] {
        let lines = interface::facts(&nic, config);
        assert_eq!(lines.iter().map(|line| line.verdict).max(), Some(verdict), "{lines:?}");
        assert!(lines.iter().any(|line| line.found.contains(found)), "{found} in {lines:?}");
    }
}

#[test]
fn sinks_are_reached_or_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let line = |url: String| {
        let webhook = vec![WebhookConfig { url, ..WebhookConfig::default() }];
        places::sink(&crate::sinks::targets::reach(&SinksConfig { webhook, ..SinksConfig::default() })[0])
    };
    let found = line(format!("http://127.0.0.1:{port}"));
    assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
    drop(listener);
    let found = line(format!("http://127.0.0.1:{port}"));
    assert_eq!(found.verdict, Verdict::Warn, "{found:?}");
    assert!(found.found.contains("refused"), "{found:?}");
    let found = line("http://169.254.169.254".to_owned());
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
}

fn check(config: &str, interface: Option<&str>, json: bool) -> (u8, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vesper.toml");
    std::fs::write(&path, config).unwrap();
    let config = ConfigArgs { config: Some(path), interface: interface.map(str::to_owned), mode: None };
    let mut out = Vec::new();
    let code = run(&CheckArgs { config, json }, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn exit_codes() {
    let (code, text) = check("[capture]\nmodee = 'host'\nxdp = 'x'\n", None, false);
    assert_eq!(code, 78);
    assert!(text.contains("did you mean capture.mode?") && text.contains("unknown variant `x`"), "{text}");
    assert!(text.contains("\nok    kernel") || text.contains("\nfail  kernel"), "{text}");

    let (code, text) = check("", Some("nosuchif0"), false);
    assert_eq!(code, 1);
    assert!(text.contains("fail  interface     there is no interface nosuchif0; "), "{text}");

    let (code, json) = check("", Some("nosuchif0"), true);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &value["exit_code"], &value["lines"][0]["verdict"]), (1, &1.into(), &"ok".into()));
}
