//! A broker of one topic, as much of Kafka's protocol as a producer needs: ApiVersions, Metadata, Produce.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::super::testing::{alert, of_alert};
use super::*;

const LONG: Duration = Duration::from_secs(20);

/// Reads the big-endian integers and strings of the protocol.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn string(&mut self) -> String {
        let length = self.i16();
        let bytes = if length < 0 { &[] } else { self.take(length as usize) };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Zigzag, as records have their lengths.
    fn varint(&mut self) -> i64 {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.take(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
            }
        }
    }

    fn bytes(&mut self) -> String {
        let length = self.varint();
        String::from_utf8(self.take(length.max(0) as usize).to_vec()).unwrap()
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as i16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn i32s(out: &mut Vec<u8>, values: &[i32]) {
    for value in values {
        out.extend(value.to_be_bytes());
    }
}

/// One record as it arrived: key, value, `vesper-id`.
type Got = (String, String, String);

struct Broker {
    address: SocketAddr,
    records: Receiver<Got>,
    /// The error of the next batch.
    error: Arc<Mutex<i16>>,
}

fn broker(listener: TcpListener) -> Broker {
    let address = listener.local_addr().unwrap();
    let (sender, records) = sync_channel(10_000);
    let error = Arc::new(Mutex::new(0));
    let errors = Arc::clone(&error);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (sender, errors) = (sender.clone(), Arc::clone(&errors));
            std::thread::spawn(move || serve(stream, address, &sender, &errors));
        }
    });
    Broker { address, records, error }
}

fn serve(mut stream: TcpStream, address: SocketAddr, sender: &SyncSender<Got>, error: &Mutex<i16>) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let mut request = vec![0; i32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).unwrap();
        let mut reader = Reader(&request);
        let (key, version, correlation) = (reader.i16(), reader.i16(), reader.i32());
        let _client = reader.string();
        let mut out = correlation.to_be_bytes().to_vec();
        match (key, version) {
            // ApiVersions, flexible: Produce 7, Metadata 4, itself.
            (18, 3) => {
                out.extend([0, 0, 4]);
                for (key, version) in [(0_i16, 7_i16), (3, 4), (18, 3)] {
                    out.extend(key.to_be_bytes());
                    out.extend(version.to_be_bytes());
                    out.extend(version.to_be_bytes());
                    out.push(0);
                }
                out.extend([0, 0, 0, 0, 0]);
            }
            (3, 4) => {
                i32s(&mut out, &[0, 1, 1]);
                string(&mut out, &address.ip().to_string());
                i32s(&mut out, &[address.port().into()]);
                out.extend((-1_i16).to_be_bytes());
                out.extend((-1_i16).to_be_bytes());
                i32s(&mut out, &[1, 1]);
                out.extend(0_i16.to_be_bytes());
                string(&mut out, "alerts");
                out.push(0);
                i32s(&mut out, &[1]);
                out.extend(0_i16.to_be_bytes());
                i32s(&mut out, &[0, 1, 1, 1, 1, 1]);
            }
            (0, 7) => {
                let code = std::mem::take(&mut *error.lock().unwrap());
                produce(&mut reader, (code == 0).then_some(sender));
                i32s(&mut out, &[1]);
                string(&mut out, "alerts");
                i32s(&mut out, &[1, 0]);
                out.extend(code.to_be_bytes());
                out.extend([0; 24]);
                i32s(&mut out, &[0]);
            }
            other => panic!("request {other:?}"),
        }
        let framed = [&(out.len() as i32).to_be_bytes()[..], &out].concat();
        if stream.write_all(&framed).is_err() {
            return;
        }
    }
}

/// Reads the records of a request; they are kept unless it is to fail.
fn produce(reader: &mut Reader<'_>, keep: Option<&SyncSender<Got>>) {
    let _transaction = reader.string();
    assert_eq!(reader.i16(), -1, "acks: all");
    let _timeout = reader.i32();
    assert_eq!((reader.i32(), reader.string().as_str(), reader.i32(), reader.i32()), (1, "alerts", 1, 0));
    let length = reader.i32();
    let mut batch = Reader(reader.take(length as usize));
    // Base offset to base sequence, of which the magic byte is at 16.
    assert_eq!(batch.take(57)[16], 2);
    for _record in 0..batch.i32() {
        let length = batch.varint();
        let mut record = Reader(batch.take(length as usize));
        record.take(1);
        let (_time, _offset) = (record.varint(), record.varint());
        let (key, value) = (record.bytes(), record.bytes());
        let headers: Vec<(String, String)> =
            (0..record.varint()).map(|_| (record.bytes(), record.bytes())).collect();
        let id = headers.into_iter().find(|(name, _)| name == "vesper-id").unwrap().1;
        if let Some(sender) = keep {
            sender.send((key, value, id)).unwrap();
        }
    }
}

fn to(address: SocketAddr, topic: &str) -> Kafka {
    let config =
        KafkaConfig { brokers: vec![address.to_string()], topic: topic.to_owned(), ..KafkaConfig::default() };
    Kafka::new(&config, "box-1")
}

