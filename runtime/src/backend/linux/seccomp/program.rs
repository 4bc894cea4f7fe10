//! From rules to a program in the kernel's filter language (bpf(4) of BSD; linux/filter.h): loads, comparisons that jump
//! forward, returns.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W,
    sock_filter,
};
use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator};

use super::rules::{Rules, Verdict};

/// The kernel takes no longer ones.
pub(super) const MAX: usize = 4096;
/// An instruction set without rules: the thread is killed, as libseccomp has it.
const KILL: u32 = 0;
/// Places in struct seccomp_data: the call's number, the instruction set, the arguments.
const NUMBER: u32 = 0;
const SET: u32 = 4;
const ARGS: u32 = 16;

/// The whole program: for each instruction set, by the kernel's name, its rules. The error is a length.
pub(super) fn assemble(blocks: &[(u32, Rules)]) -> Result<Vec<sock_filter>, usize> {
    let mut code = vec![load(SET)];
    for (audit, rules) in blocks {
        let mut block = vec![load(NUMBER)];
        block.extend(tree(&rules.rows));
        code.push(jump(BPF_JEQ, *audit, 1, 0));
        code.push(skip(block.len()));
        code.extend(block);
    }
    code.push(end(KILL));
    if code.len() > MAX { Err(code.len()) } else { Ok(code) }
}

/// Finds the row of a number by halving. Every branch ends with a return.
fn tree(rows: &[(u32, Verdict)]) -> Vec<sock_filter> {
    if let [(_, verdict)] = rows {
        return match verdict {
            Verdict::Always(action) => vec![end(*action)],
            Verdict::Depends(rules, default) => depends(rules, *default),
        };
    }
    let (left, right) = rows.split_at(rows.len() / 2);
    let (from, left, right) = (right[0].0, tree(left), tree(right));
    let mut code = match u8::try_from(left.len()) {
        Ok(distance) => vec![jump(BPF_JGE, from, distance, 0)],
        // Comparisons jump 255 instructions at most.
        Err(_) => vec![jump(BPF_JGE, from, 0, 1), skip(left.len())],
    };
    code.extend(left);
    code.extend(right);
    code
}

/// Rules of one call, one after another.
fn depends(rules: &[(Vec<LinuxSeccompArg>, u32)], default: u32) -> Vec<sock_filter> {
    let mut code = Vec::new();
    for (conditions, action) in rules {
        let mut rule: Vec<Step> = conditions.iter().flat_map(|arg| settle(condition(arg))).collect();
        rule.push(Step::Plain(end(*action)));
        code.extend(resolve(&rule));
    }
    code.push(end(default));
    code
}

/// Where a comparison leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// The next instruction.
    Next,
    /// The condition holds.
    Met,
    /// The rule does not apply.
    Fail,
    /// So many instructions on.
    On(u8),
}

/// An instruction whose jumps are not numbers yet.
#[derive(Clone, Copy)]
enum Step {
    Plain(sock_filter),
    Compare(u32, u32, To, To),
}

/// An argument has 64 bits and a comparison 32: the high half first.
fn condition(arg: &LinuxSeccompArg) -> Vec<Step> {
    use Step::{Compare, Plain};
    let at = ARGS + 8 * arg.index() as u32;
    let (low_at, high_at) = if cfg!(target_endian = "big") { (at + 4, at) } else { (at, at + 4) };
    let halves = |value: u64| (value as u32, (value >> 32) as u32);
    let (low, high) = halves(arg.value());
    let order = |on_low: u32, met: To, fail: To| {
        vec![
            Plain(load(high_at)),
            Compare(BPF_JGT, high, met, To::Next),
            Compare(BPF_JEQ, high, To::Next, fail),
            Plain(load(low_at)),
            Compare(on_low, low, met, fail),
        ]
    };
    let equal = |met: To, fail: To| {
        vec![
            Plain(load(high_at)),
            Compare(BPF_JEQ, high, To::Next, fail),
            Plain(load(low_at)),
            Compare(BPF_JEQ, low, met, fail),
        ]
    };
    match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => equal(To::Met, To::Fail),
        LinuxSeccompOperator::ScmpCmpNe => equal(To::Fail, To::Met),
        LinuxSeccompOperator::ScmpCmpGt => order(BPF_JGT, To::Met, To::Fail),
        LinuxSeccompOperator::ScmpCmpGe => order(BPF_JGE, To::Met, To::Fail),
        LinuxSeccompOperator::ScmpCmpLt => order(BPF_JGE, To::Fail, To::Met),
        LinuxSeccompOperator::ScmpCmpLe => order(BPF_JGT, To::Fail, To::Met),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let (want_low, want_high) = halves(arg.value_two().unwrap_or(0));
            vec![
                Plain(load(high_at)),
                Plain(and(high)),
                Compare(BPF_JEQ, want_high, To::Next, To::Fail),
                Plain(load(low_at)),
                Plain(and(low)),
                Compare(BPF_JEQ, want_low, To::Met, To::Fail),
            ]
        }
    }
}

