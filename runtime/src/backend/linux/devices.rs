//! `linux.resources.devices` where control groups are of the second version alone: a program in the kernel that answers whether
//! a device may be made, read or written (cgroup-v2.rst, "Device controller"; the layout of instructions: bpf(2)). That of
//! libcgroups takes a C library.
//!
//! As in the first version, the last rule for a device counts, and each kind of access is looked up by itself.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

/// What may be wanted of a device, as the kernel has it (`BPF_DEVCG_ACC_*`).
const ACCESS: [(char, i32); 3] = [('m', 1), ('r', 2), ('w', 4)];
const ALL: i32 = 7;
/// Kinds of devices (`BPF_DEVCG_DEV_*`).
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// One instruction.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

/// The verdict; a scratch register before.
const R0: u8 = 0;
/// Where the question is.
const R1: u8 = 1;
/// What of the access nobody has answered yet.
const WANTED: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// `BPF_LDX | BPF_MEM | BPF_W`: four bytes of memory.
const LOAD: u8 = 0x61;
/// `BPF_ALU` with a value or a register.
const MOVE: u8 = 0xb4;
const MOVE_FROM: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
/// `BPF_JMP` with a value.
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_OTHER: u8 = 0x55;
const EXIT: u8 = 0x95;

fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    // Two fields of four bits, in the order of the processor.
    let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
    Instruction { code, registers, offset, value }
}

/// A rule, without what holds for any device.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    access: i32,
    kind: Option<i32>,
    major: Option<i32>,
    minor: Option<i32>,
}

/// After those of a config, as with runc: nodes may be made, and those that every container has be used.
fn always_allowed() -> impl Iterator<Item = Rule> {
    let allow = |kind, major, minor, access| Rule { allow: true, access, kind: Some(kind), major, minor };
    let make = [BLOCK, CHARACTER].map(|kind| allow(kind, None, None, 1));
    // null, zero, full, random, urandom, tty, ptmx, and what ptmx makes.
    let numbers = [
        (1, Some(3)),
        (1, Some(5)),
        (1, Some(7)),
        (1, Some(8)),
        (1, Some(9)),
        (5, Some(0)),
        (5, Some(2)),
        (136, None),
    ];
    let used = numbers.map(|(major, minor)| allow(CHARACTER, Some(major), minor, ALL));
    make.into_iter().chain(used)
}

impl Rule {
    /// What a rule of a config says, or what is wrong with it.
    fn of(rule: &LinuxDeviceCgroup) -> Result<Self, String> {
        let number = |what: &str, number: Option<i64>| match number {
            // Older configs have it for any.
            None | Some(-1) => Ok(None),
            // The kernel compares 64 bits, so that none below zero would ever match.
            Some(number) => match i32::try_from(number) {
                Ok(number @ 0..) => Ok(Some(number)),
                _ => Err(format!("{what}: no such number: {number}")),
            },
        };
        let access = match rule.access().as_deref() {
            None | Some("") => ALL,
            Some(text) => {
                let bit = |c: char| ACCESS.iter().find(|(name, _)| *name == c).map(|(_, bit)| bit);
                let bits = text.chars().map(bit).try_fold(0, |all, bit| Some(all | bit?));
                bits.ok_or_else(|| format!("access: of r, w and m: {text:?}"))?
            }
        };
        let kind = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::A => None,
            LinuxDeviceType::B => Some(BLOCK),
            LinuxDeviceType::C | LinuxDeviceType::U => Some(CHARACTER),
            LinuxDeviceType::P => return Err("type: a pipe is no device".to_owned()),
        };
        let (major, minor) = (number("major", rule.major())?, number("minor", rule.minor())?);
        Ok(Self { allow: rule.allow(), access, kind, major, minor })
    }

    /// Whether it is about every device and every access.
    fn is_last(&self) -> bool {
        self.access == ALL && self.kind.is_none() && self.major.is_none() && self.minor.is_none()
    }

    /// What it does to a question that no later rule has answered.
    fn write(&self, out: &mut Vec<Instruction>) {
        let answer =
            |allowed: bool| [instruction(MOVE, R0, 0, 0, allowed.into()), instruction(EXIT, 0, 0, 0, 0)];
        let mut then = Vec::new();
        match (self.allow, self.access) {
            (allow, ALL) => then.extend(answer(allow)),
            (true, access) => {
                then.push(instruction(AND, WANTED, 0, 0, ALL & !access));
                then.push(instruction(JUMP_IF_OTHER, WANTED, 0, 2, 0));
                then.extend(answer(true));
            }
            (false, access) => {
                then.push(instruction(MOVE_FROM, R0, WANTED, 0, 0));
                then.push(instruction(AND, R0, 0, 0, access));
                then.push(instruction(JUMP_IF_EQUAL, R0, 0, 2, 0));
                then.extend(answer(false));
            }
        }
        let conditions = [(KIND, self.kind), (MAJOR, self.major), (MINOR, self.minor)];
        let conditions: Vec<_> = conditions.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect();
        for (number, (register, value)) in conditions.iter().enumerate() {
            let skipped = conditions.len() - number - 1 + then.len();
            let skipped = i16::try_from(skipped).expect("a rule has some ten instructions");
            out.push(instruction(JUMP_IF_OTHER, *register, 0, skipped, *value));
        }
        out.extend(then);
    }
}

