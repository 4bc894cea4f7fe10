//! Reads a command file as zonecfg does, by the grammar and the tables of zonecfg(8): an independent reader
//! of what is written. Differences between the systems are those that their manual pages tell.

use aurora_zones::Dialect;

/// What a script has configured.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    /// Global properties.
    pub(crate) properties: Vec<(String, String)>,
    /// Resources with their properties, lists as their items one by one.
    pub(crate) resources: Vec<(String, Vec<(String, String)>)>,
    committed: bool,
}

impl Configured {
    /// A property of each resource of a kind.
    pub(crate) fn all(&self, resource: &str, property: &str) -> Vec<&str> {
        let of = self.resources.iter().filter(|(name, _)| name == resource);
        of.flat_map(|(_, all)| all)
            .filter(|(name, _)| name == property)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Bare(String),
    Quoted(String),
    Sign(char),
}

/// Splits a line. Its three states: outside, within `[ ]`, within `( )`.
fn tokens(line: &str, dialect: Dialect) -> Result<Vec<Token>, String> {
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

/// Reads a script whole, to its end.
pub(crate) fn check(script: &str, dialect: Dialect) -> Result<Configured, String> {
    let mut configured = Configured::default();
    let mut open: Option<(String, Vec<(String, String)>)> = None;
    for (number, line) in script.lines().enumerate() {
        let tokens = tokens(line, dialect).map_err(|e| format!("line {}: {e}: {line}", number + 1))?;
        for command in tokens.split(|t| *t == Token::Sign(';')) {
            let first = number == 0;
            command_line(command, first, &mut configured, &mut open, dialect)
                .map_err(|e| format!("line {}: {e}: {line}", number + 1))?;
        }
    }
    if open.is_some() {
        return Err("a resource without its end".to_owned());
    }
    if !configured.committed {
        return Err("nothing is committed".to_owned());
    }
    for global in ["zonepath", "brand"] {
        if !configured.properties.iter().any(|(name, _)| name == global) {
            return Err(format!("{global} is not set"));
        }
    }
    unique(&configured)?;
    Ok(configured)
}

fn word(token: Option<&Token>) -> Result<&str, String> {
    match token {
        Some(Token::Bare(word) | Token::Quoted(word)) => Ok(word),
        other => Err(format!("a word is missing: {other:?}")),
    }
}

fn command_line(
    tokens: &[Token],
    first: bool,
    configured: &mut Configured,
    open: &mut Option<(String, Vec<(String, String)>)>,
    dialect: Dialect,
) -> Result<(), String> {
    let Some(command) = tokens.first() else { return Ok(()) };
    let rest = &tokens[1..];
    if configured.committed {
        return Err("after the commit".to_owned());
    }
    let nothing_more =
        |done: Result<(), String>| if rest.is_empty() { done } else { Err("words too many".to_owned()) };
    match (word(Some(command))?, open.as_mut()) {
        ("create", None) if first => match rest {
            [Token::Bare(b)] if b == "-b" => Ok(()),
            _ => Err("create begins with something".to_owned()),
        },
        (_, _) if first => Err("create does not come first".to_owned()),
        ("verify", None) => nothing_more(Ok(())),
        ("commit", None) => {
            configured.committed = true;
            nothing_more(Ok(()))
        }
        ("add", None) => {
            let name = word(rest.first())?;
            if rest.len() > 1 {
                return Err("words too many".to_owned());
            }
            resource(name, dialect).ok_or(format!("no such resource: {name}"))?;
            *open = Some((name.to_owned(), Vec::new()));
            Ok(())
        }
        ("add", Some((name, all))) => {
            let property = word(rest.first())?;
            for value in values(&rest[1..])? {
                check_property(name, property, &value, true, dialect)?;
                all.push((property.to_owned(), value));
            }
            Ok(())
        }
        ("set", scope) => {
            let [property, Token::Sign('='), value] = rest else {
                return Err("not set PROPERTY=VALUE".to_owned());
            };
            let (property, value) = (word(Some(property))?.to_owned(), word(Some(value))?.to_owned());
            match scope {
                None => {
                    check_global(&property, &value)?;
                    configured.properties.push((property, value));
                }
                Some((name, all)) => {
                    check_property(name, &property, &value, false, dialect)?;
                    all.push((property, value));
                }
            }
            Ok(())
        }
        ("end", Some((name, all))) => {
            let known = resource(name, dialect).expect("it was opened");
            for required in known.required {
                if !all.iter().any(|(property, _)| property == required) {
                    return Err(format!("{name} without {required}"));
                }
            }
            if known.any && all.is_empty() {
                return Err(format!("{name} with nothing in it"));
            }
            for (n, (property, _)) in all.iter().enumerate() {
                let many = known.lists.contains(&property.as_str());
                if !many && all[..n].iter().any(|(other, _)| other == property) {
                    return Err(format!("{property} twice"));
                }
            }
            configured.resources.extend(open.take());
            nothing_more(Ok(()))
        }
        (other, _) => Err(format!("no such command here: {other}")),
    }
}

/// The items of a list, or one pair of parentheses as `name=value`.
fn values(tokens: &[Token]) -> Result<Vec<String>, String> {
    let (open, inside, close) = match tokens {
        [Token::Sign(open), inside @ .., Token::Sign(close)] => (*open, inside, *close),
        _ => return Err("neither a list nor parentheses".to_owned()),
    };
    let items = inside.split(|t| *t == Token::Sign(','));
    match (open, close) {
        ('[', ']') => items
            .map(|item| match item {
                [one] => Ok(word(Some(one))?.to_owned()),
                _ => Err(format!("not an item: {item:?}")),
            })
            .collect(),
        ('(', ')') => {
            let pair = |item: &[Token]| match item {
                [name, Token::Sign('='), value] => {
                    Ok((word(Some(name))?.to_owned(), word(Some(value))?.to_owned()))
                }
                _ => Err(format!("not a pair: {item:?}")),
            };
            match &items.map(pair).collect::<Result<Vec<_>, String>>()?[..] {
                [(name, what), (value, is)] if name == "name" && value == "value" => {
                    Ok(vec![format!("{what}={is}")])
                }
                other => Err(format!("not name and value: {other:?}")),
            }
        }
        _ => Err("brackets that do not fit".to_owned()),
    }
}

/// What a resource can hold.
struct Known {
    required: &'static [&'static str],
    optional: &'static [&'static str],
    lists: &'static [&'static str],
    /// Whether one of the optional ones has to be there.
    any: bool,
}

