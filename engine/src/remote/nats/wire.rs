//! The lines of the protocol, without input and output.

/// Longest control line: names of ours have some hundred bytes.
pub(super) const MAX_LINE: usize = 4096;
/// Longest message: servers take one MiB unless told.
pub const MAX_PAYLOAD: usize = 8 << 20;

/// What a server says in a line; a message has its bytes behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// What the server is and can do, of which nothing is needed.
    Info,
    /// Whether we are there.
    Ping,
    /// It is.
    Pong,
    /// Done.
    Ok,
    /// Not done, and why.
    Err(String),
    /// A message: subject, where to answer, bytes of headers, and of all.
    Msg {
        /// What it was put under.
        subject: String,
        /// Where an answer goes.
        reply: Option<String>,
        /// Bytes of headers,
        headers: usize,
        /// and of all.
        total: usize,
    },
}

/// Reads a control line without its end. The reason if it is none.
pub fn parse(line: &[u8]) -> Result<Op, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "a line that is no text")?;
    let mut words = text.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    let rest: Vec<&str> = words.collect();
    let number =
        |text: &str| text.parse::<usize>().ok().filter(|n| *n <= MAX_PAYLOAD).ok_or("a length that is none");
    match (verb.as_str(), &rest[..]) {
        ("INFO", _) => Ok(Op::Info),
        ("PING", []) => Ok(Op::Ping),
        ("PONG", []) => Ok(Op::Pong),
        ("+OK", []) => Ok(Op::Ok),
        ("-ERR", _) => {
            let text = text.get(4..).unwrap_or_default().trim().trim_matches('\'');
            Ok(Op::Err(text.chars().take(200).collect()))
        }
        ("MSG", [subject, _, total]) => msg(subject, None, 0, number(total)?),
        ("MSG", [subject, _, reply, total]) => msg(subject, Some(reply), 0, number(total)?),
        ("HMSG", [subject, _, headers, total]) => msg(subject, None, number(headers)?, number(total)?),
        ("HMSG", [subject, _, reply, headers, total]) => {
            msg(subject, Some(reply), number(headers)?, number(total)?)
        }
        _ => Err("a line that nobody knows"),
    }
}

fn msg(subject: &str, reply: Option<&str>, headers: usize, total: usize) -> Result<Op, &'static str> {
    if headers > total {
        return Err("more headers than bytes");
    }
    Ok(Op::Msg { subject: subject.to_owned(), reply: reply.map(str::to_owned), headers, total })
}

/// The status in the first line of headers: `NATS/1.0 404 No Messages`.
pub fn status(headers: &[u8]) -> Option<u16> {
    let line = headers.split(|b| *b == b'\r').next()?;
    std::str::from_utf8(line).ok()?.strip_prefix("NATS/1.0")?.split_ascii_whitespace().next()?.parse().ok()
}

/// Headers as they are sent.
pub fn headers(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = b"NATS/1.0\r\n".to_vec();
    for (name, value) in pairs {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused() {
        let msg = |subject: &str, reply: Option<&str>, headers, total| {
            Ok(Op::Msg { subject: subject.into(), reply: reply.map(str::to_owned), headers, total })
        };
        for (line, want) in [
            ("INFO {\"x\": 1}", Ok(Op::Info)),
            ("ping", Ok(Op::Ping)),
            ("-ERR 'Authorization Violation'", Ok(Op::Err("Authorization Violation".into()))),
            ("MSG a.b 1 5", msg("a.b", None, 0, 5)),
            ("MSG a.b 1 r.x 5", msg("a.b", Some("r.x"), 0, 5)),
            ("HMSG a 1 12 17", msg("a", None, 12, 17)),
            ("HMSG a 1 r 12 17", msg("a", Some("r"), 12, 17)),
            ("HMSG a 1 r 18 17", Err("more headers than bytes")),
            ("MSG a 1 99999999999", Err("a length that is none")),
            ("MSG a 1 -1", Err("a length that is none")),
            ("MSG a", Err("a line that nobody knows")),
            ("", Err("a line that nobody knows")),
            ("HELLO", Err("a line that nobody knows")),
        ] {
            assert_eq!(parse(line.as_bytes()), want, "{line}");
        }
        assert!(parse(b"\xff").is_err());
    }

    #[test]
    fn headers_carry_a_status() {
        assert_eq!(status(b"NATS/1.0 404 No Messages\r\n\r\n"), Some(404));
        assert_eq!(status(b"NATS/1.0\r\nX: y\r\n\r\n"), None);
        assert_eq!(status(b"junk"), None);
        assert_eq!(status(&headers(&[("A", "b")])), None);
    }
}
