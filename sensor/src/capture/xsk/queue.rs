//! One receive queue: frame memory, fill ring, RX ring and the socket that ties them.
//!
//! A frame belongs to the kernel while its address is in the fill ring or in flight, and to us between reading
//! its descriptor from the RX ring and writing its address back to the fill ring. There are no more frames than the
//! fill ring has entries, so a frame always has room to go back to; and there are twice as many as the RX ring
//! has, so it cannot run empty before the RX ring is full.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use bytes::{Bytes, BytesMut};
use sensor_ebpf::sample::SampleMeta;
use xdp_socket::create::ring_offsets;
use xdp_socket::mmap::OwnedMmap;
use xdp_socket::ring::{Ring, RingType, XdpDesc};

use super::socket::{self, Statistics, ZeroCopy};
use super::{join::Join, umem};

/// Bytes of a UMEM frame: a page. The kernel keeps 256 of them in front of the packet.
const FRAME_SIZE: u32 = 4096;

/// `XDP_RING_NEED_WAKEUP`.
const NEED_WAKEUP: u32 = 1;

/// Bytes of metadata the program puts in front of every sample.
const META: usize = size_of::<SampleMeta>();

/// How a queue is to be received from.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// Entries of the RX ring, a power of two.
    pub rx_entries: u32,
    /// Frames, at least twice the RX ring. A driver without copy holds its whole ring of them.
    pub frames: u32,
    /// Whether the driver may write into the frames.
    pub zero_copy: ZeroCopy,
    /// Whether the frames may lie in huge pages.
    pub huge_pages: bool,
    /// Whether a packet may take several frames: the program must know frags, or run in the network stack. Where the
    /// kernel has no such sockets (before 6.6), a longer packet is lost and counted.
    pub frags: bool,
    /// Whether the reader drives the driver.
    pub busy_poll: bool,
}

/// An AF_XDP socket bound to one receive queue.
pub struct XskQueue {
    // Order matters: fields drop in order, and the socket must go before the memory it was given.
    socket: OwnedFd,
    fill: Ring<u64>,
    rx: Ring<XdpDesc>,
    _completion: Ring<u64>,
    umem: OwnedMmap,
    join: Join,
    zero_copy: bool,
    huge_pages: bool,
    busy_poll: bool,
}

// SAFETY: the raw pointers inside are to mappings that this value alone owns; nothing is tied to a thread.
unsafe impl Send for XskQueue {}

impl XskQueue {
    /// Creates the socket and its rings, binds it to a queue, and gives every frame to the kernel.
    pub fn new(ifindex: u32, queue: u32, options: &QueueOptions) -> io::Result<XskQueue> {
        let (frames, rx_entries) = (options.frames as usize, options.rx_entries as usize);
        let fill_entries = frames.next_power_of_two();
        let socket = socket::create()?;
        let raw = socket.as_raw_fd();
        let (umem, huge_pages) = umem::map(frames * FRAME_SIZE as usize, options.huge_pages)?;
        socket::register_umem(&socket, &umem, FRAME_SIZE)?;
        RingType::Fill.set_size(raw, fill_entries)?;
        // The kernel wants one even from a socket that never sends.
        RingType::Completion.set_size(raw, 1)?;
        RingType::Rx.set_size(raw, rx_entries)?;
        let offsets = ring_offsets(raw)?;
        let mut fill: Ring<u64> = RingType::Fill.mmap(raw, &offsets, fill_entries)?;
        let completion: Ring<u64> = RingType::Completion.mmap(raw, &offsets, 1)?;
        let rx: Ring<XdpDesc> = RingType::Rx.mmap(raw, &offsets, rx_entries)?;
        for frame in 0..options.frames {
            *fill.mut_desc_at(frame) = u64::from(frame) * u64::from(FRAME_SIZE);
        }
        fill.update_producer(options.frames);
        if options.busy_poll {
            socket::busy_poll(&socket)?;
        }
        let bind = |multi| socket::bind(&socket, ifindex, queue, options.zero_copy, multi);
        match bind(options.frags) {
            // An older kernel does not know the flag. (Nor is an unused queue valid: that fails the second time too.)
            Err(error) if options.frags && error.raw_os_error() == Some(libc::EINVAL) => bind(false)?,
            result => result?,
        }
        let zero_copy = socket::is_zero_copy(&socket)?;
        Ok(XskQueue {
            socket,
            fill,
            rx,
            _completion: completion,
            umem,
            join: Join::default(),
            zero_copy,
            huge_pages,
            busy_poll: options.busy_poll,
        })
    }

