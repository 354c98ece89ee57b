//! What `cargo xtask bench kernel` measures, step by step: each program draws a flow, writes it into the packet, and
//! goes one step further than the one before. Not part of the sensor.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod kernel;

#[cfg(target_arch = "bpf")]
mod programs {
    #![expect(unsafe_code, reason = "packet memory and map values are raw")]

    use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP};
    use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};
    use aya_ebpf::macros::{map, xdp};
    use aya_ebpf::maps::{Array, HashMap, LruPerCpuHashMap, PerCpuArray, PerCpuHashMap};
    use aya_ebpf::programs::XdpContext;
    use sensor_ebpf::flow::{FlowKey, FlowStats};
    use sensor_ebpf::parse::parse_ethernet;
    use sensor_ebpf::table::place;

    use crate::kernel::{frame, run};

    /// How many flows to draw from, the state of the draw, and where the next new flow begins.
    #[map]
    static DRAW: Array<[u64; 3]> = Array::with_max_entries(1, 0);

    /// The flow map of the twin.
    #[map]
    static TWIN: LruPerCpuHashMap<FlowKey, FlowStats> = LruPerCpuHashMap::with_max_entries(1, 0);

    /// What the flow table was before it was ours, without its atomic additions: a shared hash.
    #[map]
    static SHARED_HASH: HashMap<FlowKey, FlowStats> = HashMap::with_max_entries(1, 0);

    /// A hash with a value for each CPU: also what each half of a double buffer would be.
    #[map]
    static PERCPU_HASH: PerCpuHashMap<FlowKey, FlowStats> = PerCpuHashMap::with_max_entries(1, 0);

    /// Of what an entry of a flow table is made of: two cache lines.
    #[map]
    static ANY_ENTRY: Array<[u64; 16]> = Array::with_max_entries(ENTRY_COUNT, 0);

    const ENTRY_COUNT: u32 = 262_144;

    #[map]
    static SCRATCH: PerCpuArray<FlowStats> = PerCpuArray::with_max_entries(1, 0);

    /// Offsets of the IPv4 source address behind an untagged Ethernet header, and of the source port.
    const SOURCE: usize = 14 + 12;
    const PORT: usize = 14 + 20;

    /// Writes a flow drawn at random (`fresh`: one not seen before) into an IPv4 packet.
    #[inline(always)]
    fn draw(ctx: &XdpContext, fresh: bool) -> bool {
        write(ctx, fresh, |flow| 0x0a00_0001 + (flow >> 5) as u32)
    }

    #[inline(always)]
    fn write(ctx: &XdpContext, fresh: bool, address: impl Fn(u64) -> u32) -> bool {
        let data = ctx.data();
        let (Some(state), true) = (DRAW.get_ptr_mut(0), data + PORT + 2 <= ctx.data_end()) else {
            return false;
        };
        // SAFETY: the element belongs to the one run that uses it; the two writes lie inside the packet.
        unsafe {
            let flow = if fresh {
                (*state)[2] += 1;
                (*state)[2]
            } else {
                let mut random = (*state)[1] | 1;
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (*state)[1] = random;
                ((random >> 32) * (*state)[0]) >> 32
            };
            let address = address(flow);
            // Unaligned words are fine for the machine this is for.
            ((data + SOURCE) as *mut u32).write(address.to_be());
            ((data + PORT) as *mut u16).write((40_000 + (flow & 31) as u16).to_be());
        }
        true
    }

    /// Nothing at all.
    #[xdp]
    pub fn empty(_: XdpContext) -> u32 {
        XDP_DROP
    }

    /// Draws a flow, no more: what the rest is to be compared with.
    #[xdp]
    pub fn noop(ctx: XdpContext) -> u32 {
        if draw(&ctx, false) { XDP_DROP } else { XDP_ABORTED }
    }

    /// Parses, too.
    #[xdp]
    pub fn parse(ctx: XdpContext) -> u32 {
        parse_step(&ctx)
    }

    /// Parses and reads the coarse clock.
    #[xdp]
    pub fn clock_coarse(ctx: XdpContext) -> u32 {
        // SAFETY: no argument.
        if unsafe { bpf_ktime_get_coarse_ns() } == 1 { XDP_ABORTED } else { parse_step(&ctx) }
    }

    /// Parses and reads the fine clock.
    #[xdp]
    pub fn clock_fine(ctx: XdpContext) -> u32 {
        // SAFETY: no argument.
        if unsafe { bpf_ktime_get_ns() } == 1 { XDP_ABORTED } else { parse_step(&ctx) }
    }

    #[inline(always)]
    fn parse_step(ctx: &XdpContext) -> u32 {
        draw(ctx, false);
        match parse_ethernet(&frame::Context(ctx)) {
            // Something must come of each field, or the compiler leaves it out.
            Ok(packet) if packet.key.words().iter().fold(0, |sum, word| sum ^ word) == 1 => XDP_ABORTED,
            Ok(_) => XDP_DROP,
            Err(_) => XDP_ABORTED,
        }
    }

    /// Parses, hashes the key and adds to the entry that the hash names, whoever's it is: what any table in memory costs
    /// at least, before it looks for the flow, takes a sample or reads a clock.
    #[xdp]
    pub fn entry(ctx: XdpContext) -> u32 {
        entry_step(&ctx)
    }

    /// The same with flows drawn at random.
    #[xdp]
    pub fn entry_drawn(ctx: XdpContext) -> u32 {
        draw(&ctx, false);
        entry_step(&ctx)
    }

    #[inline(always)]
    fn entry_step(ctx: &XdpContext) -> u32 {
        let bytes = (ctx.data_end() - ctx.data()) as u64;
        let Ok(packet) = parse_ethernet(&frame::Context(ctx)) else {
            return XDP_ABORTED;
        };
        let place = place(&packet.key.words(), |word| 0x9e37_79b9_u32.wrapping_mul(word as u32 + 1));
        let Some(entry) = ANY_ENTRY.get_ptr_mut(place.bucket % ENTRY_COUNT) else {
            return XDP_ABORTED;
        };
        // SAFETY: one run at a time in a benchmark.
        unsafe {
            (*entry)[0] = (*entry)[0].wrapping_add(1);
            (*entry)[15] = (*entry)[15].wrapping_add(bytes);
        }
        XDP_DROP
    }

    /// The sensor's program.
    #[xdp]
    pub fn full(ctx: XdpContext) -> u32 {
        draw(&ctx, false);
        run::<false>(&ctx)
    }

    /// The sensor's program, and each packet a new flow.
    #[xdp]
    pub fn full_new(ctx: XdpContext) -> u32 {
        draw(&ctx, true);
        run::<false>(&ctx)
    }

    /// The same, and each of an address of its own, anywhere: what listed addresses are looked up for.
    #[xdp]
    pub fn full_scattered(ctx: XdpContext) -> u32 {
        write(&ctx, true, |flow| (flow as u32).wrapping_mul(0x9e37_79b1));
        run::<false>(&ctx)
    }

    /// The program as it is commonly written: a per-CPU LRU hash map and the fine clock; same key, same value.
    #[xdp]
    pub fn twin(ctx: XdpContext) -> u32 {
        // SAFETY: no argument.
        draw(&ctx, false);
        twin_step(&ctx, unsafe { bpf_ktime_get_ns() })
    }

    /// The same with the coarse clock.
    #[xdp]
    pub fn twin_coarse(ctx: XdpContext) -> u32 {
        draw(&ctx, false);
        // SAFETY: no argument.
        twin_step(&ctx, unsafe { bpf_ktime_get_coarse_ns() })
    }

    /// The twin, and each packet a new flow.
    #[xdp]
    pub fn twin_new(ctx: XdpContext) -> u32 {
        draw(&ctx, true);
        // SAFETY: no argument.
        twin_step(&ctx, unsafe { bpf_ktime_get_ns() })
    }

    /// A shared hash, coarse clock, additions that are not atomic: less than it would cost.
    #[xdp]
    pub fn shared_hash(ctx: XdpContext) -> u32 {
        draw(&ctx, false);
        // SAFETY: no argument.
        let now = unsafe { bpf_ktime_get_coarse_ns() };
        hash_step(
            &ctx,
            now,
            |key| SHARED_HASH.get_ptr_mut(key),
            |key, value| SHARED_HASH.insert(key, value, 0),
        )
    }

    /// A per-CPU hash, coarse clock.
    #[xdp]
    pub fn percpu_hash(ctx: XdpContext) -> u32 {
        draw(&ctx, false);
        // SAFETY: no argument.
        let now = unsafe { bpf_ktime_get_coarse_ns() };
        hash_step(
            &ctx,
            now,
            |key| PERCPU_HASH.get_ptr_mut(key),
            |key, value| PERCPU_HASH.insert(key, value, 0),
        )
    }

    #[inline(always)]
    fn hash_step(
        ctx: &XdpContext,
        now: u64,
        find: impl Fn(&FlowKey) -> Option<*mut FlowStats>,
        insert: impl Fn(&FlowKey, &FlowStats) -> Result<(), i32>,
    ) -> u32 {
        let bytes = (ctx.data_end() - ctx.data()) as u64;
        let Ok(packet) = parse_ethernet(&frame::Context(ctx)) else {
            return XDP_ABORTED;
        };
        let direction = usize::from(packet.reverse);
        // SAFETY: one run at a time in a benchmark.
        unsafe {
            if let Some(stats) = find(&packet.key) {
                (*stats).add_packet(direction, bytes, packet.tcp_flags, now);
            } else if let Some(fresh) = SCRATCH.get_ptr_mut(0) {
                (*fresh).set_first_packet(direction, bytes, packet.tcp_flags, now);
                if insert(&packet.key, &*fresh).is_err() {
                    return XDP_ABORTED;
                }
            }
        }
        XDP_DROP
    }

    #[inline(always)]
    fn twin_step(ctx: &XdpContext, now: u64) -> u32 {
        hash_step(ctx, now, |key| TWIN.get_ptr_mut(key), |key, value| TWIN.insert(key, value, 0))
    }
}

/// The programs only mean something to the kernel.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
