//! Where a service is.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An `http` or `https` URL in one form of many: no default port, no `/` at the end, no fragment. Shown without
/// user and password.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    is_https: bool,
    /// `USER:PASSWORD` as it was written, escapes and all.
    user: Option<String>,
    /// Lower case, with the port if it is not the scheme's own.
    authority: String,
    /// Empty, or from `/` on.
    path: String,
    /// Behind the `?`.
    query: Option<String>,
}

/// Why a text is no [`Url`]. Not shown: the text itself, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https URL: {0}")]
pub struct UrlError(&'static str);

/// Longer ones nobody writes.
const MAX_LEN: usize = 4096;

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_LEN {
            return Err(UrlError("too long"));
        }
        if text.bytes().any(|b| !b.is_ascii_graphic() || matches!(b, b'"' | b'<' | b'>' | b'\\' | b'`')) {
            return Err(UrlError("a character that must be written %NN"));
        }
        let (is_https, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, _)) if !scheme.contains(['/', '?', '@']) => {
                return Err(UrlError("another scheme"));
            }
            _ => (false, text),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned()).filter(|q| !q.is_empty())),
            None => (rest, None),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()).filter(|u| !u.is_empty()), host),
            None => (None, authority),
        };
        Ok(Self {
            is_https,
            user,
            authority: normalised(host, is_https)?,
            path: path.strip_suffix('/').unwrap_or(path).to_owned(),
            query,
        })
    }
}

/// Host in lower case, and the port unless it is the scheme's own.
fn normalised(host: &str, is_https: bool) -> Result<String, UrlError> {
    let is_bracketed = host.starts_with('[');
    let end = if is_bracketed { host.find(']').ok_or(UrlError("an open ["))? + 1 } else { 0 };
    let (name, port) = match host[end..].rfind(':') {
        Some(at) => (&host[..end + at], Some(&host[end + at + 1..])),
        None => (host, None),
    };
    let inner = if is_bracketed { name.get(1..end - 1).filter(|_| name.len() == end) } else { Some(name) };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b) || is_bracketed && b == b':';
    if !inner.is_some_and(|inner| !inner.is_empty() && inner.bytes().all(legal)) {
        return Err(UrlError("no host"));
    }
    let default = if is_https { 443 } else { 80 };
    let name = name.to_ascii_lowercase();
    match port {
        None | Some("") => Ok(name),
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port == default => Ok(name),
            Ok(port) if port > 0 => Ok(format!("{name}:{port}")),
            _ => Err(UrlError("a port that is none")),
        },
    }
}

impl Url {
    /// The URL of something below this one: segments and parameters are escaped as they need. Parameters that this
    /// one has are kept, and come first.
    #[must_use]
    pub fn join(&self, segments: &[&str], parameters: &[(&str, &str)]) -> Self {
        let mut url = self.clone();
        for segment in segments {
            url.path.push('/');
            url.path.push_str(&escaped(segment));
        }
        let mut query = url.query.unwrap_or_default();
        for (name, value) in parameters {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(&format!("{}={}", escaped(name), escaped(value)));
        }
        url.query = Some(query).filter(|q| !q.is_empty());
        url
    }

    /// What a `Location` of this URL's answer means. Another server is not told who asks.
    pub fn resolve(&self, location: &str) -> Result<Self, UrlError> {
        let scheme = if self.is_https { "https" } else { "http" };
        let text = if location.contains("://") {
            location.to_owned()
        } else if let Some(rest) = location.strip_prefix("//") {
            format!("{scheme}://{rest}")
        } else if location.starts_with('/') {
            format!("{scheme}://{}{location}", self.authority)
        } else {
            let dir = self.path.rsplit_once('/').map_or("", |(dir, _)| dir);
            format!("{scheme}://{}{dir}/{location}", self.authority)
        };
        let mut url: Self = text.parse()?;
        // Some servers take one with a `/` at the end for another one.
        if text.split(['?', '#']).next().is_some_and(|path| path.ends_with('/')) {
            url.path.push('/');
        }
        if url.user.is_none() && url.is_same_server(self) {
            url.user.clone_from(&self.user);
        }
        Ok(url)
    }

