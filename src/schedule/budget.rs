//! Number of workers and threads for a device.

/// Workers for a device with `bytes` of memory: one below 5 GB, two below 7 GB, three below 10 GB, otherwise four.
///
/// More than four concurrent runs do not make a GPU faster, and on a small device each run takes memory from the
/// others.
pub fn workers_for_device(bytes: u64) -> usize {
    const GB: u64 = 1_000_000_000;
    match bytes {
        b if b < 5 * GB => 1,
        b if b < 7 * GB => 2,
        b if b < 10 * GB => 3,
        _ => 4,
    }
}

/// The maximum number of workers that the tuner tries when starting with `start`.
pub fn max_workers(start: usize) -> usize {
    2 * start
}

/// Threads per session, so that `workers` sessions together use all cores and no more.
pub fn threads_per_worker(cores: usize, workers: usize) -> usize {
    (cores / workers.max(1)).max(1)
}

/// Maximum number of frames in flight for `workers` workers: one running and one waiting for each, plus two finished
/// ones while downstream is busy.
pub fn max_in_flight(workers: usize) -> usize {
    2 * workers + 2
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
    fn threads_share_the_cores() {
        assert_eq!(threads_per_worker(8, 1), 8);
        assert_eq!(threads_per_worker(8, 3), 2);
        assert_eq!(threads_per_worker(2, 4), 1);
    }
}
