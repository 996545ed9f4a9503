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
        free: group.map_or(free, |group| free.min(group.free())),
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

impl Group {
    fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// The files of a version of control groups (the kernel's admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst).
struct Version {
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: cached file pages, which count as used, but are reclaimed when memory is needed.
    cache: &'static str,
}

const VERSION_1: Version =
    Version { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file " };
const VERSION_2: Version = Version { limit: "memory.max", used: "memory.current", cache: "inactive_file " };

/// The tightest limit among this process's control groups and their ancestors, of both versions: a system may have the
/// memory controller in either. `own` is /proc/self/cgroup (cgroups(7)).
fn group(root: &Path, own: &str) -> Option<Group> {
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?.strip_prefix('/')?);
        match controllers {
            "" => tightest(root, path, &VERSION_2),
            _ if controllers.split(',').any(|name| name == "memory") => {
                tightest(&root.join("memory"), path, &VERSION_1)
            }
            _ => None,
        }
    };
    own.lines().filter_map(of_line).min_by_key(Group::free)
}

/// The tightest limit from the group at `path` up to `root`. In a container, the process's own group is often mounted as
/// the root.
fn tightest(root: &Path, path: &str, version: &Version) -> Option<Group> {
    let number = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let cache = |folder: &Path| {
        let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
        stat.lines().find_map(|line| line.strip_prefix(version.cache))?.trim().parse::<u64>().ok()
    };
    let path = root.join(path);
    let groups = path.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(|folder| {
        let used = number(folder, version.used)?.saturating_sub(cache(folder).unwrap_or(0));
        Some(Group { limit: number(folder, version.limit)?, used })
    });
    groups.min_by_key(Group::free)
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

    #[test]
    fn groups_of_version_1_count_too() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("memory/docker/1");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("memory.limit_in_bytes"), "1000\n").unwrap();
        fs::write(folder.join("memory.usage_in_bytes"), "900\n").unwrap();
        fs::write(folder.join("memory.stat"), "inactive_file 1\ntotal_inactive_file 300\n").unwrap();
        // Without a limit, version 1 has the largest multiple of a page.
        fs::write(root.path().join("memory/memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        fs::write(root.path().join("memory/memory.usage_in_bytes"), "5000\n").unwrap();
        let own = "9:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/system.slice\n";
        assert_eq!(group(root.path(), own), Some(Group { limit: 1000, used: 600 }));
        assert_eq!(group(root.path(), "9:cpu,cpuacct:/docker/1\n"), None);
    }
}