fn retry(outcomes: &[Outcome]) -> String {
    match &outcomes[0] {
        Outcome::Retry { error, .. } => error.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_in_order_with_key_and_id() {
    let broker = broker(TcpListener::bind("127.0.0.1:0").unwrap());
    let mut kafka = to(broker.address, "alerts");
    let messages: Vec<Message> = (1..=100).map(|n| of_alert(n.into(), &alert(n))).collect();
    for some in messages.chunks(40) {
        assert_eq!(kafka.deliver(some, LONG), vec![Outcome::Delivered; some.len()]);
    }
    let expected: Vec<Got> = messages
        .iter()
        .map(|m| ("box-1".to_owned(), m.json.to_string(), format!("box-1:{}", m.event)))
        .collect();
    assert_eq!(broker.records.try_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn what_goes_wrong_and_what_becomes_of_it() {
    let broker = broker(TcpListener::bind("127.0.0.1:0").unwrap());
    let messages = [of_alert(1, &alert(1)), of_alert(2, &alert(2))];
    let error = retry(&to(broker.address, "other").deliver(&messages, LONG));
    assert!(error.contains("there is no topic other: create it"), "{error}");
    let mut kafka = to(broker.address, "alerts");
    // NOT_ENOUGH_REPLICAS: the same client goes on afterwards.
    *broker.error.lock().unwrap() = 19;
    let outcomes = kafka.deliver(&messages, LONG);
    assert!(retry(&outcomes).contains("NotEnoughReplicas"), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Wait { after: Duration::ZERO });
    assert_eq!(kafka.deliver(&messages, LONG), vec![Outcome::Delivered; 2]);
    assert_eq!(broker.records.try_iter().count(), 2);
    // MESSAGE_TOO_LARGE: together, then the first alone; the second is not.
    *broker.error.lock().unwrap() = 10;
    assert_eq!(kafka.deliver(&messages, LONG), vec![Outcome::Delivered; 2]);
    *broker.error.lock().unwrap() = 10;
    assert!(matches!(kafka.deliver(&messages[..1], LONG).as_slice(), [Outcome::Refused { .. }]));
}

#[test]
fn nobody_there_and_somebody_who_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut kafka = to(address, "alerts");
    let message = [of_alert(1, &alert(1))];
    let error = retry(&kafka.deliver(&message, Duration::from_millis(300)));
    assert!(error.contains("no answer within 300 ms"), "{error}");
    drop(listener);
    let error = retry(&kafka.deliver(&message, LONG));
    assert!(error.contains(&address.to_string()), "{error}");
    let broker = broker(TcpListener::bind(address).unwrap());
    assert_eq!(kafka.deliver(&message, LONG), [Outcome::Delivered]);
    assert_eq!(broker.records.try_iter().count(), 1);
}

#[test]
#[ignore = "needs SENSOR_TEST_KAFKA, the address of a broker; none is in Debian, docs/sinks.md says which was used"]
fn a_real_broker_has_every_alert_in_order_with_its_id() {
    // CI runs ignored tests, and has none.
    let Ok(address) = std::env::var("SENSOR_TEST_KAFKA") else {
        eprintln!("SKIPPED: set SENSOR_TEST_KAFKA to the address of a broker");
        return;
    };
    let topic = format!("vesper-test-{}", nanos(wall()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(ClientBuilder::new(vec![address.clone()]).build()).unwrap();
    let config = KafkaConfig { brokers: vec![address], topic: topic.clone(), ..KafkaConfig::default() };
    let mut kafka = Kafka::new(&config, "box-1");
    let messages: Vec<Message> = (1..=250).map(|n| of_alert(n.into(), &alert(n))).collect();
    let error = retry(&kafka.deliver(&messages[..1], LONG));
    assert!(error.contains("create it"), "{error}");
    runtime.block_on(client.controller_client().unwrap().create_topic(&topic, 3, 1, 5000)).unwrap();
    for some in messages.chunks(100) {
        assert_eq!(kafka.deliver(some, LONG), vec![Outcome::Delivered; some.len()]);
    }
    let mut found = Vec::new();
    for partition in 0..3 {
        let read = async {
            let reader =
                client.partition_client(&topic, partition, UnknownTopicHandling::Error).await.unwrap();
            let mut records = Vec::new();
            loop {
                let at = records.len() as i64;
                let (more, end) = reader.fetch_records(at, 1..10_000_000, 1000).await.unwrap();
                records.extend(more);
                if records.len() as i64 >= end {
                    return records;
                }
            }
        };
        found.push(runtime.block_on(read));
    }
    // One sensor, one key, one partition: in order.
    found.retain(|records| !records.is_empty());
    assert_eq!(found.len(), 1);
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap()).unwrap();
    let got: Vec<Got> = found[0]
        .iter()
        .map(|one| {
            let id = String::from_utf8(one.record.headers["vesper-id"].clone()).unwrap();
            (text(&one.record.key), text(&one.record.value), id)
        })
        .collect();
    let expected: Vec<Got> = messages
        .iter()
        .map(|m| ("box-1".to_owned(), m.json.to_string(), format!("box-1:{}", m.event)))
        .collect();
    assert_eq!(got, expected);
}