fn resource(name: &str, dialect: Dialect) -> Option<Known> {
    let known = |required, optional, lists, any| Some(Known { required, optional, lists, any });
    match (name, dialect) {
        ("fs", _) => known(&["dir", "special", "type"], &["raw"], &["options"], false),
        ("net", Dialect::Gate) => known(&["physical"], &["allowed-address"], &[], false),
        ("net", _) => known(
            &["physical"],
            &["allowed-address", "global-nic", "mac-addr", "vlan-id"],
            &["property"],
            false,
        ),
        ("attr", _) => known(&["name", "type", "value"], &[], &[], false),
        ("dataset", _) => known(&["name"], &[], &[], false),
        ("capped-cpu", _) => known(&["ncpus"], &[], &[], false),
        ("capped-memory", _) => known(&[], &["physical", "swap", "locked"], &[], true),
        _ => None,
    }
}

fn check_property(
    name: &str,
    property: &str,
    value: &str,
    listed: bool,
    dialect: Dialect,
) -> Result<(), String> {
    let known = resource(name, dialect).expect("it was opened");
    let fits = if listed {
        known.lists.contains(&property)
    } else {
        known.required.contains(&property) || known.optional.contains(&property)
    };
    if !fits {
        return Err(format!("{name} has no {property}"));
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let right = match (name, property) {
        ("fs", "dir") | ("fs", "special") if property == "dir" || value != "swap" => value.starts_with('/'),
        ("attr", "type") => ["string", "int", "uint", "boolean"].contains(&value),
        ("attr", "name") => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            value.starts_with(|c: char| c.is_ascii_alphanumeric())
                && value.chars().all(plain)
                && !value.starts_with("zone")
        }
        ("capped-cpu", "ncpus") => {
            let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
            digits(whole) && digits(part) && value.parse::<f64>().is_ok_and(|n| n >= 0.01)
        }
        ("capped-memory", _) => value.strip_suffix(['K', 'M', 'G', 'T']).is_some_and(digits),
        _ => !value.is_empty(),
    };
    if right { Ok(()) } else { Err(format!("{name}: {property} can't be {value:?}")) }
}

