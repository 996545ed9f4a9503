//! The memory of the machine, as far as this process may use it.

use std::fs;
use std::path::Path;

use super::Memory;

/// The smaller of the system's and the control group's values. `None` on systems other than Linux.
pub fn memory() -> Option<Memory> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let (total, free) = (field(&meminfo, "MemTotal:")?, field(&meminfo, "MemAvailable:")?);
    let group = group(Path::new("/sys/fs/cgroup"), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
    Some(Memory {
        total: group.map_or(total, |group| total.min(group.limit)),
        free: group.map_or(free, |group| free.min(group.limit.saturating_sub(group.used))),
    })
}

/// A field of /proc/meminfo (proc(5)), in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    limit: u64,
    used: u64,
}

/// The tightest limit among this process's control group (version 2) and its ancestors. In a container, the process's
/// own group is often mounted as the root.
fn group(root: &Path, own: &str) -> Option<Group> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let number = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let groups = root
        .join(path)
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .map(Path::to_owned)
        .collect::<Vec<_>>();
    // Cached file pages count as used, but are reclaimed when memory is needed.
    let cache = |folder: &Path| {
        let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
        stat.lines().find_map(|line| line.strip_prefix("inactive_file "))?.trim().parse::<u64>().ok()
    };
    let limits = groups.iter().filter_map(|folder| {
        let used = number(folder, "memory.current")?.saturating_sub(cache(folder).unwrap_or(0));
        Some(Group { limit: number(folder, "memory.max")?, used })
    });
    limits.min_by_key(|group| group.limit.saturating_sub(group.used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        assert_eq!(field("MemTotal: 9 kB\nMemAvailable:   24000 kB\n", "MemAvailable:"), Some(24_576_000));
        assert_eq!(field("nothing", "MemAvailable:"), None);
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let write = |folder: &Path, limit: &str, used: &str| {
            fs::write(folder.join("memory.max"), limit).unwrap();
            fs::write(folder.join("memory.current"), used).unwrap();
        };
        write(&inner, "max\n", "10\n");
        assert_eq!(group(root.path(), "0::/a/b\n"), None);
        write(&root.path().join("a"), "1000\n", "900\n");
        assert_eq!(group(root.path(), "1:cpu:/x\n0::/a/b\n"), Some(Group { limit: 1000, used: 900 }));
        write(&inner, "500\n", "110\n");
        assert_eq!(group(root.path(), "0::/a/b\n"), Some(Group { limit: 1000, used: 900 }));
        assert_eq!(group(root.path(), ""), None);
        fs::write(root.path().join("a/memory.stat"), "anon 9\ninactive_file 600\n").unwrap();
        assert_eq!(group(root.path(), "0::/a/b\n"), Some(Group { limit: 500, used: 110 }));
    }
}
