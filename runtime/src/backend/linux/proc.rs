//! What `/proc` says of processes.

use std::fs;

use crate::state::ProcessId;

/// A process by its number, with what makes it that one; `None` when it is gone or a zombie.
pub(super) fn id(pid: i32) -> Option<ProcessId> {
    let stat = stat(pid)?;
    (!stat.has_ended()).then_some(ProcessId { pid, start: stat.start })
}

/// Whether it is there and has not ended.
pub(super) fn is_alive(process: ProcessId) -> bool {
    id(process.pid) == Some(process)
}

/// Whether it has ended or is about to: it has let go of its files by then, or will without doing anything else. A control
/// group counts such a process still. A process whose first thread alone has ended goes on.
pub(super) fn is_ending(pid: i32) -> bool {
    stat(pid).is_none_or(|stat| stat.threads <= 1 && (stat.has_ended() || stat.flags & PF_EXITING != 0))
}

/// Of the kernel's flags of a process (`include/linux/sched.h`): it is in `exit`.
const PF_EXITING: u64 = 0x4;

/// What is read of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// The third field.
    state: char,
    /// The ninth.
    flags: u64,
    /// The 20th.
    threads: u64,
    /// The 22nd: in clock ticks since the system began.
    start: u64,
}

impl Stat {
    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field may hold anything, parentheses too.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let flags = fields.nth(5)?.parse().ok()?;
    let threads = fields.nth(10)?.parse().ok()?;
    Some(Stat { state, flags, threads, start: fields.nth(1)?.parse().ok()? })
}

/// The mask of what this process may do.
pub(super) fn effective_capabilities() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Where control groups are mounted: each hierarchy, and whether it is of the second version.
pub(super) fn cgroup_mounts() -> Vec<CgroupMount> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(parse_mount).collect()
}

/// A mounted hierarchy of control groups.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CgroupMount {
    pub(super) at: String,
    pub(super) unified: bool,
    /// Of the first version: its controllers.
    pub(super) options: String,
}

/// A line of `mountinfo`: the fifth field is the place; after a lone `-` come type, source and options.
fn parse_mount(line: &str) -> Option<CgroupMount> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let unified = match right.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let at = left.split(' ').nth(4)?.to_owned();
    Some(CgroupMount { at, unified, options: right.nth(1).unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_fields() {
        let fields: Vec<String> = (4..=30).map(|n| n.to_string()).collect();
        let stat = format!("7 (a) b (c)) S {}\n", fields.join(" "));
        assert_eq!(parse_stat(&stat), Some(Stat { state: 'S', flags: 9, threads: 20, start: 22 }));
        assert_eq!(parse_stat("7 (a) S 4"), None);
    }

    #[test]
    fn this_process_is_alive_and_itself() {
        let me = id(std::process::id() as i32).unwrap();
        assert!(is_alive(me));
        assert!(!is_alive(ProcessId { start: me.start + 1, ..me }));
    }

    #[test]
    fn what_has_ended_is_ending_and_this_is_not() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        while id(pid).is_some() {
            std::thread::yield_now();
        }
        assert!(is_ending(pid) && !is_ending(std::process::id() as i32));
        child.wait().unwrap();
        assert!(is_ending(pid));
    }

    #[test]
    fn hierarchies_are_found() {
        let old = "33 28 0:27 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let want =
            CgroupMount { at: "/sys/fs/cgroup/cpu".into(), unified: false, options: "rw,cpu,cpuacct".into() };
        assert_eq!(parse_mount(old), Some(want));
        let new = "42 28 0:36 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert!(parse_mount(new).unwrap().unified);
        assert_eq!(parse_mount("22 1 0:4 / /proc rw - proc proc rw"), None);
    }
}
