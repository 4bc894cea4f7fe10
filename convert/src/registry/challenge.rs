//! `WWW-Authenticate`: how a server wants to be told who asks (RFC 9110, section 11.6.1).

/// One way to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token, which another server gives.
    Bearer {
        /// Where.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
}

/// The first challenge that can be met; a token before a password.
pub(super) fn parse(headers: &[&str]) -> Option<Challenge> {
    let all: Vec<Challenge> = headers.iter().filter_map(|header| parse_one(header)).collect();
    let token = all.iter().find(|c| matches!(c, Challenge::Bearer { .. }));
    token.or(all.first()).cloned()
}

fn parse_one(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (mut realm, mut service, mut scope) = (None, None, None);
    for (name, value) in parameters(rest) {
        match name.to_ascii_lowercase().as_str() {
            "realm" => realm = Some(value),
            "service" => service = Some(value),
            "scope" => scope = Some(value).filter(|text| !text.is_empty()),
            _ => {}
        }
    }
    Some(Challenge::Bearer { realm: realm?, service, scope })
}

/// `NAME=VALUE` or `NAME="VALUE"` between commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while let Some((name, tail)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_owned();
        let value;
        if let Some(quoted) = tail.strip_prefix('"') {
            let (mut text, mut end, mut is_escaped) = (String::new(), quoted.len(), false);
            for (at, c) in quoted.char_indices() {
                match c {
                    '\\' if !is_escaped => {
                        is_escaped = true;
                        continue;
                    }
                    '"' if !is_escaped => {
                        end = at + 1;
                        break;
                    }
                    c => text.push(c),
                }
                is_escaped = false;
            }
            (value, rest) = (text, &quoted[end..]);
        } else {
            let end = tail.find(',').unwrap_or(tail.len());
            (value, rest) = (tail[..end].trim().to_owned(), &tail[end..]);
        }
        out.push((name, value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_many_servers() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Some(Challenge::Bearer { realm: realm.into(), service: owned(service), scope: owned(scope) })
        };
        let cases: &[(&[&str], Option<Challenge>)] = &[
            (
                &[r#"Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push""#],
                bearer("https://a/t", Some("s"), Some("repository:a/b:pull,push")),
            ),
            (&[r#"bearer realm="https://a/t" , service=s"#], bearer("https://a/t", Some("s"), None)),
            (&[r#"Bearer scope="",realm="q\"\\x",error="e, f""#], bearer("q\"\\x", None, None)),
            (&[r#"Basic realm="x""#, r#"Bearer realm="r""#], bearer("r", None, None)),
            (&["Basic"], Some(Challenge::Basic)),
            (&["Digest realm=\"x\""], None),
            (&["Bearer service=\"s\""], None),
            (&["Bearer realm=\"open"], bearer("open", None, None)),
            (&[], None),
        ];
        for (headers, want) in cases {
            assert_eq!(&parse(headers), want, "{headers:?}");
        }
    }
}
