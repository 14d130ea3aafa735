//! The control groups that limit this process's memory, of both versions, as Linux shows them.

use procfs::process::Process;
use std::path::{Path, PathBuf};

/// Names of a version's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// In `memory.stat`: pages of files that nobody has used for a while, which the kernel takes
    /// back before anything runs short.
    inactive: &'static str,
    /// Where the line `oom_kill COUNT` stands.
    events: &'static str,
}

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    inactive: "total_inactive_file",
    events: "memory.oom_control",
};
const V2: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    inactive: "inactive_file",
    events: "memory.events",
};

/// A control group with a limit on memory, and the root of its hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryGroup {
    root: PathBuf,
    folder: PathBuf,
    names: Names,
}

impl MemoryGroup {
    /// Those that this process is in: one a version. None where that cannot be read.
    pub(crate) fn own() -> Vec<Self> {
        let groups = Process::myself().and_then(|process| process.cgroups()).ok();
        let of_memory = |group: procfs::ProcessCGroup| {
            let controls_memory = group.controllers.iter().any(|controller| controller == "memory");
            match group.hierarchy {
                0 => Some(Self::at(Path::new("/sys/fs/cgroup"), &group.pathname, V2)),
                _ if controls_memory => {
                    Some(Self::at(Path::new("/sys/fs/cgroup/memory"), &group.pathname, V1))
                }
                _ => None,
            }
        };
        groups.into_iter().flatten().filter_map(of_memory).collect()
    }

    fn at(root: &Path, pathname: &str, names: Names) -> Self {
        let folder = root.join(pathname.trim_start_matches('/'));
        Self { root: root.to_owned(), folder, names }
    }

    /// Bytes that can still be taken in it; `None` where nothing limits it.
    pub(crate) fn free(&self) -> Option<u64> {
        let bytes = |folder: &Path, name| -> Option<u64> {
            std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
        };
        let free = |folder: &Path| {
            // "max" is no number, and no limit.
            let limit = bytes(folder, self.names.limit)?;
            let usage = bytes(folder, self.names.usage)?;
            let inactive = entry(&folder.join("memory.stat"), self.names.inactive).unwrap_or(0);
            Some(limit.saturating_sub(usage.saturating_sub(inactive)))
        };
        // A limit holds for all groups below it. In a container the folder of the group itself may
        // not be there, and the root is what the container has.
        let groups = self.folder.ancestors().take_while(|folder| folder.starts_with(&self.root));
        groups.filter_map(free).min()
    }

    /// How many of its processes the kernel has killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        entry(&self.folder.join(self.names.events), "oom_kill").unwrap_or(0)
    }
}

/// The number behind `name` in a file of lines `name number`.
fn entry(path: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Writes the files of a group.
    fn group(folder: &Path, names: Names, limit: &str, usage: u64, inactive: u64, kills: u64) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(names.limit), format!("{limit}\n")).unwrap();
        fs::write(folder.join(names.usage), format!("{usage}\n")).unwrap();
        let stat = format!("anon 7\n{} {inactive}\nfile 9\n", names.inactive);
        fs::write(folder.join("memory.stat"), stat).unwrap();
        let events = format!("oom 12\noom_kill {kills}\noom_group_kill 5\n");
        fs::write(folder.join(names.events), events).unwrap();
    }

    #[test]
    fn the_tightest_limit_above_a_group_holds_and_idle_pages_of_files_count_as_free() {
        for (names, none) in [(V1, "9223372036854771712"), (V2, "max")] {
            let root = tempfile::tempdir().unwrap();
            group(root.path(), names, none, 900, 0, 0);
            group(&root.path().join("all"), names, "1000", 700, 100, 9);
            group(&root.path().join("all/scan"), names, "500", 50, 10, 3);
            let free = |name| MemoryGroup::at(root.path(), name, names).free();
            // 500 - 40 of its own, and 1000 - 600 of the group above.
            assert_eq!(free("/all/scan"), Some(400));
            group(&root.path().join("all/scan"), names, "500", 300, 0, 3);
            assert_eq!(free("/all/scan"), Some(200));
            // More than there may be, as after a limit was lowered.
            group(&root.path().join("all/scan"), names, "500", 600, 0, 3);
            assert_eq!(free("/all/scan"), Some(0));
            // A group that cannot be seen from here.
            assert_eq!(free("/elsewhere/scan").is_some(), names == V1);
            let scan = MemoryGroup::at(root.path(), "/all/scan", names);
            assert_eq!(scan.oom_kills(), 3);
            assert_eq!(MemoryGroup::at(root.path(), "/elsewhere", names).oom_kills(), 0);
        }
    }
}
