//! Which CPUs are near an interface.

use std::path::Path;

/// Where an interface is plugged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numa {
    /// Its NUMA node; absent where there is one node only, or the interface is virtual.
    pub node: Option<u32>,
    /// CPUs of that node; empty is any.
    pub cpus: Vec<usize>,
}

impl Numa {
    /// Reads `device/numa_node` and `device/local_cpulist` in the interface's folder under `/sys`.
    pub(super) fn of(folder: &Path) -> Numa {
        let read = |file: &str| std::fs::read_to_string(folder.join("device").join(file)).unwrap_or_default();
        // -1 is "no node": then the list has every CPU.
        match read("numa_node").trim().parse() {
            Ok(node) => Numa { node: Some(node), cpus: cpu_list(&read("local_cpulist")) },
            Err(_) => Numa::default(),
        }
    }

    /// The CPUs near the interface among those that are allowed; all of these where none is near.
    pub fn among(&self, allowed: &[usize]) -> Vec<usize> {
        let near: Vec<usize> = allowed.iter().copied().filter(|cpu| self.cpus.contains(cpu)).collect();
        if near.is_empty() { allowed.to_vec() } else { near }
    }
}

/// `0-3,8,10-11`, as the kernel writes sets of CPUs.
fn cpu_list(text: &str) -> Vec<usize> {
    /// CONFIG_NR_CPUS is 8192 at most.
    const MOST: usize = 8192;
    text.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse::<usize>().ok()?.min(MOST))
        })
        .flatten()
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpu_list("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(cpu_list("5"), [5]);
        assert_eq!(cpu_list(""), [] as [usize; 0]);
        assert_eq!(cpu_list("x,3-1,2"), [2]);
        assert!(cpu_list("0-99999999999").len() <= 8192);
    }

    #[test]
    fn near_cpus_first() {
        let numa = Numa { node: Some(1), cpus: vec![4, 5, 6, 7] };
        assert_eq!(numa.among(&[0, 1, 5, 7]), [5, 7]);
        assert_eq!(numa.among(&[0, 1]), [0, 1], "none near: all that are allowed");
        assert_eq!(Numa::default().among(&[0, 1]), [0, 1]);
    }
}
