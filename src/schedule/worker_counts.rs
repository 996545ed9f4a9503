//! How many workers a device gets, and how many threads and frames follow from that.

/// How many workers a device has.
#[derive(Clone, Copy, Debug)]
pub struct WorkerCounts {
    pub initial: usize,
    /// The most that the tuner tries.
    pub max: usize,
}

impl WorkerCounts {
    /// `requested` workers; with 0, one for each core if `cores` says that the processor does the work, otherwise a
    /// number from the device's memory.
    ///
    /// On the processor more workers than cores gain nothing. On a GPU the tuner improves on the number.
    pub fn choose(requested: u32, cores: Option<usize>, device_bytes: Option<u64>) -> Self {
        match (requested, cores) {
            (0, Some(cores)) => WorkerCounts { initial: cores, max: cores },
            (0, None) => {
                let initial = workers_for_device(device_bytes.unwrap_or(0));
                WorkerCounts { initial, max: max_workers(initial) }
            }
            (set, _) => WorkerCounts { initial: set as usize, max: set as usize },
        }
    }
}

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
    fn a_requested_number_wins_then_cores_then_memory() {
        let counts = |requested, cores, bytes| {
            let WorkerCounts { initial, max } = WorkerCounts::choose(requested, cores, bytes);
            [initial, max]
        };
        assert_eq!(counts(3, Some(8), Some(24 << 30)), [3, 3]);
        assert_eq!(counts(0, Some(8), Some(24 << 30)), [8, 8]);
        assert_eq!(counts(0, None, Some(24 << 30)), [4, 8]);
        assert_eq!(counts(0, None, None), [1, 2]);
    }

    #[test]
    fn threads_share_the_cores() {
        assert_eq!(threads_per_worker(8, 1), 8);
        assert_eq!(threads_per_worker(8, 3), 2);
        assert_eq!(threads_per_worker(2, 4), 1);
    }
}
