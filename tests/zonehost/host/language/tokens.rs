//! What a line is made of.

use aurora_zones::Dialect;

/// A word, or one of the signs that end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Bare(String),
    Quoted(String),
    Sign(char),
}

/// Splits a line. Its three states: outside, within `[ ]`, within `( )`.
pub(crate) fn tokens(line: &str, dialect: Dialect) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut chars = line.chars().peekable();
    let mut within = None;
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => {}
            '#' if found.is_empty() => break,
            '[' | '(' if within.is_none() => {
                within = Some(c);
                found.push(Token::Sign(c));
            }
            ']' if within == Some('[') => {
                within = None;
                found.push(Token::Sign(c));
            }
            ')' if within == Some('(') => {
                within = None;
                found.push(Token::Sign(c));
            }
            '=' | ';' => found.push(Token::Sign(c)),
            ',' if within.is_some() => found.push(Token::Sign(c)),
            '[' | '(' | ']' | ')' => return Err(format!("misplaced {c:?}")),
            '"' if within == Some('(') && dialect == Dialect::Gate => {
                return Err("a quoted word within parentheses".to_owned());
            }
            '"' => {
                let mut word = String::new();
                loop {
                    match chars.next() {
                        None => return Err("a quote without its end".to_owned()),
                        Some('"') => break,
                        Some(c) => word.push(c),
                    }
                }
                found.push(Token::Quoted(word));
            }
            c => {
                let mut word = String::from(c);
                while let Some(&next) = chars.peek() {
                    if " \t\";=[]()".contains(next) || (within.is_some() && next == ',') {
                        break;
                    }
                    word.push(next);
                    chars.next();
                }
                found.push(Token::Bare(word));
            }
        }
    }
    if within.is_some() { Err("a bracket without its end".to_owned()) } else { Ok(found) }
}

/// A token that has to be a word.
pub(crate) fn word(token: Option<&Token>) -> Result<&str, String> {
    match token {
        Some(Token::Bare(word) | Token::Quoted(word)) => Ok(word),
        other => Err(format!("a word is missing: {other:?}")),
    }
}

/// Tokens that all have to be words.
pub(crate) fn words(tokens: &[Token]) -> Result<Vec<&str>, String> {
    tokens.iter().map(|token| word(Some(token))).collect()
}

/// `NAME=VALUE`, any number of them.
pub(crate) fn pairs(tokens: &[Token]) -> Result<Vec<(&str, &str)>, String> {
    tokens
        .chunks(3)
        .map(|three| match three {
            [name, Token::Sign('='), value] => Ok((word(Some(name))?, word(Some(value))?)),
            other => Err(format!("not PROPERTY=VALUE: {other:?}")),
        })
        .collect()
}

/// A value: zonecfg(8), "Properties".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Simple(String),
    /// The pairs of parentheses.
    Complex(Vec<(String, String)>),
}

impl Value {
    /// As a command file has it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Simple(text) => text.clone(),
            Self::Complex(pairs) => {
                let pairs: Vec<_> =
                    pairs.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
                format!("({})", pairs.join(","))
            }
        }
    }
}

/// In quotes where it has to be.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+-".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("\"{word}\"") }
}

/// The values that are added to a property. A list of one is the same as that one without the brackets.
pub(crate) fn values(tokens: &[Token]) -> Result<Vec<Value>, String> {
    match tokens {
        [one] => Ok(vec![Value::Simple(word(Some(one))?.to_owned())]),
        [Token::Sign('['), Token::Sign(']')] => Ok(Vec::new()),
        [Token::Sign('['), inside @ .., Token::Sign(']')] => inside
            .split(|t| *t == Token::Sign(','))
            .map(|item| match item {
                [one] => Ok(Value::Simple(word(Some(one))?.to_owned())),
                _ => Err(format!("not an item: {item:?}")),
            })
            .collect(),
        [Token::Sign('('), inside @ .., Token::Sign(')')] => {
            let pair = |item: &[Token]| match item {
                [name, Token::Sign('='), value] => {
                    Ok((word(Some(name))?.to_owned(), word(Some(value))?.to_owned()))
                }
                _ => Err(format!("not a pair: {item:?}")),
            };
            let all: Result<Vec<_>, String> = inside.split(|t| *t == Token::Sign(',')).map(pair).collect();
            Ok(vec![Value::Complex(all?)])
        }
        _ => Err("neither a word, a list nor parentheses".to_owned()),
    }
}
