//! Sends frames into an interface at full speed: BPF_PROG_TEST_RUN with live frames.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use aya::maps::Array;
use aya::programs::xdp::XdpMode;
use aya::programs::{TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, TestRun};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../sensor-ebpf/packet-generator.o");

/// Frames made at once.
const BATCH: u32 = 64;

/// The generator program, in the kernel.
pub struct Generator {
    ebpf: Ebpf,
    ifindex: u32,
    // After the program that is attached to it.
    _seat: Seat,
}

/// An interface that nobody uses, with the generator's program on it. A run of live frames brings its program into the kernel's
/// XDP dispatcher and takes it out again, and each waits for a grace period of RCU, some 15 ms; a program that is there
/// already, as that of any interface is, only has its users counted: a call of 64 frames takes 0.05 ms, not 30.
struct Seat(String);

impl Seat {
    fn new() -> Seat {
        static SEATS: AtomicU32 = AtomicU32::new(0);
        let name = format!("gen{}-{}", std::process::id(), SEATS.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("ip").args(["link", "add", "name", &name, "type", "veth"]).status();
        assert!(made.expect("iproute2 is installed").success(), "{name} is made");
        Seat(name)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).status();
    }
}

impl Generator {
    /// Will send from `interface`, walking through `flows` source addresses and ports.
    pub fn new(interface: &str, flows: u64) -> Generator {
        let mut ebpf = Ebpf::load(OBJECT).expect("the generator loads");
        let program: &mut Xdp = ebpf.program_mut("generate").expect("program").try_into().expect("XDP");
        program.load().expect("the kernel accepts the generator");
        let seat = Seat::new();
        program.attach(&seat.0, XdpMode::Skb).expect("the generator attaches");
        let mut state: Array<_, [u64; 5]> =
            Array::try_from(ebpf.map_mut("STATE").expect("map STATE")).expect("an array");
        state.set(0, [flows, 0, 0, 0, 0], 0).expect("state set");
        let path = format!("/sys/class/net/{interface}/ifindex");
        let ifindex = std::fs::read_to_string(path).expect("interface").trim().parse().expect("number");
        Generator { ebpf, ifindex, _seat: seat }
    }

    /// Mixes the flows into a flood: one packet in `one_in` is theirs, the others belong to flows never seen before,
    /// `repeat` packets each, from 11.0.0.0/8. 0 ends the flood.
    pub fn flood(&mut self, one_in: u64, repeat: u64) {
        let mut state: Array<_, [u64; 5]> =
            Array::try_from(self.ebpf.map_mut("STATE").expect("map STATE")).expect("an array");
        let [flows, made, _, _, flood] = state.get(&0, 0).expect("state read");
        state.set(0, [flows, made, one_in, repeat, flood], 0).expect("state set");
    }

    /// Sends `count` copies of `frame`, an IPv4 packet on untagged Ethernet.
    pub fn send(&mut self, frame: &[u8], count: u32) {
        let program: &mut Xdp = self.ebpf.program_mut("generate").expect("program").try_into().expect("XDP");
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context: Vec<u8> = [0, frame.len() as u32, 0, self.ifindex, 0, 0]
            .iter()
            .flat_map(|word: &u32| word.to_ne_bytes())
            .collect();
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            repeat: count,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        program.test_run(options).expect("live frames");
    }
}
