//! What is looked at: in which group it is shown, and why it matters. `docs/check.md` has the same table; a test compares.

/// One subject.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) group: &'static str,
    pub(super) why: &'static str,
}

const fn subject(group: &'static str, name: &'static str, why: &'static str) -> Subject {
    Subject { name, group, why }
}

const KERNEL: &str = "Kernel";
const RIGHTS: &str = "Rights and memory";
const MACHINE: &str = "Machine";
const NIC: &str = "Interface";
const STATE: &str = "State and disk";
const PEERS: &str = "Sinks, lists, API";
const SERVICE: &str = "Service";

/// All subjects, in the order they are shown in.
pub(super) const SUBJECTS: [Subject; 44] = [
    subject("Settings", "config", "What is not set, or misspelt, is not what you meant the sensor to do."),
    subject(KERNEL, "kernel", "The XDP program uses what older kernels do not have."),
    subject(KERNEL, "features", "Some abilities of NICs can be used, or asked for, with newer kernels only."),
    subject(
        KERNEL,
        "bpf jit",
        "Without it each packet costs several times as much, and the fast ones are missed.",
    ),
    subject(
        KERNEL,
        "unprivileged",
        "Any user could load BPF; most kernels' BPF holes need just that. The sensor does not.",
    ),
    subject(
        KERNEL,
        "bpffs",
        "Program and counters are pinned there, so that counting can go on while the sensor restarts.",
    ),
    subject(KERNEL, "bpf maps", "Flows, samples, totals and lists of addresses are in maps of these kinds."),
    subject(KERNEL, "xdp program", "Nothing is counted unless the kernel's verifier takes the program."),
    subject(
        KERNEL,
        "af_xdp",
        "In mirror mode samples reach the sensor through AF_XDP sockets, and through nothing else.",
    ),
    subject(
        RIGHTS,
        "capabilities",
        "Without them the kernel refuses the program, the sockets or the interface.",
    ),
    subject(
        RIGHTS,
        "memlock",
        "Samples are received into memory that is locked; the kernel refuses more than the limit.",
    ),
    subject(
        RIGHTS,
        "memory",
        "Tables are taken when the sensor starts: with too little, it or its neighbours are killed.",
    ),
    subject(
        MACHINE,
        "clock source",
        "The time is read for every packet; a slow source costs a microsecond each.",
    ),
    subject(
        MACHINE,
        "time",
        "Alerts are compared with other machines' logs, certificates and tokens by time.",
    ),
    subject(
        MACHINE,
        "cpu governor",
        "A CPU that sleeps deeply or runs slowly meets a burst of packets too late.",
    ),
    subject(MACHINE, "gpu", "With a GPU the model scores more; without one everything works on the CPU."),
    subject(NIC, "interface", "Packets are seen on this interface, and on no other."),
    subject(NIC, "link", "Without a link there are no packets: the sensor is blind."),
    subject(NIC, "mtu", "A driver refuses native XDP where a frame may not fit into one buffer."),
    subject(
        NIC,
        "route",
        "Mirror mode drops what it has counted: on this machine's own way out, that cuts it off.",
    ),
    subject(
        NIC,
        "other xdp",
        "An interface takes one XDP program; that of somebody else is left alone, and in the way.",
    ),
    subject(
        NIC,
        "af_xdp users",
        "A queue serves one AF_XDP socket: where another program has it, no samples come.",
    ),
    subject(
        NIC,
        "native xdp",
        "In the driver the program costs about a tenth of what it costs in the network stack.",
    ),
    subject(NIC, "queues", "Each receive queue has a thread; threads that share a CPU lose bursts."),
    subject(
        NIC,
        "rss",
        "Where both directions of a connection come to one queue, it is put together sooner and cheaper.",
    ),
    subject(
        NIC,
        "offloads",
        "They change frames before the sensor sees them: tags vanish, packets are merged or dropped.",
    ),
    subject(
        NIC,
        "promiscuous",
        "A mirror port sends frames for others' addresses; the NIC drops them unless told not to.",
    ),
    subject(
        NIC,
        "nic rings",
        "What does not fit into the NIC's ring during a burst is lost before anyone can count it.",
    ),
    subject(
        NIC,
        "zero-copy",
        "Without it each sample is copied once more: fewer packets a second, same results.",
    ),
    subject(NIC, "huge pages", "They save some percent of CPU at high rates."),
    subject(NIC, "numa", "Memory and CPUs of another node are farther from the NIC: packets cost more."),
    subject(NIC, "interrupts", "Where one CPU serves all queues, it is full while the others wait."),
    subject(NIC, "prepared", "A sensor changes the interface while it runs and must put it back."),
    subject(STATE, "state", "Alerts, the model and what was acknowledged are kept there."),
    subject(STATE, "sink jsonl", "This sink writes to a file there."),
    subject(STATE, "sink eve", "This sink writes to a file there."),
    subject(STATE, "disk", "On a full disk no alert can be stored; the sensor says so and is of little use."),
    subject(
        STATE,
        "filesystem",
        "The database needs locks and syncs that hold; some filesystems only promise them.",
    ),
    subject(
        PEERS,
        "sink",
        "People hear of alerts through sinks; what cannot be delivered waits in the store.",
    ),
    subject(PEERS, "intel", "Addresses and names that others know to be bad are found with these lists."),
    subject(PEERS, "api", "Console, metrics and API are served there."),
    subject(SERVICE, "systemd", "What is not started by anyone is not there after a reboot or a crash."),
    subject(SERVICE, "watchdog", "A sensor that hangs is restarted by systemd only if the unit asks for it."),
    subject("Other", "", "It matters."),
];

/// The subject of this name. The last one stands for names that are missing, which a test prevents.
pub(super) fn of(name: &str) -> &'static Subject {
    SUBJECTS.iter().find(|subject| subject.name == name).unwrap_or(&SUBJECTS[SUBJECTS.len() - 1])
}