fn check_global(property: &str, value: &str) -> Result<(), String> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let right = match property {
        "zonepath" => value.starts_with('/') && value.len() > 1,
        "brand" => !value.is_empty() && !value.contains(' '),
        "autoboot" => ["true", "false"].contains(&value),
        "ip-type" => ["shared", "exclusive"].contains(&value),
        // getopt's, and at most 256 bytes of them.
        "bootargs" => !value.is_empty() && value.len() < 256,
        "limitpriv" => !value.is_empty(),
        "cpu-shares" | "max-lwps" | "max-processes" => digits && value != "0",
        "max-shm-memory" => {
            let number = value.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(value);
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        }
        _ => return Err(format!("no such property: {property}")),
    };
    if right { Ok(()) } else { Err(format!("{property} can't be {value:?}")) }
}

fn unique(configured: &Configured) -> Result<(), String> {
    let once = |what: &str, mut all: Vec<&str>| {
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        if all.len() == count { Ok(()) } else { Err(format!("{what} twice")) }
    };
    once("a global property", configured.properties.iter().map(|(name, _)| name.as_str()).collect())?;
    once("fs: dir", configured.all("fs", "dir"))?;
    once("attr: name", configured.all("attr", "name"))?;
    once("net: physical", configured.all("net", "physical"))?;
    let single = ["capped-cpu", "capped-memory"];
    once(
        "a resource",
        configured.resources.iter().map(|(n, _)| n.as_str()).filter(|n| single.contains(n)).collect(),
    )
}

#[test]
fn it_reads_what_the_manual_page_shows() {
    let script = "create -b\nset zonepath=/zones/my-zone\nset brand=ipkg\nset autoboot=true; set ip-type=exclusive\n\
        add fs\nset dir=/usr/local\nset special=/opt/local\nset type=lofs\nadd options [ro,nodevices]\nend\n\
        add net\nset physical=vnic0\nset allowed-address=\"192.168.0.1/24\"\nend\n# a comment\n\n\
        add attr\nset name=comment\nset type=string\nset value=\"It's my zone; isn't it?\"\nend\nverify\ncommit\n";
    let configured = check(script, Dialect::Gate).unwrap();
    assert_eq!(configured.all("fs", "options"), ["ro", "nodevices"]);
    assert_eq!(configured.all("attr", "value"), ["It's my zone; isn't it?"]);
}

#[test]
fn it_refuses_what_is_wrong() {
    let with = |lines: &str| format!("create -b\nset zonepath=/z\nset brand=ipkg\n{lines}\nverify\ncommit\n");
    for lines in [
        "set autoboot=yes",
        "set zonepath=/y",
        "set zonepath =",
        "set x=y",
        "set",
        "add",
        "add x",
        "end",
        "add fs\nend",
        "add fs\nset dir=x\nset special=/s\nset type=lofs\nend",
        "add fs\nset dir=/d\nset special=/s\nset type=lofs",
        "add fs\nset dir=/d\nset dir=/e\nset special=/s\nset type=lofs\nend",
        "add fs\nset dir=/d\nset special=/s\nset type=lofs\nadd options ro\nend",
        "add fs\nset dir=/d\nset special=/s\nset type=lofs\nadd options [ro\nend",
        "add fs\nset dir=/d\nset special=/s\nset type=lofs\nadd options [size=1]\nend",
        "add net\nset physical=v0\nset global-nic=auto\nend",
        "add net\nset physical=v0\nadd property (name=a,value=\"b\")\nend",
        "add net\nset physical=v0\nset address=10.0.0.1\nend",
        "add capped-memory\nend",
        "add capped-memory\nset physical=5\nend",
        "add capped-cpu\nset ncpus=0.001\nend",
        "add attr\nset name=zone-x\nset type=string\nset value=v\nend",
        "add attr\nset name=a\nset type=string\nset value=\"v\nend",
        "commit",
        "verify now",
        "create -b",
    ] {
        check(&with(lines), Dialect::Gate).map(drop).expect_err(lines);
    }
    check("set zonepath=/z\n", Dialect::Gate).map(drop).unwrap_err();
    check("create -b\nset zonepath=/z\nset brand=x\n", Dialect::Gate).map(drop).unwrap_err();
}