/// The program for the rules of a config: 1 allows, 0 does not. What no rule is about is not allowed.
pub(super) fn program(rules: &[LinuxDeviceCgroup]) -> Result<Vec<Instruction>, String> {
    let named = |(at, rule)| Rule::of(rule).map_err(|problem| format!("[{at}]: {problem}"));
    let mut all = rules.iter().enumerate().map(named).collect::<Result<Vec<_>, _>>()?;
    all.extend(always_allowed());
    // struct bpf_cgroup_dev_ctx: access and kind, 16 bits each; major; minor.
    let mut out = vec![
        instruction(LOAD, WANTED, R1, 0, 0),
        instruction(MOVE_FROM, KIND, WANTED, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, WANTED, 0, 0, 16),
        instruction(LOAD, MAJOR, R1, 4, 0),
        instruction(LOAD, MINOR, R1, 8, 0),
    ];
    for rule in all.iter().rev() {
        rule.write(&mut out);
        if rule.is_last() {
            // The kernel takes no instruction that is never reached.
            return Ok(out);
        }
    }
    out.extend([instruction(MOVE, R0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What the kernel would answer. Registers are of 64 bits: jumps compare all of them, the others use the lower half.
    fn run(program: &[Instruction], kind: i32, (major, minor): (u32, u32), access: i32) -> bool {
        let memory = [u32::try_from(access << 16 | kind).unwrap(), major, minor];
        let low = |value: i32| u64::from(value.cast_unsigned());
        let whole = |value: i32| i64::from(value).cast_unsigned();
        let (mut r, mut at) = ([0_u64; 6], 0);
        loop {
            let i = program[at];
            at += 1;
            let (to, from) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            let jump = usize::try_from(i.offset).unwrap();
            match i.code {
                LOAD => r[to] = memory[jump / 4].into(),
                MOVE => r[to] = low(i.value),
                MOVE_FROM => r[to] = r[from] & low(-1),
                AND => r[to] &= low(i.value),
                SHIFT_RIGHT => r[to] = (r[to] & low(-1)) >> i.value,
                JUMP_IF_EQUAL if r[to] == whole(i.value) => at += jump,
                JUMP_IF_OTHER if r[to] != whole(i.value) => at += jump,
                JUMP_IF_EQUAL | JUMP_IF_OTHER => {}
                EXIT => return r[0] != 0,
                other => panic!("{other:#x}"),
            }
        }
    }

    fn rules(value: Value) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_last_rule_counts_for_each_access() {
        let program = program(&rules(json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "b", "major": 8, "access": "r"},
            {"allow": true, "type": "b", "major": 8, "minor": 1, "access": "w"},
            {"allow": true, "type": "c", "major": 10, "minor": 1, "access": "rwm"},
            {"allow": false, "type": "c", "major": 10, "minor": 1, "access": "w"},
        ])))
        .unwrap();
        let cases = [
            (BLOCK, (8, 0), 2, true),
            (BLOCK, (8, 0), 4, false),
            (BLOCK, (8, 1), 4, true),
            // Two rules, one for each.
            (BLOCK, (8, 1), 6, true),
            (BLOCK, (8, 2), 6, false),
            (CHARACTER, (8, 0), 2, false),
            (CHARACTER, (10, 1), 2, true),
            (CHARACTER, (10, 1), 4, false),
            (CHARACTER, (10, 1), 6, false),
            // Of every container.
            (CHARACTER, (1, 3), 6, true),
            (CHARACTER, (136, 9), 6, true),
            (CHARACTER, (1, 1), 2, false),
            (BLOCK, (259, 0), 1, true),
            (BLOCK, (259, 0), 3, false),
        ];
        for (kind, device, access, want) in cases {
            assert_eq!(run(&program, kind, device, access), want, "{kind} {device:?} {access}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_no_rule_is_about() {
        assert!(!run(&program(&[]).unwrap(), BLOCK, (8, 0), 2));
        let all =
            program(&rules(json!([{"allow": false}, {"allow": true, "type": "a", "major": -1}]))).unwrap();
        assert!(run(&all, BLOCK, (8, 0), 7));
        // Nothing behind what answers everything.
        assert_eq!(all.iter().filter(|i| i.code == EXIT).count(), 1 + always_allowed().count());
    }

    #[test]
    fn what_is_no_rule() {
        for (rule, want) in [
            (json!({"allow": true, "access": "x"}), "[0]: access: of r, w and m: \"x\""),
            (json!({"allow": true, "major": 1_u64 << 40}), "[0]: major: no such number: 1099511627776"),
            (json!({"allow": true, "major": -2}), "[0]: major: no such number: -2"),
            (
                json!({"allow": true, "major": 1, "minor": i64::MIN}),
                "[0]: minor: no such number: -9223372036854775808",
            ),
            (json!({"allow": true, "type": "p"}), "[0]: type: a pipe is no device"),
        ] {
            assert_eq!(program(&rules(json!([rule]))).unwrap_err(), want);
        }
    }
}
