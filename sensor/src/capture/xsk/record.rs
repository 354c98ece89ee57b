//! Maps that only user space reads and writes: records of words, which stay in the kernel while no sensor runs.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use aya::maps::{MapData, MapType};
use sensor_ebpf::SharedLayout;
use sensor_ebpf::shared::Shared;

use super::grace::{CreateAttr, ElementAttr, bpf, create};

const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// So many words, each loaded and stored whole.
#[repr(transparent)]
pub struct Record<const N: usize>([Shared<u64>; N]);

// SAFETY: `Shared` words only.
unsafe impl<const N: usize> SharedLayout for Record<N> {}

impl<const N: usize> Record<N> {
    /// Makes an array of such records, all 0.
    pub fn array(count: u32) -> io::Result<MapData> {
        let fd = create(&CreateAttr {
            map_type: BPF_MAP_TYPE_ARRAY,
            key_size: 4,
            value_size: size_of::<Self>() as u32,
            max_entries: count,
            map_flags: BPF_F_MMAPABLE,
            inner_map_fd: 0,
        })?;
        MapData::from_fd(fd).map_err(io::Error::other)
    }

    /// A word; 0 where there is none.
    pub fn get(&self, at: usize) -> u64 {
        self.0.get(at).map_or(0, Shared::get)
    }

    /// Stores a word. Stores of one thread come in their order, and stay when it is killed.
    pub fn set(&self, at: usize, value: u64) {
        if let Some(word) = self.0.get(at) {
            word.set(value);
        }
    }
}

/// The first element of a map that has one for each CPU, as bytes.
pub fn per_cpu(map: &MapData) -> io::Result<Vec<Vec<u8>>> {
    let info = map.info().map_err(io::Error::other)?;
    let type_known = matches!(info.map_type(), Ok(MapType::PerCpuArray));
    if info.key_size() != 4 || !type_known {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let cpus = aya::util::nr_cpus().map_err(|(_, source)| source)?;
    // Values are padded to 8 bytes.
    let stride = (info.value_size() as usize).next_multiple_of(8);
    let (key, mut values) = (0u32, vec![0u8; stride * cpus]);
    let attr = ElementAttr {
        map_fd: map.fd().as_fd().as_raw_fd() as u32,
        key: &raw const key as u64,
        value: values.as_mut_ptr() as u64,
        ..ElementAttr::default()
    };
    // SAFETY: the attribute names a key of the map's size and room for a value of each possible CPU, both good for the call.
    unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &attr) }?;
    Ok(values.chunks(stride).map(<[u8]>::to_vec).collect())
}
