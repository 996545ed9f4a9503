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

/// The most workers that are tried on such a device: as many as the frames in flight keep busy, with one waiting or ready for every
/// four.
pub fn max_workers(begin: usize) -> usize {
    2 * begin
}

/// Threads inside each session, so that `workers` sessions use all cores and no more.
pub fn threads_per_worker(cores: usize, workers: usize) -> usize {
    (cores / workers.max(1)).max(1)
}

/// Frames that may be under way for `workers` workers: one in work and one waiting for each, and two that are ready while the
/// next element is busy.
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
