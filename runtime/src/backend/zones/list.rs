//! What `zoneadm list -cp` prints: a line a zone, `id:name:state:path:uuid:brand:ip-type` and on some systems more, `\:` for a
//! colon in a field (zoneadm(8), "list").

use std::path::PathBuf;

use aurora_engine::host::{CommandError, CommandLine};

/// Fields that every system prints.
const FIELDS: usize = 7;
/// Of a line that is not understood, what is shown.
pub(super) const MAX_SHOWN: usize = 120;

/// What a zone is doing (zones(7), "Zone states").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Configured,
    Incomplete,
    Installed,
    Ready,
    Mounted,
    Running,
    ShuttingDown,
    Down,
}

impl State {
    const ALL: [(&str, Self); 8] = [
        ("configured", Self::Configured),
        ("incomplete", Self::Incomplete),
        ("installed", Self::Installed),
        ("ready", Self::Ready),
        ("mounted", Self::Mounted),
        ("running", Self::Running),
        ("shutting_down", Self::ShuttingDown),
        ("down", Self::Down),
    ];

    /// Its word.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }

    /// Whether the kernel knows it: it has to be halted before anything else.
    pub(super) fn is_up(self) -> bool {
        !matches!(self, Self::Configured | Self::Incomplete | Self::Installed)
    }
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) path: PathBuf,
}

/// The state of a zone; none where there is no such zone.
pub(super) fn state_of(
    printed: &[u8],
    zone: &str,
    line: &CommandLine,
) -> Result<Option<State>, CommandError> {
    let all = all(printed, line)?;
    Ok(all.into_iter().find(|listed| listed.name == zone).map(|listed| listed.state))
}

/// All zones but the global one. Anything that is not understood is an error, of whatever zone it tells: then nothing is known
/// of any.
pub(super) fn all(printed: &[u8], line: &CommandLine) -> Result<Vec<Listed>, CommandError> {
    let strange = |text: &str| CommandError::Output {
        line: line.clone(),
        text: text.chars().take(MAX_SHOWN).collect(),
    };
    let text = std::str::from_utf8(printed).map_err(|_| strange(&String::from_utf8_lossy(printed)))?;
    let (mut found, mut is_complete) = (Vec::<Listed>::new(), false);
    for row in text.lines() {
        let listed = parse(row).ok_or_else(|| strange(row))?;
        if listed.name == "global" {
            is_complete = true;
        } else if found.iter().any(|other| other.name == listed.name) {
            return Err(strange(row));
        } else {
            found.push(listed);
        }
    }
    // There always is a global one: without, this is no list.
    if !is_complete || !text.ends_with('\n') {
        return Err(strange(text.lines().last().unwrap_or_default()));
    }
    Ok(found)
}

fn parse(row: &str) -> Option<Listed> {
    let fields = fields(row);
    let [id, name, state, path, ..] = &fields[..] else { return None };
    let is_id = id == "-" || (!id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
    if fields.len() < FIELDS || !is_id || name.is_empty() || !path.starts_with('/') {
        return None;
    }
    let (_, state) = State::ALL.iter().find(|(word, _)| word == state)?;
    Some(Listed { name: name.clone(), state: *state, path: path.into() })
}

fn fields(row: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut rest = row.chars().peekable();
    while let Some(c) = rest.next() {
        let last = fields.last_mut().expect("there is one from the beginning");
        match c {
            ':' => fields.push(String::new()),
            '\\' if rest.peek() == Some(&':') => {
                rest.next();
                last.push(':');
            }
            other => last.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOBAL: &str = "0:global:running:/::ipkg:shared\n";

    fn of(text: &str) -> Result<Option<State>, String> {
        let line = CommandLine::new("zoneadm", &["list", "-c", "-p"]);
        state_of(text.as_bytes(), "z", &line).map_err(|e| e.to_string())
    }

    #[test]
    fn states() {
        for (word, state) in State::ALL {
            let id = if state.is_up() { "7" } else { "-" };
            let text = format!("{GLOBAL}{id}:z:{word}:/zones/a\\:b:1-2:lx:excl:0:more\n");
            assert_eq!((of(&text), state.name()), (Ok(Some(state)), word));
        }
        assert_eq!(of(GLOBAL), Ok(None));
        assert_eq!(of(&format!("{GLOBAL}-:y:ready:/zones/y::lx:excl\n")), Ok(None));
        assert_eq!(fields("a\\:b:c\\d::"), ["a:b", "c\\d", "", ""]);
    }

    #[test]
    fn garbage_is_an_error() {
        let cases = [
            "",
            "zoneadm: nonsense\n",
            "\n",
            "-:z:ready:/z::lx:excl\n",
            "0:global:running:/::ipkg:shared",
            &format!("{GLOBAL}-:z:sleeping:/z::lx:excl\n"),
            &format!("{GLOBAL}-:z:ready:/z:lx\n"),
            &format!("{GLOBAL}-:z:ready:z::lx:excl\n"),
            &format!("{GLOBAL}x:z:ready:/z::lx:excl\n"),
            &format!("{GLOBAL}-::ready:/z::lx:excl\n"),
            &format!("{GLOBAL}-:z:ready:/z::lx:excl\n-:z:ready:/z::lx:excl\n"),
            // Of another zone, too.
            &format!("{GLOBAL}-:y:odd:/y::lx:excl\n-:z:ready:/z::lx:excl\n"),
        ];
        for text in cases {
            let said = of(text).unwrap_err();
            assert!(
                said.starts_with("`zoneadm list -c -p` printed a line that is not understood: "),
                "{said}"
            );
        }
        let line = CommandLine::new("zoneadm", &[]);
        assert!(state_of(b"0:global:running:/::\xff:shared\n", "z", &line).is_err());
    }
}
