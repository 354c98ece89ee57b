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
#[ignore = "needs SENSOR_TEST_KAFKA, the address of a broker with a topic vesper-alerts; none is in Debian"]
fn a_real_broker() {
    // CI runs ignored tests, and has none.
    let Ok(address) = std::env::var("SENSOR_TEST_KAFKA") else { return };
    let config = KafkaConfig { brokers: vec![address], ..KafkaConfig::default() };
    assert_eq!(Kafka::new(&config, "box-1").deliver(&[of_alert(1, &alert(1))], LONG), [Outcome::Delivered]);
}