/// A condition that holds leads behind it, to the next one or to the action.
fn settle(mut steps: Vec<Step>) -> Vec<Step> {
    let len = steps.len();
    for (at, step) in steps.iter_mut().enumerate() {
        let behind = |to: To| match to {
            To::Met => To::On(small(len - at - 1)),
            other => other,
        };
        if let Step::Compare(op, value, yes, no) = *step {
            *step = Step::Compare(op, value, behind(yes), behind(no));
        }
    }
    steps
}

/// A rule that does not apply leads behind it, to the next rule.
fn resolve(steps: &[Step]) -> Vec<sock_filter> {
    let instruction = |(at, step): (usize, &Step)| match *step {
        Step::Plain(instruction) => instruction,
        Step::Compare(op, value, yes, no) => {
            let distance = |to: To| match to {
                To::Next => 0,
                To::On(n) => n,
                To::Fail | To::Met => small(steps.len() - at - 1),
            };
            jump(op, value, distance(yes), distance(no))
        }
    };
    steps.iter().enumerate().map(instruction).collect()
}

fn small(n: usize) -> u8 {
    u8::try_from(n).expect("a rule has six conditions of six instructions at most")
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn load(at: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, at)
}

fn and(mask: u32) -> sock_filter {
    statement(BPF_ALU | BPF_AND | BPF_K, mask)
}

fn end(action: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, action)
}

fn skip(instructions: usize) -> sock_filter {
    // Longer programs are refused as a whole.
    statement(BPF_JMP | BPF_JA, instructions as u32)
}

fn jump(op: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | op | BPF_K) as u16, jt, jf, k }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A system call as the kernel shows it to filters.
    pub(in super::super) struct Call<'a> {
        pub(in super::super) number: u32,
        pub(in super::super) arch: u32,
        pub(in super::super) args: &'a [u64],
    }

    /// What the kernel would do: an interpreter of the instructions that are used.
    pub(in super::super) fn run(code: &[sock_filter], call: &Call<'_>) -> u32 {
        let word = |at: u32| match at {
            NUMBER => call.number,
            SET => call.arch,
            _ => {
                let arg = call.args.get((at - ARGS) as usize / 8).copied().unwrap_or(0);
                if (at - ARGS).is_multiple_of(8) { arg as u32 } else { (arg >> 32) as u32 }
            }
        };
        let (mut at, mut a) = (0, 0);
        loop {
            let step = code[at];
            at += 1;
            let (class, op) = (u32::from(step.code) & 7, u32::from(step.code) & 0xf0);
            let test = match (class, op) {
                (BPF_LD, _) => {
                    a = word(step.k);
                    continue;
                }
                (BPF_ALU, BPF_AND) => {
                    a &= step.k;
                    continue;
                }
                (BPF_RET, _) => return step.k,
                (BPF_JMP, BPF_JA) => {
                    at += step.k as usize;
                    continue;
                }
                (BPF_JMP, BPF_JEQ) => a == step.k,
                (BPF_JMP, BPF_JGT) => a > step.k,
                (BPF_JMP, BPF_JGE) => a >= step.k,
                other => panic!("no such instruction: {other:?}"),
            };
            at += usize::from(if test { step.jt } else { step.jf });
        }
    }

    #[test]
    fn long_branches_are_reached() {
        let rows: Vec<_> = (0..900).map(|n| (n * 2, Verdict::Always(n))).collect();
        let code = assemble(&[(7, Rules { rows })]).unwrap();
        for number in 0..1900 {
            let want = (number / 2).min(899);
            assert_eq!(run(&code, &Call { number, arch: 7, args: &[] }), want, "{number}");
        }
        assert_eq!(run(&code, &Call { number: 0, arch: 8, args: &[] }), KILL);
        let rows: Vec<_> = (0..5000).map(|n| (n, Verdict::Always(n))).collect();
        assert!(assemble(&[(7, Rules { rows })]).unwrap_err() > MAX);
    }
}
