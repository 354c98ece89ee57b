use super::super::*;

/// The problems of a section `sinks` written as TOML.
fn problems(text: &str) -> Vec<String> {
    toml::from_str::<SinksConfig>(text)
        .map_or_else(|error| vec![error.message().to_owned()], |c| c.problems())
}

#[test]
fn each_problem_has_a_remedy() {
    const WEB: &str = "[[webhook]]\nurl = 'https://soc'\n";
    const MAIL: &str = "[[email]]\nserver = 'mail'\nfrom = 'a@b.de'\nto = ['c@d.de']\n";
    const KAFKA: &str = "[[kafka]]\nbrokers = ['k:9092']\n";
    const AM: &str = "[[alertmanager]]\nurl = 'http://127.0.0.1:9093'\n";
    for (text, expected) in [
        ("[[webhook]]\nurl = 'ftp://a'".to_owned(), "webhook[0].url is not an http:// or https:// address"),
        (
            "[[webhook]]\nurl = 'https://u:hunter2@soc'".to_owned(),
            "url holds a user or password: use token_file",
        ),
        ("[[webhook]]\nurl = 'https://hooks.slack.com/x'".to_owned(), "use [[sinks.slack]]"),
        ("[[webhook]]\nurl = 'http://soc'\ntoken_file = '/t'".to_owned(), "in the clear: use an https://"),
        (format!("{WEB}secret = 'hunter2'"), "unknown field `secret`"),
        (format!("{WEB}secret_file = 'a/b'"), "secret_file is neither an absolute path nor the name"),
        (format!("{WEB}severity = 'bad'"), "unknown variant `bad`, expected one of `low`"),
        (format!("{WEB}types = ['Bad']"), "unknown variant `Bad`"),
        (format!("{WEB}tell = []"), "tell is empty: nothing would be told"),
        (format!("{WEB}timeout = '1ms'"), "timeout = 1ms is out of range: choose 100ms to 5m"),
        (format!("{WEB}give_up_after = '1s'"), "give_up_after = 1s is too short"),
        (format!("{WEB}queue = 0"), "queue = 0 is out of range"),
        (format!("{WEB}group_for = '2h'"), "group_for = 2h is out of range: choose 0ms to 1h"),
        (format!("{WEB}name = 'eve'"), "name = \"eve\" is taken by another sink"),
        (
            format!("{WEB}[[slack]]\nname = 'webhook_1'\nurl_file = '/s'"),
            "slack[0].name = \"webhook_1\" is taken",
        ),
        ("[[slack]]".to_owned(), "slack[0].url_file is empty: name a file"),
        (
            "[[slack]]\nurl_file = '/s'\ngroup_for = '0ms'".to_owned(),
            "group_for = 0ms is out of range: choose 1s",
        ),
        (format!("{AM}resend_every = '1h'\nresolve_after = '2h'"), "resend_every = 1h is out of range"),
        (format!("{AM}resolve_after = '1s'"), "resolve_after = 1s is below resend_every"),
        (format!("{AM}tell = ['system']"), "tell has more than alerts"),
        (
            "[[syslog]]\naddress = 'tcp://host'".to_owned(),
            "address = \"tcp://host\" is no address: write unix:",
        ),
        ("[[syslog]]\nfacility = 'local8'".to_owned(), "facility = \"local8\" is none"),
        (MAIL.replace("a@b.de", "nobody"), "from is no address"),
        (MAIL.replace("['c@d.de']", "[]"), "to lacks an address"),
        (format!("{MAIL}security = 'none'"), "\"none\" is for a server on this machine only"),
        (format!("{MAIL}user = 'u'"), "password_file is empty"),
        ("[[kafka]]".to_owned(), "brokers lacks a host:port"),
        (format!("{KAFKA}topic = 'a b'"), "topic = \"a b\" is no topic"),
        (format!("{KAFKA}tls = true"), "ca_file is empty: with tls it is needed"),
        (
            format!("{KAFKA}user = 'u'\npassword_file = '/p'"),
            "tls is off: the password would be sent in the clear",
        ),
        ("sensor = 'a b'".to_owned(), "sensor = \"a b\" is no name"),
        ("console_url = 'javascript:1'".to_owned(), "console_url is not an http:// or https:// address"),
        (
            "[jsonl]\npath = ''".to_owned(),
            "jsonl.path is empty: name a file, or set sinks.jsonl.enabled = false",
        ),
        ("[eve]\nenabled = true\npath = 'alerts.jsonl'".to_owned(), "eve.path is that of sinks.jsonl"),
        (WEB.repeat(17), "webhook: 17 are too many: at most 16"),
    ] {
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].contains(expected), "{text}\n{found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
    for text in
        [WEB, MAIL, KAFKA, AM, "[[syslog]]", "[eve]\nenabled = true", "[[slack]]\nurl_file = 'slack-url'"]
    {
        assert_eq!(problems(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_sink_is_asked_before_anything_waits_for_it() {
    let only = Only {
        severity: Severity::High,
        types: vec![ThreatType::DDoS],
        tell: vec![Told::Raised, Told::System],
    };
    for (told, alert, wanted) in [
        (Told::Raised, Some((ThreatType::DDoS, Severity::High)), true),
        (Told::Raised, Some((ThreatType::DDoS, Severity::Critical)), true),
        (Told::Raised, Some((ThreatType::DDoS, Severity::Medium)), false),
        (Told::Raised, Some((ThreatType::PortScan, Severity::Critical)), false),
        (Told::Updated, Some((ThreatType::DDoS, Severity::High)), false),
        (Told::System, None, true),
        (Told::Decision, None, false),
    ] {
        assert_eq!(only.wants(told, alert), wanted, "{told:?} {alert:?}");
    }
    assert!(
        WebhookConfig::default().limits().only.wants(Told::Updated, Some((ThreatType::Bot, Severity::Low)))
    );
}

#[test]
fn names_and_addresses() {
    let syslog = |address: &str| SyslogConfig { address: address.to_owned(), ..Default::default() }.target();
    assert_eq!(syslog("unix:/dev/log"), Some(SyslogAddress::Unix("/dev/log".into())));
    assert_eq!(syslog("udp://[::1]:514"), Some(SyslogAddress::Udp("[::1]:514".to_owned())));
    for wrong in ["", "unix:dev", "udp://", "udp://:514", "tcp://host:0", "http://a:1"] {
        assert_eq!(syslog(wrong), None, "{wrong}");
    }
    let sensor = SinksConfig::default().sensor();
    assert!(!sensor.is_empty() && sensor.chars().all(|c| problems::is_plain(c) || c == '.'), "{sensor}");
}