    /// Whether both are of one server, asked the same way.
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.is_https == other.is_https && self.authority == other.authority
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The value of a parameter, as it is written.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.as_deref()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.rev().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The same without a parameter.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let query = self.query.as_deref().unwrap_or_default().split('&');
        let kept: Vec<&str> = query.filter(|pair| pair.split('=').next() != Some(name)).collect();
        Self { query: Some(kept.join("&")).filter(|q| !q.is_empty()), ..self.clone() }
    }

    /// What is sent: everything but user and password.
    pub(super) fn request(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        let query = self.query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
        let path = if self.path.is_empty() && !query.is_empty() { "/" } else { &self.path };
        format!("{scheme}://{}{path}{query}", self.authority)
    }

    /// With user and password: for files that only their owner reads.
    pub fn to_secret_string(&self) -> String {
        let shown = self.request();
        match (&self.user, shown.split_once("://")) {
            (Some(user), Some((scheme, rest))) => format!("{scheme}://{user}@{rest}"),
            _ => shown,
        }
    }

    /// `Authorization`, where the URL has a user.
    pub(super) fn authorization(&self) -> Option<String> {
        let user = self.user.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(unescaped(user))))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.request())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.request())
    }
}

/// Parameters as a form sends them (`application/x-www-form-urlencoded`).
pub fn form(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|d| byte == b'%' && d.iter().all(u8::is_ascii_hexdigit));
        let value =
            digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 16).ok());
        out.push(value.unwrap_or(byte));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_one_form() {
        let cases = [
            ("https://images.smartos.org", "https://images.smartos.org"),
            ("https://images.smartos.org/", "https://images.smartos.org"),
            ("HTTPS://Images.SmartOS.org:443/", "https://images.smartos.org"),
            ("images.example", "http://images.example"),
            ("localhost:8080/base/", "http://localhost:8080/base"),
            ("http://h:80/a/b?channel=dev", "http://h/a/b?channel=dev"),
            ("http://h?channel=dev#x", "http://h/?channel=dev"),
            ("http://[::1]:80/x", "http://[::1]/x"),
            ("http://[::1]:81", "http://[::1]:81"),
            ("http://u:p@h/x", "http://h/x"),
            ("u:p@h:80", "http://h"),
        ];
        for (text, want) in cases {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), want, "{text}");
        }
        for bad in
            ["", "http://", "ftp://h", "http://h:x", "http://h:0", "http://h h", "http://[::1", "http://a@/"]
        {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_sent_and_not_shown() {
        let url: Url = "https://me:p%40ss@h/b".parse().unwrap();
        assert_eq!(url.authorization().unwrap(), "Basic bWU6cEBzcw==");
        assert_eq!(url.to_secret_string(), "https://me:p%40ss@h/b");
        for shown in [url.to_string(), format!("{url:?}"), url.request()] {
            assert_eq!(shown, "https://h/b");
        }
        let bad = "https://me:secret@".parse::<Url>().unwrap_err();
        assert!(!bad.to_string().contains("secret"));
    }

    #[test]
    fn locations_are_resolved() {
        let base: Url = "https://u:p@h:5000/v2/x/uploads/?a=b".parse().unwrap();
        for (location, want, is_same) in [
            ("/v2/x/1?s=t", "https://h:5000/v2/x/1?s=t", true),
            ("https://H:5000/y", "https://h:5000/y", true),
            ("https://other/y", "https://other/y", false),
            ("//h/y", "https://h/y", false),
            ("http://h:5000/y", "http://h:5000/y", false),
            ("z", "https://h:5000/v2/x/z", true),
            ("/v2/", "https://h:5000/v2/", true),
            ("/v2/y/?a", "https://h:5000/v2/y/?a", true),
        ] {
            let url = base.resolve(location).unwrap();
            assert_eq!((url.to_string().as_str(), url.is_same_server(&base)), (want, is_same), "{location}");
            assert_eq!(url.authorization().is_some(), is_same, "{location}");
        }
        assert!(base.resolve("ftp://h/y").is_err());
    }

    #[test]
    fn parts_are_added_and_taken_away() {
        let base: Url = "h/base?channel=dev".parse().unwrap();
        let url = base.join(&["images", "a/../b"], &[("name", "~x y"), ("tag.a", "1")]);
        assert_eq!(url.to_string(), "http://h/base/images/a%2F..%2Fb?channel=dev&name=~x%20y&tag.a=1");
        assert_eq!(base.parameter("channel"), Some("dev"));
        assert_eq!(base.without("channel").to_string(), "http://h/base");
    }
}
