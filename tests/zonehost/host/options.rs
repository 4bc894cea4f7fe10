//! Options as getopt(3C) reads them.

use super::failure::{Failure, Result};

/// Options with their arguments, in order, and the operands behind them.
#[derive(Debug, Default)]
pub(crate) struct Options<'a> {
    given: Vec<(char, &'a str)>,
    pub(crate) operands: &'a [String],
}

impl<'a> Options<'a> {
    /// Reads up to the first operand, or `--`. `known` is as getopt's: a colon behind those with an argument.
    pub(crate) fn read(args: &'a [String], known: &str) -> Result<Self> {
        let mut given = Vec::new();
        let mut rest = args;
        while let Some((arg, behind)) = rest.split_first() {
            if arg == "--" {
                rest = behind;
                break;
            }
            let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) else { break };
            rest = behind;
            for (at, letter) in letters.char_indices() {
                let place = known.find(letter).filter(|_| letter != ':');
                let place = place.ok_or_else(|| Failure::usage(format!("illegal option -- {letter}")))?;
                if !known[place + letter.len_utf8()..].starts_with(':') {
                    given.push((letter, ""));
                    continue;
                }
                let attached = &letters[at + letter.len_utf8()..];
                let argument = if attached.is_empty() {
                    let missing = || Failure::usage(format!("option requires an argument -- {letter}"));
                    let (next, behind) = rest.split_first().ok_or_else(missing)?;
                    rest = behind;
                    next
                } else {
                    attached
                };
                given.push((letter, argument));
                break;
            }
        }
        Ok(Self { given, operands: rest })
    }

    /// Whether it was given.
    pub(crate) fn has(&self, letter: char) -> bool {
        self.given.iter().any(|(known, _)| *known == letter)
    }

    /// Its argument, the last one.
    pub(crate) fn get(&self, letter: char) -> Option<&'a str> {
        self.all(letter).last()
    }

    /// All its arguments.
    pub(crate) fn all(&self, letter: char) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(known, _)| *known == letter).map(|(_, argument)| *argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_getopt_reads_them() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let args = words("-QSl root -n web -x");
        let options = Options::read(&args, "l:QSn").unwrap();
        assert!(options.has('Q') && options.has('S') && options.has('n'));
        assert_eq!(options.get('l'), Some("root"));
        assert_eq!(options.operands, ["web", "-x"]);
        let args = words("-oname -- -x");
        let options = Options::read(&args, "o:").unwrap();
        assert_eq!((options.get('o'), options.operands), (Some("name"), &args[2..]));
        for wrong in ["-x", "-l", "-:"] {
            assert_eq!(Options::read(&words(wrong), "l:Q").unwrap_err().status, 2, "{wrong}");
        }
    }
}
