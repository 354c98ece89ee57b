//! Whatever a model file is, it is refused with a reason or is the model it was.

use std::time::Instant;

use super::tests::{fresh, trained};
use crate::analysis::Learned;
use crate::score::ScoreError;
use crate::score::checkpoint::{Checkpoint, FORMAT, Tensor};
use crate::score::random::Random;

/// A file and what is in it.
fn good() -> (Vec<u8>, Checkpoint) {
    let bytes = trained(1).save().unwrap();
    let checkpoint = Checkpoint::decode(&bytes).unwrap();
    (bytes, checkpoint)
}

/// What an analysis says to a file; it goes on as it was unless it takes it up.
fn verdict(bytes: &[u8]) -> Result<Vec<u8>, ScoreError> {
    let mut analysis = fresh();
    let before = analysis.save().unwrap();
    let result = analysis.restore(bytes);
    let after = analysis.save().unwrap();
    if result.is_err() {
        assert_eq!(before, after, "refused, and changed something");
    }
    result.map(|()| after)
}

#[test]
fn every_truncation_is_refused() {
    let (bytes, _) = good();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize + 8;
    let lengths = (0..40).chain((40..header + 200).step_by(7)).chain((header..bytes.len()).step_by(997));
    for length in lengths.chain([bytes.len() - 1]) {
        let error = Learned::decode(&bytes[..length]).unwrap_err().to_string();
        assert!(error.contains("delete it to learn anew"), "{length}: {error}");
    }
    for extra in [1, 8, 4096] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + extra, 0);
        assert!(Learned::decode(&longer).is_err(), "{extra} more bytes");
    }
}

#[test]
fn every_flipped_bit_is_refused_or_means_nothing() {
    let (bytes, checkpoint) = good();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize + 8;
    let mut random = Random::new(3);
    let places = (0..header.min(6000)).chain((0..2500).map(|_| random.below(bytes.len())));
    let mut harmless = 0;
    for at in places.collect::<Vec<_>>() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << random.below(8);
        // White space of the header, say.
        if let Ok(found) = Checkpoint::decode(&changed) {
            assert_eq!(found, checkpoint, "byte {at}");
            harmless += 1;
        }
    }
    assert!(harmless < 20, "{harmless}");
}

#[test]
fn no_bytes_panic_or_take_memory() {
    let (bytes, _) = good();
    let begun = clock();
    let header = |length: u64| [&length.to_le_bytes()[..], b"{\"__metadata__\":{}}"].concat();
    for file in [
        Vec::new(),
        vec![0; 7],
        vec![0; 8],
        vec![0xff; 64],
        header(10 << 30),
        header(u64::MAX),
        header(100_000_000),
        header(19),
        [&(bytes.len() as u64).to_le_bytes()[..], &bytes[8..]].concat(),
        tensors("\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}"),
        tensors("\"a\":{\"dtype\":\"F32\",\"shape\":[1000000000],\"data_offsets\":[0,4000000000]}"),
        tensors(
            "\"a\":{\"dtype\":\"U8\",\"shape\":[18446744073709551615],\"data_offsets\":[0,18446744073709551615]}",
        ),
        tensors("\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]}"),
    ] {
        assert!(Learned::decode(&file).is_err());
    }
    assert!(begun.elapsed().as_secs() < 5, "something large was made");
}

#[expect(clippy::disallowed_methods, reason = "a test of what takes long")]
fn clock() -> Instant {
    Instant::now()
}

/// A safetensors file of such a header, without data.
fn tensors(entries: &str) -> Vec<u8> {
    let header = format!("{{\"__metadata__\":{{\"vesper\":\"{{\\\"format\\\":{FORMAT}}}\"}},{entries}}}");
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

proptest::proptest! {
    #[test]
    fn no_text_panics(header in "\\PC{0,200}", data in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
        proptest::prop_assert!(Learned::decode(&bytes).is_err());
    }
}

/// A change that somebody signed, and the word that the refusal must have.
type Case = (&'static str, fn(&mut Checkpoint), &'static str);

fn numbers(checkpoint: &mut Checkpoint, part: &str, change: impl Fn(&mut Vec<usize>, &mut Vec<f32>)) {
    for (name, tensor) in &mut checkpoint.tensors {
        if let (true, Tensor::Numbers { shape, values }) = (name.ends_with(part), tensor) {
            return change(shape, values);
        }
    }
    panic!("no {part}");
}

#[test]
fn what_is_whole_but_impossible_is_refused() {
    let (_, checkpoint) = good();
    assert!(verdict(&checkpoint.encode().unwrap()).is_ok());
    let cases: [Case; 14] = [
        ("NaN", |c| numbers(c, "layer0.weight", |_, v| v[0] = f32::NAN), "impossible"),
        ("infinity", |c| numbers(c, "layer1.bias", |_, v| v[0] = f32::NEG_INFINITY), "impossible"),
        ("huge", |c| numbers(c, "layer1.weight", |_, v| v[0] = 1e30), "impossible"),
        ("moment", |c| numbers(c, "second_moment", |_, v| v[0] = -1.0), "impossible"),
        ("transposed", |c| numbers(c, "layer0.weight", |s, _| s.reverse()), "expected"),
        ("flat", |c| numbers(c, "layer0.weight", |s, v| *s = vec![v.len()]), "expected"),
        (
            "short",
            |c| {
                numbers(c, "layer0.bias", |s, v| {
                    v.pop();
                    s[0] -= 1;
                })
            },
            "expected",
        ),
        ("missing", |c| drop(c.tensors.remove("flow.volume.layer0.bias")), "missing"),
        (
            "other type",
            |c| drop(c.tensors.insert("flow.volume.layer0.bias".to_owned(), Tensor::Bytes(vec![0; 64]))),
            "expected",
        ),
        (
            "one more",
            |c| drop(c.tensors.insert("extra".to_owned(), Tensor::Bytes(vec![1]))),
            "belongs to no part",
        ),
        (
            "empty record",
            |c| drop(c.tensors.insert("state".to_owned(), Tensor::Bytes(Vec::new()))),
            "damaged",
        ),
        (
            "other record",
            |c| drop(c.tensors.insert("memory".to_owned(), Tensor::Bytes(vec![0xff; 500]))),
            "damaged",
        ),
        ("threshold", |c| c.about.threshold = 1e300 * 1e10, "damaged"),
        ("version", |c| c.about.format += 1, "format"),
    ];
    for (name, change, word) in cases {
        let mut changed = checkpoint.clone();
        change(&mut changed);
        let error = verdict(&changed.encode().unwrap()).unwrap_err().to_string();
        assert!(error.contains(word), "{name}: {error}");
    }
}
