//! `linux.seccomp`: which system calls a container's processes may make.
//!
//! libcontainer does this by way of the C library libseccomp or not at all, so the filter is made here: the config is
//! resolved to rules by number for each instruction set ([`rules`]), and these to a program in the kernel's filter
//! language ([`program`]).

mod program;
mod rules;

use std::io;
use std::sync::Arc;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};

use super::sys;
use crate::{Error, Result};

/// A filter, ready for the kernel.
#[derive(Debug)]
pub(super) struct Filter {
    code: Vec<libc::sock_filter>,
    flags: u32,
}

impl Filter {
    /// Restricts this process from now on.
    pub(super) fn install(&self) -> io::Result<()> {
        sys::install_filter(&self.code, self.flags)
    }
}

/// The filter of a config, for this machine.
pub(super) fn filter(config: Option<&LinuxSeccomp>) -> Result<Option<Arc<Filter>>> {
    let Some(config) = config else { return Ok(None) };
    let filter = compile(config, std::env::consts::ARCH)?;
    Ok(Some(Arc::new(filter)))
}

/// Refuses what cannot be applied on a machine; returns what is left out and does no harm.
pub(super) fn check(config: Option<&LinuxSeccomp>, arch: &str) -> Result<Vec<String>> {
    let Some(config) = config else { return Ok(Vec::new()) };
    compile(config, arch)?;
    Ok(Vec::new())
}

fn compile(config: &LinuxSeccomp, arch: &str) -> Result<Filter> {
    let machine = rules::Machine::of(arch)
        .ok_or_else(|| refuse("architectures", &format!("filters cannot be made for {arch}")))?;
    let mut actions = vec![config.default_action()];
    actions.extend(config.syscalls().iter().flatten().map(|call| call.action()));
    if actions.contains(&LinuxSeccompAction::ScmpActNotify) || config.listener_path().is_some() {
        return Err(refuse("syscalls", "SCMP_ACT_NOTIFY and listeners are not supported"));
    }
    let mut flags = 0;
    for flag in config.flags().iter().flatten() {
        flags |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG as u32,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32,
            // There is one thread when the filter is installed.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
            other => return Err(refuse("flags", &format!("not supported: {other:?}"))),
        };
    }
    let listed = config.architectures().as_deref().unwrap_or_default();
    let tables = machine.tables(|arch: Arch| listed.contains(&arch));
    let mut blocks = Vec::new();
    for table in &tables {
        let rules = rules::Rules::of(config, table).map_err(|problem| refuse("syscalls", &problem))?;
        blocks.push((table.audit, rules));
    }
    let code = program::assemble(&blocks).map_err(|length| {
        refuse(
            "syscalls",
            &format!("the filter is too long: {length} instructions, {} at most", program::MAX),
        )
    })?;
    Ok(Filter { code, flags })
}

fn refuse(member: &str, problem: &str) -> Error {
    Error::config(format!("linux.seccomp.{member}"), problem)
}

#[cfg(test)]
mod tests {
    use super::program::tests::{Call, run};
    use super::*;
    use serde_json::json;

    const X86_64: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;
    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;
    const KILL: u32 = 0;

    fn compiled(config: serde_json::Value) -> Filter {
        compile(&serde_json::from_value(config).unwrap(), "x86_64").unwrap()
    }

    fn verdict(filter: &Filter, arch: u32, number: u32, args: &[u64]) -> u32 {
        run(&filter.code, &Call { number, arch, args })
    }

