//! Where every packet goes that the program saw: the kernel side of the ledger.

/// Why a packet is in no flow. The numbers index [`Totals::not_counted`].
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The frame ends inside the Ethernet header or a VLAN tag.
    ShortEthernet = 0,
    /// ARP and RARP.
    Arp = 1,
    /// IEEE 802.3 length field instead of an EtherType: spanning tree, LLDP over LLC, IS-IS.
    Llc = 2,
    /// Any other EtherType that is not IP: PTP, GOOSE, LLDP, MACsec, MPLS.
    OtherEtherType = 3,
    /// More than two VLAN tags.
    VlanDepth = 4,
    /// The frame ends inside the IPv4 header.
    ShortIpv4 = 5,
    /// Version or header length of IPv4 is wrong.
    BadIpv4 = 6,
    /// The frame ends inside the IPv6 header or an extension header.
    ShortIpv6 = 7,
    /// The version of an IPv6 packet is not 6.
    BadIpv6 = 8,
    /// More IPv6 extension headers than are walked.
    Ipv6Chain = 9,
    /// The frame ends before ports, type or flags of the transport header.
    ShortTransport = 10,
    /// A capture file's link layer that is not understood; never from an interface.
    UnknownLink = 11,
}

/// How many [`Reason`]s there are.
pub const REASONS: usize = 12;

impl Reason {
    /// Whether frames like this are sampled although they are in no flow, those that are not IP: 0 is ARP, 1 the rest.
    #[inline(always)]
    pub fn link_class(self) -> Option<u32> {
        match self {
            Reason::Arp => Some(0),
            Reason::Llc | Reason::OtherEtherType | Reason::VlanDepth => Some(1),
            _ => None,
        }
    }

    /// Every reason with its metric label.
    pub const ALL: [(Reason, &'static str); REASONS] = [
        (Reason::ShortEthernet, "short_ethernet"),
        (Reason::Arp, "arp"),
        (Reason::Llc, "llc"),
        (Reason::OtherEtherType, "other_ethertype"),
        (Reason::VlanDepth, "vlan_depth"),
        (Reason::ShortIpv4, "short_ipv4"),
        (Reason::BadIpv4, "bad_ipv4"),
        (Reason::ShortIpv6, "short_ipv6"),
        (Reason::BadIpv6, "bad_ipv6"),
        (Reason::Ipv6Chain, "ipv6_chain"),
        (Reason::ShortTransport, "short_transport"),
        (Reason::UnknownLink, "unknown_link"),
    ];
}

/// Packets and bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, counted as in the flow table.
    pub bytes: u64,
}

impl Count {
    /// Counts one packet of `bytes`.
    #[inline(always)]
    pub fn add(&mut self, bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
    }
}

/// The totals of one CPU. The program adds to `seen` first and to one bin after, so at any moment the bins
/// hold what was seen, less the packets in flight (at most one per CPU).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets in no flow, by [`Reason`].
    pub not_counted: [Count; REASONS],
    /// Packets that belong to a flow, whether or not the flow table had room for it.
    pub counted: Count,
    /// Of these, packets of flows that the flow table had no room for.
    pub overflow_table_full: Count,
    /// Of these, packets of new flows beyond the rate at which they are admitted.
    pub overflow_not_admitted: Count,
    /// Of these, packets from a receive queue that the flow table has no lane for.
    pub overflow_no_lane: Count,
    /// Packets chosen as samples.
    pub sampled: u64,
    /// Samples lost: no AF_XDP socket on this queue.
    pub lost_no_socket: u64,
    /// Samples lost: the sample ring buffer of `host` mode was full.
    pub lost_ringbuf_full: u64,
    /// Samples lost: the driver left no room in front of the packet for the sample's metadata.
    pub lost_no_headroom: u64,
    /// Every packet the program was given.
    pub seen: Count,
}

const _: () = assert!(size_of::<Totals>() == 16 * (REASONS + 5) + 32);

impl Totals {
    /// Adds another CPU's totals.
    pub fn merge(&mut self, other: &Totals) {
        let add = |into: &mut Count, from: &Count| {
            into.packets = into.packets.wrapping_add(from.packets);
            into.bytes = into.bytes.wrapping_add(from.bytes);
        };
        for (into, from) in self.not_counted.iter_mut().zip(&other.not_counted) {
            add(into, from);
        }
        add(&mut self.counted, &other.counted);
        add(&mut self.overflow_table_full, &other.overflow_table_full);
        add(&mut self.overflow_not_admitted, &other.overflow_not_admitted);
        add(&mut self.overflow_no_lane, &other.overflow_no_lane);
        self.sampled = self.sampled.wrapping_add(other.sampled);
        self.lost_no_socket = self.lost_no_socket.wrapping_add(other.lost_no_socket);
        self.lost_ringbuf_full = self.lost_ringbuf_full.wrapping_add(other.lost_ringbuf_full);
        self.lost_no_headroom = self.lost_no_headroom.wrapping_add(other.lost_no_headroom);
        add(&mut self.seen, &other.seen);
    }

    /// All packets in no flow.
    pub fn not_counted_total(&self) -> Count {
        self.not_counted.iter().fold(Count::default(), |sum, count| Count {
            packets: sum.packets + count.packets,
            bytes: sum.bytes + count.bytes,
        })
    }

    /// Packets that the sketches of source prefixes count: those without an entry, where there is a lane.
    pub fn sketched_total(&self) -> u64 {
        self.overflow_table_full.packets + self.overflow_not_admitted.packets
    }

    /// Packets counted, but in no entry of the flow table.
    pub fn overflow_total(&self) -> Count {
        let all = [self.overflow_table_full, self.overflow_not_admitted, self.overflow_no_lane];
        all.iter().fold(Count::default(), |sum, count| Count {
            packets: sum.packets + count.packets,
            bytes: sum.bytes + count.bytes,
        })
    }
}
