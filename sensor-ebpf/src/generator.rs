//! A packet generator for tests and benchmarks: BPF_PROG_TEST_RUN with live frames runs it, and what it returns
//! with XDP_TX leaves by the interface. The frame given is sent as it is but for the IPv4 source address and the
//! source port, which walk through `flows` values. Not part of the sensor.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod kernel {
    #![expect(unsafe_code, reason = "packet memory and map values are raw")]

    use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_TX};
    use aya_ebpf::macros::{map, xdp};
    use aya_ebpf::maps::Array;
    use aya_ebpf::programs::XdpContext;

    /// How many flows to walk through, and how many packets were made so far. Then, for a flood between their packets:
    /// one packet in so many belongs to them (0: all), packets of each flood flow, packets of the flood so far.
    #[map]
    static STATE: Array<[u64; 5]> = Array::with_max_entries(1, 0);

    /// Offset of the IPv4 source address behind an untagged Ethernet header; the source port follows the header.
    const SOURCE: usize = 14 + 12;
    const PORT: usize = 14 + 20;

    /// Sends the frame on as the next flow.
    #[xdp]
    pub fn generate(ctx: XdpContext) -> u32 {
        let Some(state) = STATE.get_ptr_mut(0) else {
            return XDP_ABORTED;
        };
        let data = ctx.data();
        if data + PORT + 2 > ctx.data_end() {
            return XDP_ABORTED;
        }
        // SAFETY: the element belongs to the one run that uses it; the two writes lie inside the packet.
        unsafe {
            let [flows, made, one_in, repeat, flood] = *state;
            if flows == 0 {
                return XDP_ABORTED;
            }
            (*state)[1] = made + 1;
            let (address, port) = if one_in == 0 || made % one_in == 0 {
                let flow = (if one_in == 0 { made } else { made / one_in } % flows) as u32;
                // 10.0.0.0/8 by the low bits, 32 ports an address.
                (0x0a00_0001 + (flow >> 5), 40_000 + (flow & 31) as u16)
            } else {
                (*state)[4] = flood + 1;
                let flow = if repeat > 1 { flood / repeat } else { flood };
                // 11.0.0.0/8 in an order without neighbours, and ports after that.
                let host = (flow as u32).wrapping_mul(0x9e_3779b1) & 0xff_ffff;
                (0x0b00_0000 + host, 1024 + (flow >> 24) as u16)
            };
            ((data + SOURCE) as *mut [u8; 4]).write(address.to_be_bytes());
            ((data + PORT) as *mut [u8; 2]).write(port.to_be_bytes());
        }
        XDP_TX
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }

    // SAFETY: the loader reads this section and nothing else defines it.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

/// The program only means something to the kernel.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
