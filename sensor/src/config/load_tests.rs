use std::io::Write;
use std::time::Duration;

use super::*;

const NO_FLAGS: Overrides = Overrides { interface: None, mode: None };

fn load_text(text: &str, environment: &[(&str, &str)], flags: &Overrides) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vesper.toml");
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(&path), environment, flags)
        .map_err(|error| error.to_string().replace(&path.display().to_string(), "vesper.toml"))
}

#[test]
fn each_problem_names_place_setting_value_and_remedy() {
    for (text, expected) in [
        (
            "[capture]\nintrface = \"eth0\"\n",
            "vesper.toml:2: unknown key capture.intrface; did you mean capture.interface?",
        ),
        ("interface = \"eth0\"\n", "vesper.toml:1: unknown key interface; did you mean capture.interface?"),
        ("\n[captur]\nmode = 1\nxdp = 2", "vesper.toml:3: unknown key captur; did you mean capture?"),
        ("[captur]\n", "vesper.toml:1: unknown key captur; did you mean capture?"),
        (
            "[api]\nzzzzzzzz = 1",
            "vesper.toml:2: unknown key api.zzzzzzzz; known here: listen, tls_cert, tls_key, tokens_file, names, live_clients, upload_max_bytes, analyses",
        ),
        (
            "[[sinks.webhook]]\nurll = 'http://a'",
            "vesper.toml:2: unknown key sinks.webhook[0].urll; did you mean sinks.webhook[0].url?",
        ),
        (
            "[capture]\nmode = 'tap'",
            "vesper.toml:2: capture.mode = \"tap\": unknown variant `tap`, expected `mirror` or `host`",
        ),
        (
            "[capture]\ndrain_interval = '100'",
            "vesper.toml:2: capture.drain_interval = \"100\": `100` is not a duration: write a number and a unit, as in 100ms, 30s, 5m, 2h or 7d",
        ),
        (
            "[capture]\nring_entries = 1000",
            "vesper.toml:2: capture.ring_entries = 1000 is not a power of two: use 1024",
        ),
        (
            "[capture]\nring_entries = -1",
            "vesper.toml:2: capture.ring_entries = -1: invalid value: integer `-1`, expected u32",
        ),
        (
            "[capture.sample]\none_in = 'x'",
            "vesper.toml:2: capture.sample.one_in = \"x\": invalid type: string \"x\", expected u32",
        ),
        (
            "[api]\nlisten = '127.0.0.1'",
            "vesper.toml:2: api.listen = \"127.0.0.1\": invalid socket address syntax",
        ),
        (
            "[sinks.jsonl]\nrotate_bytes = '64M'",
            "vesper.toml:2: sinks.jsonl.rotate_bytes = \"64M\": `64M` is not a size: write a number and a unit, as in 512KiB, 64MiB or 2GiB",
        ),
        (
            "[[sinks.webhook]]\nname = 'a'\nurl = 'soc.example.net'",
            "vesper.toml:3: sinks.webhook[0].url is not an http:// or https:// address: write one such as https://soc.example.net",
        ),
        (
            "[[sinks.webhook]]\nname = 'jsonl'\nurl = 'http://a'",
            "vesper.toml:2: sinks.webhook[0].name = \"jsonl\" is taken by another sink: choose another",
        ),
        (
            "[telemetry]\nlevel = 'sensor=loud'",
            "vesper.toml:2: telemetry.level = \"sensor=loud\" is not a log level (error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5): use error, warn, info, debug or trace",
        ),
        (
            "capture = 3",
            "vesper.toml:1: capture = 3: invalid type: integer `3`, expected struct CaptureConfig",
        ),
        (
            "[capture]\nmode = ",
            "vesper.toml:2: not valid TOML: string values must be quoted, expected literal string",
        ),
        ("[capture]\nxdp = 'auto'\nxdp = 'auto'", "vesper.toml:3: not valid TOML: duplicate key"),
    ] {
        let error = load_text(text, &[], &NO_FLAGS).unwrap_err();
        assert_eq!(error, format!("the configuration has 1 problem:\n  {expected}"), "\n{text}");
    }
}

#[test]
fn all_problems_at_once() {
    let text = "[capture]\nmode = 'tap'\nring_entries = 1000\nbogus_thing = 1\n[[sinks.webhook]]\nurl = 'http://a'\n[[sinks.webhook]]\nqueue = 'x'\nurl = 'ftp://b'\n";
    let error = load_text(text, &[("VESPER_CAPTURE_XDP", "fast")], &NO_FLAGS).unwrap_err();
    let lines: Vec<&str> = error.lines().map(|line| line.split(['=', ';']).next().unwrap().trim()).collect();
    let expected = [
        "the configuration has 6 problems:",
        "vesper.toml:4: unknown key capture.bogus_thing",
        "vesper.toml:2: capture.mode",
        "vesper.toml:8: sinks.webhook[1].queue",
        "environment VESPER_CAPTURE_XDP: capture.xdp",
        "vesper.toml:3: capture.ring_entries",
        "vesper.toml:9: sinks.webhook[1].url is not an http:// or https:// address: write one such as https://soc.example.net",
    ];
    assert_eq!(lines, expected, "{error}");
}

