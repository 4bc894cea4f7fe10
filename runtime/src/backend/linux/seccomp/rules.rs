//! From names to numbers: what a config says of each system call of an instruction set.

use std::collections::BTreeMap;
use std::str::FromStr;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSyscall};

/// Of errno.h: no such call. Programs take another way then.
const ENOSYS: u32 = 38;
/// The default of SCMP_ACT_ERRNO.
const EPERM: u32 = 1;
/// A call has no more arguments.
const ARGS: usize = 6;

/// What the kernel calls an instruction set (linux/audit.h), and its calls by name.
pub(super) struct Table {
    pub(super) audit: u32,
    number: fn(&str) -> Option<u32>,
    /// Numbers from here on are those of another set, which shares the first one's name.
    pub(super) end: Option<u32>,
}

type MakeTable = fn() -> Table;

/// A kind of processor: its own instruction set, and older ones that it can run.
pub(super) struct Machine {
    native: MakeTable,
    others: &'static [(Arch, MakeTable)],
}

macro_rules! table {
    ($name:ident, $audit:literal, $end:expr) => {
        fn $name() -> Table {
            let number = |name: &str| {
                let call = syscalls::$name::Sysno::from_str(name).ok()?;
                u32::try_from(call.id()).ok()
            };
            Table { audit: $audit, number, end: $end }
        }
    };
}

/// The bit of x32 calls, whose instruction set has the name of x86-64.
const X32: u32 = 0x4000_0000;

table!(x86_64, 0xc000_003e, Some(X32));
table!(x86, 0x4000_0003, None);
table!(aarch64, 0xc000_00b7, None);
table!(arm, 0x4000_0028, None);
table!(riscv64, 0xc000_00f3, None);

impl Machine {
    /// By Rust's name of it.
    pub(super) fn of(arch: &str) -> Option<Self> {
        match arch {
            "x86_64" => Some(Self { native: x86_64, others: &[(Arch::ScmpArchX86, x86)] }),
            "aarch64" => Some(Self { native: aarch64, others: &[(Arch::ScmpArchArm, arm)] }),
            "riscv64" => Some(Self { native: riscv64, others: &[] }),
            _ => None,
        }
    }

    /// Its own, always, and those of the others that are listed.
    pub(super) fn tables(&self, is_listed: impl Fn(Arch) -> bool) -> Vec<Table> {
        let others = self.others.iter().filter(|(arch, _)| is_listed(*arch)).map(|(_, table)| table());
        std::iter::once((self.native)()).chain(others).collect()
    }
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Always this, in the kernel's encoding.
    Always(u32),
    /// The first of these whose conditions are met, or else the last number.
    Depends(Vec<(Vec<LinuxSeccompArg>, u32)>, u32),
}

/// What happens to each call of an instruction set.
#[derive(Debug)]
pub(super) struct Rules {
    /// By the first number of a row that is treated alike; the first is 0.
    pub(super) rows: Vec<(u32, Verdict)>,
}

impl Rules {
    pub(super) fn of(config: &LinuxSeccomp, table: &Table) -> Result<Self, String> {
        let default = encode(config.default_action(), config.default_errno_ret());
        let mut calls: BTreeMap<u32, Vec<(Vec<LinuxSeccompArg>, u32)>> = BTreeMap::new();
        let mut newest = 0;
        for rule in config.syscalls().iter().flatten() {
            let action = encode(rule.action(), rule.errno_ret());
            let args = conditions(rule)?;
            // Names that a kernel does not have are in every list.
            for number in rule.names().iter().filter_map(|name| (table.number)(name)) {
                newest = newest.max(number);
                if action != default {
                    calls.entry(number).or_default().push((args.clone(), action));
                }
            }
        }
        let mut rows = vec![(0, Verdict::Always(default))];
        let mut put = |from: u32, verdict: Verdict| {
            if rows.last().is_some_and(|(_, last)| *last == verdict) {
                return;
            }
            if rows.last().is_some_and(|(start, _)| *start == from) {
                rows.pop();
            }
            rows.push((from, verdict));
        };
        for (number, rules) in calls {
            let always = rules.iter().find(|(args, _)| args.is_empty()).map(|(_, action)| *action);
            put(number, always.map_or(Verdict::Depends(rules, default), Verdict::Always));
            put(number + 1, Verdict::Always(default));
        }
        let refuses = config.default_action() == LinuxSeccompAction::ScmpActErrno;
        if refuses && newest > 0 {
            // As runc: lists do not know of newer calls, and programs ask whether there is one.
            put(newest + 1, Verdict::Always(encode(LinuxSeccompAction::ScmpActErrno, Some(ENOSYS))));
        }
        if let Some(end) = table.end {
            put(end, Verdict::Always(encode(LinuxSeccompAction::ScmpActErrno, Some(ENOSYS))));
        }
        Ok(Self { rows })
    }
}

fn conditions(rule: &LinuxSyscall) -> Result<Vec<LinuxSeccompArg>, String> {
    let args = rule.args().clone().unwrap_or_default();
    match args.iter().find(|arg| arg.index() >= ARGS) {
        Some(arg) => Err(format!("{}: no argument {}", rule.names().join(", "), arg.index())),
        None => Ok(args),
    }
}

/// As linux/seccomp.h has it.
fn encode(action: LinuxSeccompAction, errno: Option<u32>) -> u32 {
    let number = errno.unwrap_or(EPERM) & 0xffff;
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => 0,
        LinuxSeccompAction::ScmpActKillProcess => 0x8000_0000,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => 0x0005_0000 | number,
        LinuxSeccompAction::ScmpActTrace => 0x7ff0_0000 | number,
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => 0x7fff_0000,
        // Refused before; nothing is allowed by mistake.
        LinuxSeccompAction::ScmpActNotify => 0,
    }
}
