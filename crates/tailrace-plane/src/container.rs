//! What the container allows, which is less than what the machine has (req 11.1).
//!
//! The failure prevented: limits that fit the machine, and a process that is ended for using more
//! than its share of it. CPUs are read by the standard library; memory is read here: the tightest
//! group on the way to the root, of cgroup version 2 or 1, else what the machine has.

use std::fs;
use std::path::{Path, PathBuf};

/// Where nothing can be read: little enough for a small machine.
const UNKNOWN_BYTES: u64 = 1 << 30;

/// Bytes this process may use.
pub fn memory_bytes() -> u64 {
    memory_below(Path::new("/"))
}

fn memory_below(root: &Path) -> u64 {
    let machine = meminfo(&read(&root.join("proc/meminfo")));
    let groups = read(&root.join("proc/self/cgroup"));
    let limits = groups.lines().flat_map(|line| limits_of(root, line));
    limits.chain(machine).min().unwrap_or(UNKNOWN_BYTES)
}

/// The limits that one line of `/proc/self/cgroup` leads to: `0::/path`, or `9:memory:/path`.
fn limits_of(root: &Path, line: &str) -> Vec<u64> {
    let mut words = line.splitn(3, ':').skip(1);
    let (controllers, path) = (words.next(), words.next().unwrap_or_default());
    let mounted = root.join("sys/fs/cgroup");
    let (tree, name) = match controllers {
        Some("") => (mounted, "memory.max"),
        Some(names) if names.split(',').any(|one| one == "memory") => {
            (mounted.join("memory"), "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    // Inside a container the path may be the host's; then only the root of the tree is there.
    let own: PathBuf = tree.join(path.trim_start_matches('/'));
    let ways = own.ancestors().take_while(|one| one.starts_with(&tree));
    ways.filter_map(|folder| read(&folder.join(name)).trim().parse().ok())
        .collect()
}

fn meminfo(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Nothing, where there is none.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files; removed at the end.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("tailrace-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:        2048 kB\nMemFree: 9 kB\n");

    // req 11.1
    #[test]
    fn the_tightest_group_on_the_way_to_the_root_counts() {
        let root = Root::new(
            "tightest",
            &[
                MACHINE,
                ("proc/self/cgroup", "0::/pod/one\n"),
                ("sys/fs/cgroup/pod/one/memory.max", "max\n"),
                ("sys/fs/cgroup/pod/memory.max", "524288\n"),
            ],
        );
        assert_eq!(memory_below(&root.0), 524_288);
    }

    #[test]
    fn the_first_version_of_groups_is_read_too() {
        let root = Root::new(
            "first",
            &[
                MACHINE,
                (
                    "proc/self/cgroup",
                    "5:cpu,cpuacct:/x\n4:memory:/of/the/host\n",
                ),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n"),
                ("sys/fs/cgroup/x/memory.max", "7"),
            ],
        );
        assert_eq!(memory_below(&root.0), 1_000_000);
    }

    #[test]
    fn without_a_limit_it_is_what_the_machine_has() {
        // No limit, in the words of version 1: more than any machine has.
        let none = (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712",
        );
        let root = Root::new(
            "none",
            &[MACHINE, ("proc/self/cgroup", "4:memory:/\n"), none],
        );
        assert_eq!(memory_below(&root.0), 2 * 1024 * 1024);
        assert_eq!(memory_below(&root.0.join("nowhere")), UNKNOWN_BYTES);
    }
}