#[test]
fn the_last_one_wins() {
    let text = "[capture]\ninterface = 'file0'\nmode = 'host'\ndrain_interval = '200ms'\n";
    let environment = [
        ("VESPER_CAPTURE_INTERFACE", "1"),
        ("VESPER_CAPTURE_SAMPLE_ONE_IN", "7"),
        ("VESPER_CAPTURE_DRAIN_INTERVAL", "1s"),
        ("VESPER_CAPTURE_PIN_CPUS", "false"),
        ("VESPER_SINKS_WEBHOOK", "[{url = \"http://a\"}]"),
        ("VESPER_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    let flags = Overrides { interface: None, mode: Some(Mode::Mirror) };
    let loaded = load_text(text, &environment, &flags).unwrap();
    let capture = &loaded.config.capture;
    assert_eq!(capture.interface.as_deref(), Some("1"));
    assert_eq!((capture.mode, capture.sample.one_in, capture.pin_cpus), (Mode::Mirror, 7, false));
    assert_eq!(capture.drain_interval, Duration::from_secs(1));
    assert_eq!(loaded.config.sinks.webhook[0].url, "http://a");
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);

    let flags = Overrides { interface: Some("eth0".to_owned()), mode: None };
    let loaded = load_text(text, &environment, &flags).unwrap();
    assert_eq!(loaded.config.capture.interface.as_deref(), Some("eth0"));

    let error = load_text("", &[("VESPER_CAPTURE_INTERFCE", "a")], &NO_FLAGS).unwrap_err();
    assert!(error.contains("did you mean VESPER_CAPTURE_INTERFACE?"), "{error}");
    let flags = Overrides { interface: Some("much_too_long_name".to_owned()), mode: None };
    let error = load_text("", &[], &flags).unwrap_err();
    assert!(error.contains("--interface: capture.interface = \"much_too_long_name\""), "{error}");
}

#[test]
fn secrets_stay_out_of_messages() {
    let error = load_text("[[sinks.webhook]]\nurl = 'ftp://user:hunter2@a'", &[], &NO_FLAGS).unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
    let error = load_text("[api]\nlisten = 'http://user:hunter2@a'", &[], &NO_FLAGS).unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_sample_file_is_the_defaults() {
    let text = include_str!("../../../systemd/vesper.toml");
    let loaded = load_text(text, &[], &NO_FLAGS).unwrap();
    assert_eq!(loaded.config, Config::default());
    // Without the `#`, every setting must be there and have its default.
    let mut settings = String::new();
    for line in text.lines().filter(|line| !line.starts_with("# ") && !line.is_empty()) {
        settings.extend([line.strip_prefix('#').unwrap_or(line), "\n"]);
    }
    let mut config = load_text(&settings, &[], &NO_FLAGS).unwrap().config;
    assert_eq!(config.capture.interface.take().as_deref(), Some("eth1"));
    // Of each list there is one, with what has no default.
    let sinks = std::mem::take(&mut config.sinks);
    assert_eq!(sinks, sinks_of_the_sample());
    assert_eq!(config.intel.feed.len(), 1);
    config.intel.feed.clear();
    assert_eq!(config, Config::default());
    for setting in Schema::of_config().settings() {
        let key = setting.rsplit('.').next().unwrap();
        assert!(settings.contains(key), "systemd/vesper.toml lacks {setting}");
    }
}

fn sinks_of_the_sample() -> crate::sinks::SinksConfig {
    use crate::sinks::config::*;
    let url = |text: &str| text.to_owned();
    SinksConfig {
        webhook: vec![WebhookConfig { url: url("https://soc.example.net"), ..Default::default() }],
        slack: vec![SlackConfig { url_file: "slack-url".into(), ..Default::default() }],
        alertmanager: vec![AlertmanagerConfig { url: url("http://127.0.0.1:9093"), ..Default::default() }],
        syslog: vec![SyslogConfig::default()],
        email: vec![EmailConfig {
            server: url("mail.example.net"),
            from: url("Vesper <vesper@example.net>"),
            to: vec![url("soc@example.net")],
            ..Default::default()
        }],
        kafka: vec![KafkaConfig { brokers: vec![url("kafka1.example.net:9092")], ..Default::default() }],
        ..Default::default()
    }
}

#[test]
fn odd_files() {
    let missing =
        load(Some(FilePath::new("/nonexistent/vesper.toml")), [], &NO_FLAGS).unwrap_err().to_string();
    assert!(missing.contains("/nonexistent/vesper.toml: cannot be opened"), "{missing}");
    let endless = load(Some(FilePath::new("/dev/zero")), [], &NO_FLAGS).unwrap_err().to_string();
    assert!(endless.contains("larger than"), "{endless}");
    assert!(load(Some(FilePath::new("/dev/null")), [], &NO_FLAGS).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", at in 0usize..2500, with in "[\\[\\]{}=\"'.#\\na-z0-9]{0,8}") {
        let _any = load_text(&text, &[], &NO_FLAGS);
        let mut sample: Vec<char> = include_str!("../../../systemd/vesper.toml").replace('#', "").chars().collect();
        let at = at.min(sample.len());
        sample.splice(at..at, with.chars());
        let _any = load_text(&sample.iter().collect::<String>(), &[], &NO_FLAGS);
    }
}
