use std::net::TcpListener;

use super::super::testing::secret_file;
use super::*;
use crate::sinks::config::*;

fn found(config: SinksConfig) -> Reached {
    reach(&config).remove(0).found
}

#[test]
fn each_kind_is_reached_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let none = || SinksConfig::default();
    let webhook =
        |url: String| SinksConfig { webhook: vec![WebhookConfig { url, ..Default::default() }], ..none() };
    let slack = |text: &str| {
        let url_file = secret_file(folder.path(), "url", text);
        SinksConfig { slack: vec![SlackConfig { url_file, ..Default::default() }], ..none() }
    };
    let syslog = |address: String| SinksConfig {
        syslog: vec![SyslogConfig { address, ..Default::default() }],
        ..none()
    };
    let email = |port| {
        let server = "127.0.0.1".to_owned();
        SinksConfig { email: vec![EmailConfig { server, port, ..Default::default() }], ..none() }
    };
    let kafka =
        |brokers| SinksConfig { kafka: vec![KafkaConfig { brokers, ..Default::default() }], ..none() };
    let url = format!("http://u:hunter2@{address}");
    for config in [
        webhook(url.clone()),
        slack(&format!("http://{address}/hunter2")),
        SinksConfig { alertmanager: vec![AlertmanagerConfig { url, ..Default::default() }], ..none() },
        syslog(format!("tcp://{address}")),
        syslog(format!("udp://{address}")),
        syslog(format!("unix:{}", folder.path().display())),
        email(address.port()),
        kafka(vec!["127.0.0.1:1".to_owned(), address.to_string()]),
    ] {
        let found = found(config);
        assert!(matches!(&found, Reached::Yes(text) if !text.contains("hunter2")), "{found:?}");
    }
    drop(listener);
    for config in [
        webhook(format!("http://{address}")),
        slack(&format!("http://{address}/hunter2")),
        syslog(format!("tcp://{address}")),
        syslog("unix:/nonexistent".to_owned()),
        email(address.port()),
        kafka(vec![address.to_string()]),
    ] {
        let found = found(config);
        assert!(matches!(&found, Reached::NotNow(text) if !text.contains("hunter2")), "{found:?}");
    }
    let missing = SlackConfig { url_file: "/nonexistent".into(), ..Default::default() };
    for config in [
        webhook("http://169.254.169.254".to_owned()),
        slack("http://169.254.169.254/hunter2"),
        SinksConfig { slack: vec![missing], ..none() },
    ] {
        let found = found(config);
        assert!(matches!(&found, Reached::Never(text) if !text.contains("hunter2")), "{found:?}");
    }
}
