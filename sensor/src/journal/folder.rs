//! The files of a journal: `00000001.vsj`, `00000002.vsj` and so on, the oldest first.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::record::{FRAME, HEAD, Header, LARGEST_BLOCK};
use super::segment::Segment;

/// No segment is larger; a file that is has another origin.
pub(super) const LARGEST_SEGMENT: u64 = 64 << 20;

/// A segment on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentFile {
    /// In its name.
    pub number: u64,
    /// Its size.
    pub bytes: u64,
}

/// Where segment `number` lies.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.vsj"))
}

/// All segments, the oldest first. Other files in the folder are left alone.
pub(super) fn list(folder: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_suffix(".vsj")).filter(|digits| digits.len() >= 8);
        let Some(number) = number.and_then(|digits| digits.parse().ok()) else { continue };
        let about = match entry.metadata() {
            Ok(about) => about,
            // Its turn came while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if about.is_file() && path(folder, number).file_name() == Some(&name) {
            files.push(SegmentFile { number, bytes: about.len() });
        }
    }
    files.sort_unstable_by_key(|file| file.number);
    Ok(files)
}

/// All bytes of a segment.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > LARGEST_SEGMENT {
        return Err(io::Error::other("it is too large to be a segment of a journal"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_SEGMENT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The head of a segment alone; nothing where it cannot be read, which whoever reads it all will say.
pub(super) fn header(path: &Path) -> Option<Header> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    // Most heads are a few kilobytes.
    for most in [64 << 10, HEAD + FRAME + LARGEST_BLOCK] {
        let already = bytes.len() as u64;
        (&file).take(most as u64 - already).read_to_end(&mut bytes).ok()?;
        if let Ok(segment) = Segment::open(&bytes) {
            return Some(segment.header);
        }
    }
    None
}
