//! What was learned as a safetensors file, and back: every tensor under its name, what is known of it in the metadata,
//! and a sum over everything.
//!
//! In: bytes from anywhere. Whatever they are, nothing larger than they are is allocated, and either everything in
//! them was checked or the error says what is wrong. `docs/model.md` describes the file for other programs.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::ScoreError;

/// Changes whenever the meaning of something in the file changes.
pub const FORMAT: u32 = 4;
/// A state is a few megabytes; something larger is another file.
pub const LARGEST: u64 = 256 << 20;
/// The names and shapes of some hundred tensors.
const LARGEST_HEADER: u64 = 4 << 20;
/// Beyond this no weight and no moment of one is possible: features lie between 0 and 1.
const HUGEST: f32 = 1e9;
/// The key of the metadata.
const ABOUT: &str = "vesper";
/// The tensor with the sum.
const SUM: &str = "sha1";

/// What is known of a state without taking it up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// See [`FORMAT`].
    pub format: u32,
    /// The program that wrote it.
    pub version: String,
    /// When, nanoseconds since the Unix epoch, on the clock of the traffic.
    pub saved_at: u64,
    /// Training steps so far.
    pub generation: u64,
    /// `warming`, `calibrating` or `active`.
    pub state: String,
    /// Names of the features in order, by model.
    pub features: BTreeMap<String, Vec<String>>,
    /// Names of the members of the ensemble, by model.
    pub members: BTreeMap<String, Vec<String>>,
    /// Score above which a row is unusual once the model is active, with the settings it was saved with.
    pub threshold: f64,
    /// What is remembered: pairs, services, hosts.
    pub remembered: BTreeMap<String, u64>,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Numbers in a shape.
    Numbers {
        /// Length of each dimension.
        shape: Vec<usize>,
        /// Row by row.
        values: Vec<f32>,
    },
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Tensor {
    fn dtype(&self) -> Dtype {
        match self {
            Tensor::Numbers { .. } => Dtype::F32,
            Tensor::Bytes(_) => Dtype::U8,
        }
    }

    fn shape(&self) -> Vec<usize> {
        match self {
            Tensor::Numbers { shape, .. } => shape.clone(),
            Tensor::Bytes(bytes) => vec![bytes.len()],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Tensor::Numbers { values, .. } => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Tensor::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// A file's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// What is known of it.
    pub about: About,
    /// By name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// The file.
    pub fn encode(&self) -> Result<Vec<u8>, ScoreError> {
        let about = serde_json::to_string(&self.about).map_err(|error| damaged(error.to_string()))?;
        let mut parts: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = Vec::with_capacity(self.tensors.len() + 1);
        let mut sum = Sum::new(&about);
        for (name, tensor) in &self.tensors {
            let bytes = tensor.bytes();
            sum.add(name, tensor.dtype(), &tensor.shape(), &bytes);
            parts.push((name, tensor.dtype(), tensor.shape(), bytes));
        }
        parts.push((SUM, Dtype::U8, vec![20], sum.finish()));
        let views = parts
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error: safetensors::SafeTensorError| damaged(error.to_string()))?;
        // One key only: the order of several would differ from run to run.
        let metadata = HashMap::from([(ABOUT.to_owned(), about)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| damaged(error.to_string()))
    }

    /// Reads and checks a file.
    pub fn decode(bytes: &[u8]) -> Result<Checkpoint, ScoreError> {
        let header = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
        let header = header.ok_or_else(|| damaged("it ends too early"))?;
        if bytes.len() as u64 > LARGEST || header > LARGEST_HEADER {
            return Err(damaged("it is too large, or no safetensors file"));
        }
        let wrong = |error: safetensors::SafeTensorError| damaged(format!("as a safetensors file: {error}"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
        let about = metadata.metadata().as_ref().and_then(|metadata| metadata.get(ABOUT));
        let about = about.ok_or_else(|| damaged("it was not written by vesper"))?;
        // The version first: what another one says otherwise may look like damage.
        let Version { format } = serde_json::from_str(about).map_err(|error| damaged(error.to_string()))?;
        if format != FORMAT {
            return Err(ScoreError::Version { found: format, expected: FORMAT });
        }
        let file = SafeTensors::deserialize(bytes).map_err(wrong)?;
        let mut views: Vec<(&str, TensorView<'_>)> = file.iter().collect();
        views.sort_unstable_by_key(|(name, _)| *name);
        let mut sum = Sum::new(about);
        let mut written = None;
        let mut tensors = BTreeMap::new();
        for (name, view) in views {
            if name == SUM {
                written = Some(view.data());
                continue;
            }
            sum.add(name, view.dtype(), view.shape(), view.data());
            tensors.insert(name.to_owned(), tensor(name, &view)?);
        }
        if written != Some(&sum.finish()) {
            return Err(damaged("its checksum is wrong"));
        }
        let about = serde_json::from_str(about).map_err(|error| damaged(error.to_string()))?;
        Ok(Checkpoint { about, tensors })
    }

    /// Takes out numbers that must have this shape.
    pub fn numbers(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ScoreError> {
        match self.tensors.remove(name) {
            Some(Tensor::Numbers { shape, values }) if shape == expected => Ok(values),
            Some(other) => Err(ScoreError::Shape {
                what: format!("{name} has shape {:?}, expected {expected:?}", other.shape()),
            }),
            None => Err(ScoreError::Shape { what: format!("{name} is missing") }),
        }
    }

    /// Takes out something in postcard's encoding.
    pub fn record<T: for<'a> Deserialize<'a>>(&mut self, name: &str) -> Result<T, ScoreError> {
        let Some(Tensor::Bytes(bytes)) = self.tensors.remove(name) else {
            return Err(ScoreError::Shape { what: format!("{name} is missing") });
        };
        match postcard::take_from_bytes(&bytes) {
            Ok((record, [])) => Ok(record),
            Ok(_) => Err(damaged(format!("there is more than one record in {name}"))),
            Err(error) => Err(damaged(format!("{name}: {error}"))),
        }
    }

    /// Adds something in postcard's encoding.
    pub fn put_record(&mut self, name: &str, record: &impl Serialize) -> Result<(), ScoreError> {
        let bytes = postcard::to_stdvec(record).map_err(|error| damaged(format!("{name}: {error}")))?;
        self.tensors.insert(name.to_owned(), Tensor::Bytes(bytes));
        Ok(())
    }

    /// Nothing may be left: it would be part of another model.
    pub fn is_empty(&self) -> Result<(), ScoreError> {
        match self.tensors.keys().next() {
            Some(name) => {
                Err(ScoreError::Shape { what: format!("{name:?} belongs to no part of this model") })
            }
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

fn tensor(name: &str, view: &TensorView<'_>) -> Result<Tensor, ScoreError> {
    match view.dtype() {
        Dtype::U8 => Ok(Tensor::Bytes(view.data().to_vec())),
        Dtype::F32 => {
            let (words, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            // No number is not smaller than anything.
            if !values.iter().all(|value| value.abs() <= HUGEST) {
                return Err(damaged(format!("a number in {name:?} is impossible")));
            }
            Ok(Tensor::Numbers { shape: view.shape().to_vec(), values })
        }
        other => Err(damaged(format!("{name:?} is of type {other:?}"))),
    }
}

/// Over everything that is read, in the order of names, so that a file written by another program may order it else.
struct Sum(Sha1);

impl Sum {
    fn new(about: &str) -> Sum {
        let mut sum = Sum(Sha1::new());
        sum.part(about.as_bytes());
        sum
    }

    fn add(&mut self, name: &str, dtype: Dtype, shape: &[usize], data: &[u8]) {
        self.part(name.as_bytes());
        self.part(if dtype == Dtype::F32 { b"F32" } else { b"U8" });
        let shape: Vec<u8> = shape.iter().flat_map(|length| (*length as u64).to_le_bytes()).collect();
        self.part(&shape);
        self.part(data);
    }

    /// With its length, so that no two lists of parts look alike.
    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

fn damaged(what: impl Into<String>) -> ScoreError {
    ScoreError::Damaged { what: what.into() }
}