    /// Whether the driver writes into the frames itself.
    pub fn zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Whether the frames lie in huge pages.
    pub fn huge_pages(&self) -> bool {
        self.huge_pages
    }

    /// Whether the reader drives the driver.
    pub fn busy_poll(&self) -> bool {
        self.busy_poll
    }

    /// Packets so far that were longer than a sample may be; they are lost.
    pub fn oversize(&self) -> u64 {
        self.join.oversize()
    }

    /// Runs the driver's receive loop once, in this thread.
    pub fn drive(&self) {
        socket::wake(&self.socket);
    }

    /// Reads up to `limit` frames of the RX ring, hands the samples in them on, and gives the frames back to the
    /// kernel. Returns how many frames it read.
    pub fn receive(&mut self, limit: u32, mut sample: impl FnMut(SampleMeta, Bytes)) -> u32 {
        let consumer = self.rx.consumer();
        let ready = self.rx.producer().wrapping_sub(consumer).min(limit);
        if ready == 0 {
            return 0;
        }
        let mut length = 0;
        for index in 0..ready {
            length += self.rx.desc_at(consumer.wrapping_add(index) & self.rx.mod_mask).len as usize;
        }
        // One allocation for the batch; each sample is a slice of it.
        let mut batch = BytesMut::with_capacity(length);
        let mut join = std::mem::take(&mut self.join);
        let fill_producer = self.fill.producer();
        for index in 0..ready {
            let desc = self.rx.desc_at(consumer.wrapping_add(index) & self.rx.mod_mask);
            let more = desc.options & libc::XDP_PKT_CONTD != 0;
            if join.is_idle() && !more {
                let (meta, frame) = self.frame(&desc);
                batch.extend_from_slice(frame);
                sample(meta, batch.split().freeze());
            } else if let Some((meta, whole)) = join.add(|| self.meta(&desc), self.data(&desc), more) {
                sample(meta, whole);
            }
            let slot = fill_producer.wrapping_add(index) & self.fill.mod_mask;
            *self.fill.mut_desc_at(slot) = desc.addr & !u64::from(FRAME_SIZE - 1);
        }
        self.join = join;
        // Release: the kernel must not see these indices before the frames were copied out and the addresses
        // written. `Ring::update_*` stores with that ordering; it pairs with the kernel's acquire loads.
        self.fill.update_producer(fill_producer.wrapping_add(ready));
        self.rx.update_consumer(consumer.wrapping_add(ready));
        if self.fill.flags() & NEED_WAKEUP != 0 {
            socket::wake(&self.socket);
        }
        ready
    }

    /// A received frame and the metadata in front of it.
    fn frame(&self, desc: &XdpDesc) -> (SampleMeta, &[u8]) {
        (self.meta(desc), self.data(desc))
    }

    /// The metadata in front of a packet's first frame.
    fn meta(&self, desc: &XdpDesc) -> SampleMeta {
        let at = desc.addr as usize;
        assert!(at >= META && at <= self.umem.len(), "the kernel gave a descriptor outside the UMEM");
        // SAFETY: `at - META..at` lies inside the mapping by the check above. The frame is ours from here until its
        // address goes back into the fill ring, which takes `&mut self`.
        unsafe { self.umem.as_void_ptr().cast::<u8>().add(at - META).cast::<SampleMeta>().read_unaligned() }
    }

    /// A received frame.
    fn data(&self, desc: &XdpDesc) -> &[u8] {
        let at = desc.addr as usize;
        let len = desc.len as usize;
        assert!(at + len <= self.umem.len(), "the kernel gave a descriptor outside the UMEM");
        // SAFETY: `at..at + len` lies inside the mapping by the check above. The frame is ours until its address goes
        // back into the fill ring, which takes `&mut self` and so ends this borrow.
        unsafe { std::slice::from_raw_parts(self.umem.as_void_ptr().cast::<u8>().cast_const().add(at), len) }
    }

    /// A handle that reads the kernel's counters of this socket, for another thread. It keeps the socket open.
    pub fn statistics(&self) -> io::Result<StatisticsReader> {
        Ok(StatisticsReader(self.socket.try_clone()?))
    }
}

/// Reads the kernel's counters of one AF_XDP socket.
pub struct StatisticsReader(OwnedFd);

impl StatisticsReader {
    /// What the kernel counted so far.
    pub fn read(&self) -> io::Result<Statistics> {
        socket::statistics(&self.0)
    }
}

impl AsFd for XskQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for XskQueue {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}
