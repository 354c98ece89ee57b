//! Messages to a Kafka topic, one record each, all with the sensor as key, so that those of a sensor stay in order.
//!
//! Every replica in sync has a record before it counts as delivered. A record may be there twice after a lost answer,
//! with the same header `vesper-id`. The topic is not created: that is the cluster's business.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{ClientBuilder, Credentials, SaslConfig};
use rskafka::record::Record;
use rskafka::{BackoffConfig, chrono};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Message, Outcome, Target, nanos, secret, together, wall};
use crate::sinks::config::KafkaConfig;
use crate::telemetry::printable;

/// Records in one request.
const BATCH: usize = 200;
/// What a broker may answer with; we ask for metadata and receipts only.
const LONGEST_ANSWER: usize = 4 << 20;

/// One topic.
pub struct Kafka {
    config: KafkaConfig,
    sensor: String,
    /// For this thread only: the client is asynchronous, the sink is not.
    runtime: Option<tokio::runtime::Runtime>,
    partition: Option<PartitionClient>,
}

impl Kafka {
    /// The topic of the settings.
    pub fn new(config: &KafkaConfig, sensor: &str) -> Kafka {
        Kafka { config: config.clone(), sensor: sensor.to_owned(), runtime: None, partition: None }
    }

    fn try_deliver(&mut self, messages: &[Message], timeout: Duration) -> Result<(), Failure> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::Later(format!("a runtime for Kafka: {error}")))?,
        };
        let produced = runtime.block_on(async {
            match tokio::time::timeout(timeout, self.produce(messages)).await {
                Ok(produced) => produced,
                Err(_elapsed) => Err(Failure::Later(format!("no answer within {} ms", timeout.as_millis()))),
            }
        });
        self.runtime = Some(runtime);
        if produced.is_err() {
            // Whatever it knew about leaders may be what is wrong.
            self.partition = None;
        }
        produced
    }

    async fn produce(&mut self, messages: &[Message]) -> Result<(), Failure> {
        let partition = match self.partition.take() {
            Some(partition) => partition,
            None => connect(&self.config, &self.sensor).await?,
        };
        let records = messages.iter().map(|message| self.record(message)).collect();
        partition.produce(records, Compression::NoCompression).await.map_err(Failure::of)?;
        self.partition = Some(partition);
        Ok(())
    }

    fn record(&self, message: &Message) -> Record {
        let headers = [
            ("vesper-id".to_owned(), format!("{}:{}", self.sensor, message.event).into_bytes()),
            ("vesper-event".to_owned(), message.told.name().into()),
        ];
        Record {
            key: Some(self.sensor.clone().into_bytes()),
            value: Some(message.json.as_bytes().to_vec()),
            headers: headers.into(),
            timestamp: chrono::DateTime::from_timestamp_nanos(nanos(wall()).cast_signed()),
        }
    }
}

/// Why a batch did not arrive.
enum Failure {
    /// Worth another attempt.
    Later(String),
    /// Not by itself: the records are too large.
    Never(String),
}

impl Failure {
    fn of(error: rskafka::client::error::Error) -> Failure {
        use rskafka::client::error::{Error, ProtocolError};
        let text = printable(&error.to_string(), 300);
        match error {
            Error::ServerError {
                protocol_error: ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge,
                ..
            } => Failure::Never(text),
            _ => Failure::Later(text),
        }
    }
}

async fn connect(config: &KafkaConfig, sensor: &str) -> Result<PartitionClient, Failure> {
    // One try: waiting is the worker's, which counts and shows it.
    let backoff = BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() };
    let mut builder = ClientBuilder::new(config.brokers.clone())
        .client_id(format!("vesper-{sensor}"))
        .max_message_size(LONGEST_ANSWER)
        .backoff_config(backoff);
    if config.tls {
        builder = builder.tls_config(Arc::new(tls(&config.ca_file).map_err(Failure::Later)?));
    }
    if !config.user.is_empty() {
        let password =
            secret::read(&config.password_file).map_err(|error| Failure::Later(error.to_string()))?;
        let login = Credentials::new(config.user.clone(), password.expose().to_owned());
        builder = builder.sasl_config(SaslConfig::Plain(login));
    }
    let client = builder.build().await.map_err(Failure::of)?;
    let topics = client.list_topics().await.map_err(Failure::of)?;
    let topic = topics.into_iter().find(|topic| topic.name == config.topic).ok_or_else(|| {
        Failure::Later(format!("there is no topic {}: create it, or correct sinks.kafka.topic", config.topic))
    })?;
    let partitions: Vec<i32> = topic.partitions.into_iter().collect();
    let chosen = crc32fast::hash(sensor.as_bytes()) as usize % partitions.len().max(1);
    let number = partitions.get(chosen).copied().unwrap_or(0);
    client.partition_client(&config.topic, number, UnknownTopicHandling::Error).await.map_err(Failure::of)
}

fn tls(ca_file: &Path) -> Result<ClientConfig, String> {
    let failed = |error: &dyn std::fmt::Display| format!("ca_file {}: {error}", ca_file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Target for Kafka {
    fn deliver(&mut self, messages: &[Message], timeout: Duration) -> Vec<Outcome> {
        let brokers = self.config.brokers.join(", ");
        match self.try_deliver(messages, timeout) {
            Ok(()) => vec![Outcome::Delivered; messages.len()],
            Err(Failure::Later(error)) => {
                together(Outcome::Retry { error: format!("{brokers}: {error}"), after: None }, messages.len())
            }
            // One of several is too large, or all together: each by itself finds out.
            Err(Failure::Never(_)) if messages.len() > 1 => {
                messages.chunks(1).flat_map(|one| self.deliver(one, timeout)).collect()
            }
            Err(Failure::Never(error)) => vec![Outcome::Refused { error }],
        }
    }

    fn batch(&self) -> usize {
        BATCH
    }
}

#[cfg(test)]
#[path = "kafka_tests.rs"]
mod tests;
