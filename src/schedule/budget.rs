//! How many workers a device holds.

/// Workers for a device with `bytes` of memory: below 5 GB one, below 7 GB two, below 10 GB three, else four.
///
/// More than four runs at once do not make a GPU faster; with little memory each run takes from the others.
pub fn workers_for_device(bytes: u64) -> usize {
    const GB: u64 = 1_000_000_000;
    match bytes {
        b if b < 5 * GB => 1,
        b if b < 7 * GB => 2,
        b if b < 10 * GB => 3,
        _ => 4,
    }
}

/// Workers for the CPU: one for each core, as far as `available` bytes of memory (if known) hold [`CPU_WORKER_BYTES`] for each.
pub fn workers_for_cpu(cores: usize, available: Option<u64>) -> usize {
    let fitting = available.map_or(cores, |bytes| (bytes / CPU_WORKER_BYTES) as usize);
    cores.min(fitting).max(1)
}

/// Memory set aside for one worker on the CPU: a 64-channel float32 network holds about three layers of 64 x 4 bytes for each
/// pixel at a time, which is 0.7 GB for a 1280x720 frame.
pub const CPU_WORKER_BYTES: u64 = 700 << 20;

/// Threads inside each session, so that `workers` sessions use all cores and no more.
pub fn threads_per_worker(cores: usize, workers: usize) -> usize {
    (cores / workers.max(1)).max(1)
}

/// Frames that may be under way for `workers` workers: one in work and one waiting for each, and two that are ready while the
/// next element is busy.
pub fn max_in_flight(workers: usize) -> usize {
    2 * workers + 2
}

/// Memory that a process can still have, in bytes: the least of what the system says is available and what is left under the
/// control group's limit. `None` where neither is told (other systems than Linux).
pub fn available_memory() -> Option<u64> {
    let system = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_meminfo(&text));
    let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    let group = read("memory.max").zip(read("memory.current")).map(|(limit, used)| limit.saturating_sub(used));
    system.into_iter().chain(group).min()
}

/// `MemAvailable` of /proc/meminfo (proc(5)), in bytes.
fn parse_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_device_memory() {
        let gb = |n: f64| (n * 1e9) as u64;
        let table = [(0.0, 1), (4.99, 1), (5.0, 2), (6.99, 2), (7.0, 3), (9.99, 3), (10.0, 4), (141.0, 4)];
        for (memory, workers) in table {
            assert_eq!(workers_for_device(gb(memory)), workers, "{memory} GB");
        }
    }

    #[test]
    fn the_cpu_gets_a_worker_for_each_core_that_memory_holds() {
        assert_eq!(workers_for_cpu(8, None), 8);
        assert_eq!(workers_for_cpu(8, Some(3 * CPU_WORKER_BYTES)), 3);
        assert_eq!(workers_for_cpu(8, Some(1)), 1);
        assert_eq!(workers_for_cpu(0, None), 1);
    }

    #[test]
    fn threads_share_the_cores() {
        assert_eq!(threads_per_worker(8, 1), 8);
        assert_eq!(threads_per_worker(8, 3), 2);
        assert_eq!(threads_per_worker(2, 4), 1);
    }

    #[test]
    fn meminfo_is_read() {
        assert_eq!(parse_meminfo("MemTotal: 9 kB\nMemAvailable:   24000 kB\n"), Some(24_576_000));
        assert_eq!(parse_meminfo("nothing"), None);
    }
}
