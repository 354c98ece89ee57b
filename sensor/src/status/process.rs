//! What this process costs, under the names Prometheus libraries use. Linux only, from /proc.

/// CPU time in seconds, resident memory in bytes, open file descriptors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub cpu_seconds: f64,
    pub resident_bytes: f64,
    pub open_fds: f64,
}

/// Reads them; what cannot be read is 0.
pub(super) fn read() -> Process {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold spaces; what follows is proc_pid_stat(5) from field 3 on.
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0.0);
    Process {
        cpu_seconds: (field(14) + field(15)) / rustix::param::clock_ticks_per_second() as f64,
        resident_bytes: field(24) * rustix::param::page_size() as f64,
        open_fds: std::fs::read_dir("/proc/self/fd").map_or(0.0, |folder| folder.count() as f64),
    }
}
