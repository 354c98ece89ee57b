//! Sinks that change while alerts come, and what a sink says of itself.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::tests::{Bench, LONG, bins, server, to, wait};
use super::*;

#[test]
fn what_a_tick_said_is_taken_back_by_the_next_one_that_is_well() {
    /// Its care fails while the flag is up; it delivers nothing.
    struct Caring(Arc<AtomicBool>);
    impl Target for Caring {
        fn deliver(&mut self, _messages: &[Message], _timeout: Duration) -> Vec<Outcome> {
            vec![Outcome::Retry { error: "answered 503".to_owned(), after: None }]
        }
        fn tick(&mut self, _now: u64) -> Result<(), String> {
            if self.0.load(Relaxed) { Err("the peer is gone".to_owned()) } else { Ok(()) }
        }
    }
    let bench = Bench::new();
    let gone = Arc::new(AtomicBool::new(true));
    let limits = WebhookConfig::default().limits();
    let sink = Sink { name: "caring".to_owned(), limits, target: Box::new(Caring(Arc::clone(&gone))) };
    let sinks = Sinks::start(vec![sink], &bench.store).unwrap();
    wait(&sinks, |status| status[0].failing == "the peer is gone");
    gone.store(false, Relaxed);
    wait(&sinks, |status| status[0].failing.is_empty());
    // What a delivery said stays: no tick knows better.
    bench.raise(1);
    wait(&sinks, |status| status[0].failing == "answered 503");
    std::thread::sleep(Duration::from_millis(2200));
    assert_eq!(sinks.status()[0].failing, "answered 503");
}

#[test]
fn sinks_are_replaced_while_alerts_come() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let bench = Bench::new();
    let (here, requests) = server(&[]);
    let named = |name: &str, url: &str| WebhookConfig { name: name.to_owned(), ..to(url) };
    let gone = format!("http://{address}");
    let sinks = bench.start(vec![named("moves", &gone), named("leaves", &gone)], true);
    for number in 1..=10 {
        bench.raise(number);
    }
    wait(&sinks, |status| status[0].delivered == 10 && status[1].attempts_failed > 0);
    let config = SinksConfig {
        jsonl: JsonlConfig { enabled: false, ..JsonlConfig::default() },
        webhook: vec![named("moves", &here), named("comes", &here)],
        ..SinksConfig::default()
    };
    sinks.replace(configured(&config, bench.folder.path()), Duration::from_secs(2)).unwrap();
    bench.raise(11);
    // What waited goes to the new address; the new sink is told what comes from now on.
    let status = wait(&sinks, |status| status[0].delivered == 11 && status[1].delivered == 1);
    assert_eq!(status.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["moves", "comes"]);
    assert_eq!(
        (bins(&status[0])[..3].to_vec(), bins(&status[1])[..3].to_vec()),
        (vec![11, 11, 0], vec![1, 1, 0])
    );
    assert_eq!(requests.try_iter().count(), 12);
    let left = bench.store.read(|connection| outbox::status(connection, "leaves")).unwrap();
    assert_eq!((left.residue(), left.pending, left.expired_removed), (0, 0, 10));
    let other = sinks.clone();
    sinks.stop(LONG);
    other.replace(configured(&config, bench.folder.path()), Duration::ZERO).unwrap();
    assert!(other.status().is_empty(), "nothing starts after the end");
}