    #[test]
    fn a_list_of_what_is_allowed() {
        let filter = compiled(
            json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [
                {"names": ["read", "write", "close", "unheard_of"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3},
                {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"}]}),
        );
        for (number, want) in
            [(0, ALLOW), (1, ALLOW), (2, EPERM), (3, ALLOW), (62, 0x0005_0003), (169, 0x8000_0000)]
        {
            assert_eq!(verdict(&filter, X86_64, number, &[]), want, "{number}");
        }
        // The same names have other numbers there: read 3, write 4, close 6, kill 37.
        for (number, want) in [(3, ALLOW), (4, ALLOW), (5, EPERM), (6, ALLOW), (37, 0x0005_0003)] {
            assert_eq!(verdict(&filter, I386, number, &[]), want, "{number}");
        }
        // An instruction set that is not listed, and x32 calls, which have their own bit.
        assert_eq!(verdict(&filter, 0xc000_00b7, 0, &[]), KILL);
        assert_eq!(verdict(&filter, X86_64, 0x4000_0000, &[]), ENOSYS);
        // A call newer than all that are named: programs look for this answer and go another way.
        assert_eq!(verdict(&filter, X86_64, 400, &[]), ENOSYS);
    }

    #[test]
    fn a_list_of_what_is_not() {
        let filter = compiled(json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["kill"], "action": "SCMP_ACT_ERRNO"}]}));
        for (number, want) in [(0, ALLOW), (62, EPERM), (63, ALLOW), (5000, ALLOW)] {
            assert_eq!(verdict(&filter, X86_64, number, &[]), want, "{number}");
        }
        assert_eq!(verdict(&filter, I386, 0, &[]), KILL);
    }

    #[test]
    fn arguments_decide() {
        let big = 0x1_0000_0005_u64;
        let case = |op: &str, value: u64, two: u64| {
            compiled(
                json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["kill"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 1, "value": value, "valueTwo": two, "op": op}]}]}),
            )
        };
        type Meaning = fn(u64, u64) -> bool;
        let ops: [(&str, Meaning); 6] = [
            ("SCMP_CMP_EQ", |a, v| a == v),
            ("SCMP_CMP_NE", |a, v| a != v),
            ("SCMP_CMP_LT", |a, v| a < v),
            ("SCMP_CMP_LE", |a, v| a <= v),
            ("SCMP_CMP_GT", |a, v| a > v),
            ("SCMP_CMP_GE", |a, v| a >= v),
        ];
        let values = [0, 4, 5, 6, big - 1, big, big + 1, 0x2_0000_0004, 0x2_0000_0006, u64::MAX];
        for (op, means) in ops {
            for value in values {
                let filter = case(op, value, 0);
                for arg in values {
                    let want = if means(arg, value) { ALLOW } else { EPERM };
                    assert_eq!(verdict(&filter, X86_64, 62, &[9, arg]), want, "{arg} {op} {value}");
                }
            }
        }
        let masked = case("SCMP_CMP_MASKED_EQ", 0xff00_0000_00ff, 0x1100_0000_0022);
        assert_eq!(verdict(&masked, X86_64, 62, &[0, 0x11ab_cdef_4422]), ALLOW);
        assert_eq!(verdict(&masked, X86_64, 62, &[0, 0x12ab_cdef_4422]), EPERM);
        assert_eq!(verdict(&masked, X86_64, 62, &[0, 0x11ab_cdef_4423]), EPERM);
    }

    #[test]
    fn all_arguments_of_a_rule_and_any_rule_of_a_call() {
        let arg = |index: u64, value: u64| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
        let filter = compiled(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [arg(0, 1), arg(1, 2)]},
            {"names": ["socket"], "action": "SCMP_ACT_LOG", "args": [arg(0, 7)]},
            {"names": ["read"], "action": "SCMP_ACT_LOG", "args": [arg(0, 7)]},
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}));
        for (args, want) in [([1, 2], ALLOW), ([1, 3], EPERM), ([2, 2], EPERM), ([7, 0], 0x7ffc_0000)] {
            assert_eq!(verdict(&filter, X86_64, 41, &args), want, "{args:?}");
        }
        // A rule without arguments is the more general one, and holds.
        assert_eq!(verdict(&filter, X86_64, 0, &[7]), ALLOW);
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        let cases = [
            (json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "x86_64", "SCMP_ACT_NOTIFY"),
            (json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/s"}), "x86_64", "listeners"),
            (json!({"defaultAction": "SCMP_ACT_ALLOW"}), "sparc64", "filters cannot be made for sparc64"),
            (
                json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}),
                "x86_64",
                "linux.seccomp.flags: not supported",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}),
                "x86_64",
                "read: no argument 6",
            ),
        ];
        for (config, arch, want) in cases {
            let e = compile(&serde_json::from_value(config).unwrap(), arch).unwrap_err().to_string();
            assert!(e.contains(want), "{e}");
        }
        for arch in ["aarch64", "riscv64"] {
            let config = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]});
            let filter = compile(&serde_json::from_value(config).unwrap(), arch).unwrap();
            let audit = if arch == "aarch64" { 0xc000_00b7 } else { 0xc000_00f3 };
            assert_eq!(verdict(&filter, audit, 63, &[]), ALLOW, "{arch}");
        }
    }
}
