//! Where a queue is.

use std::fmt;
use std::str::FromStr;

use super::NatsError;

/// The port unless one is named.
const PORT: u16 = 4222;

/// `nats://[USER[:PASSWORD]@]HOST[:PORT]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// User and password; a user alone is a token.
    pub(super) user: Option<(String, Option<String>)>,
}

impl FromStr for Address {
    type Err = NatsError;

    fn from_str(text: &str) -> Result<Self, NatsError> {
        // What stands before the @ is not repeated in messages.
        let shown = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
        let bad = || NatsError::Address(shown.chars().take(80).collect());
        let rest = text.strip_prefix("nats://").ok_or_else(bad)?.trim_end_matches('/');
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (place, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(bad());
        }
        let user = user.map(|user| match user.split_once(':') {
            Some((user, password)) => (user.to_owned(), Some(password.to_owned())),
            None => (user.to_owned(), None),
        });
        Ok(Self { host: host.to_owned(), port, user })
    }
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "nats://{open}{}{close}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_keep_their_secret() {
        for (text, shown, user) in [
            ("nats://queue.example", "nats://queue.example:4222", None),
            ("nats://127.0.0.1:4333/", "nats://127.0.0.1:4333", None),
            ("nats://[::1]:1", "nats://[::1]:1", None),
            ("nats://me:p@ss@h:1", "nats://h:1", Some(("me", Some("p@ss")))),
            ("nats://token@h", "nats://h:4222", Some(("token", None))),
        ] {
            let address: Address = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((address.to_string().as_str(), format!("{address:?}").as_str()), (shown, shown));
            let found = address.user.as_ref().map(|(user, word)| (user.as_str(), word.as_deref()));
            assert_eq!(found, user, "{text}");
        }
        for text in ["", "h:1", "nats://", "nats://h:x", "nats://a b", "tls://h", "nats://me:secret@h:x"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
