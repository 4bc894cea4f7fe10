//! Files: fetched once, however often the connection breaks.

use std::io::{self, Read};

use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode};

use super::client::Failure;
use super::{Client, RemoteError, Url};

/// Where a file goes: grows at its end, keeps what it has when a download breaks off.
pub trait Destination {
    /// How many bytes there are.
    fn position(&self) -> u64;
    /// Puts bytes behind them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Throws all of them away.
    fn restart(&mut self) -> io::Result<()>;
}

/// What was promised of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Exactly(u64),
    /// Not known; more than these are not taken.
    AtMost(u64),
}

/// A file that is there as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// `Content-MD5`, if the server said it: base64.
    pub content_md5: Option<String>,
    /// Whether some of it had been there before.
    pub is_resumed: bool,
}

/// Bytes taken at a time.
const BUFFER: usize = 64 << 10;
/// Who has come so much further since the last failure starts counting failures anew: a large file over a bad line
/// breaks off many times and still arrives, while a server that drips does not hold anyone for ever.
const PROGRESS: u64 = 1 << 20;

/// By what a file is known to be still the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Validators {
    etag: Option<String>,
    md5: Option<String>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).map(|v| v.trim().to_owned());
        Self { etag: text("etag"), md5: text("content-md5") }
    }

    /// Whether nothing that both say is different.
    fn agree(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        same(&self.etag, &other.etag) && same(&self.md5, &other.md5)
    }

    /// An etag that may stand in `If-Range`: weak ones may not.
    fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| etag.starts_with('"'))
    }
}

/// One file being fetched.
struct Download<'a> {
    client: &'a Client,
    url: &'a Url,
    headers: &'a [(&'a str, &'a str)],
    length: Length,
    known: Option<Validators>,
    /// The server has shown that it can't go on in the middle.
    is_from_start: bool,
}

impl Client {
    /// Fetches a file to `to`, going on behind what is there. Breaks are mended by asking for the rest; a server that
    /// can't give it, or has another file by now, sends all of it again. Never takes more than one byte beyond the
    /// length. Whether the bytes are the right ones, the caller finds out.
    ///
    /// `count` hears of every byte that arrives.
    pub fn download(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        length: Length,
        to: &mut dyn Destination,
        count: &dyn Fn(u64),
        stop: &dyn Fn() -> bool,
    ) -> Result<Downloaded, RemoteError> {
        let mut is_resumed = to.position() > 0;
        let mut download = Download { client: self, url, headers, length, known: None, is_from_start: false };
        let (mut failed, mut mark) = (0, to.position());
        loop {
            if stop() {
                return Err(RemoteError::Stopped);
            }
            if length == Length::Exactly(to.position()) {
                break;
            }
            let failure = match download.attempt(to, &mut is_resumed, count, stop) {
                Ok(()) => break,
                Err(failure) => failure,
            };
            failed = if to.position() >= mark.saturating_add(PROGRESS) { 1 } else { failed + 1 };
            mark = to.position();
            self.pause(failure, failed, stop).map_err(|e| match e {
                RemoteError::Transport { url, reason } if mark > 0 => {
                    RemoteError::Cut { url, at: mark, reason }
                }
                other => other,
            })?;
        }
        let content_md5 = download.known.and_then(|known| known.md5);
        Ok(Downloaded { content_md5, is_resumed })
    }
}

impl Download<'_> {
    fn attempt(
        &mut self,
        to: &mut dyn Destination,
        is_resumed: &mut bool,
        count: &dyn Fn(u64),
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let is_too_long = matches!(self.length, Length::Exactly(size) if to.position() > size);
        if to.position() > 0 && (self.is_from_start || is_too_long) {
            self.restart(to, is_resumed)?;
        }
        let at = to.position();
        let range = format!("bytes={at}-");
        let mut headers = self.headers.to_vec();
        if at > 0 {
            headers.push(("range", &range));
            if let Some(etag) = self.known.as_ref().and_then(Validators::strong_etag) {
                headers.push(("if-range", etag));
            }
        }
        let response = self.client.send(self.url, &headers)?;
        let found = Validators::of(response.headers());
        let end = match response.status() {
            StatusCode::OK => {
                if at > 0 {
                    self.restart(to, is_resumed)?;
                }
                self.known = Some(found);
                response.body().content_length()
            }
            StatusCode::PARTIAL_CONTENT if at > 0 => {
                let range = ContentRange::of(response.headers());
                let fits =
                    range.as_ref().is_some_and(|range| range.first == at && self.may_end_at(range.total));
                if !fits || self.known.as_ref().is_some_and(|known| !known.agree(&found)) {
                    self.is_from_start = true;
                    return Err(self.passing("the server goes on elsewhere, or in another file"));
                }
                self.known.get_or_insert(found);
                range.and_then(|range| range.total)
            }
            // Nothing behind what is there: it is not this file's.
            StatusCode::RANGE_NOT_SATISFIABLE if at > 0 => {
                self.is_from_start = true;
                return Err(self.passing("the server has nothing behind what is there"));
            }
            _ => return Err(self.client.refused(self.url, response)),
        };
        if let (Length::Exactly(expected), Some(actual)) = (self.length, end)
            && expected != actual
        {
            let url = self.url.to_string();
            return Err(Failure::last(RemoteError::Length { url, expected, actual }));
        }
        self.copy(response, end, to, count, stop)
    }

    fn copy(
        &self,
        mut response: Response<Body>,
        end: Option<u64>,
        to: &mut dyn Destination,
        count: &dyn Fn(u64),
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let (Length::Exactly(most) | Length::AtMost(most)) = self.length;
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut buf = vec![0; BUFFER];
        loop {
            if stop() {
                return Err(Failure::last(RemoteError::Stopped));
            }
            let left = most.saturating_sub(to.position());
            let want = usize::try_from(left.saturating_add(1)).unwrap_or(BUFFER).min(BUFFER);
            let n = match reader.read(&mut buf[..want]) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Failure::broken(self.url, &e)),
            };
            if n as u64 > left {
                let url = self.url.to_string();
                return Err(Failure::last(RemoteError::TooLong { url, expected: most }));
            }
            if n == 0 {
                let expected = if let Length::Exactly(size) = self.length { Some(size) } else { end };
                let is_whole = expected.is_none_or(|expected| to.position() >= expected);
                return if is_whole { Ok(()) } else { Err(self.passing("the connection was closed")) };
            }
            to.append(&buf[..n]).map_err(|source| Failure::last(RemoteError::Write { source }))?;
            count(n as u64);
            self.client.pay(n as u64, stop);
        }
    }

    fn restart(&mut self, to: &mut dyn Destination, is_resumed: &mut bool) -> Result<(), Failure> {
        *is_resumed = false;
        self.known = None;
        to.restart().map_err(|source| Failure::last(RemoteError::Write { source }))
    }

    fn may_end_at(&self, total: Option<u64>) -> bool {
        match (self.length, total) {
            (Length::Exactly(size), Some(total)) => size == total,
            _ => true,
        }
    }

    fn passing(&self, reason: &str) -> Failure {
        let error = RemoteError::Transport { url: self.url.to_string(), reason: reason.to_owned() };
        Failure { error, is_passing: true, asked: None }
    }
}

/// `Content-Range: bytes FIRST-LAST/TOTAL`.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get("content-range")?.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let total = if total == "*" { None } else { Some(total.trim().parse().ok()?) };
        let is_sound = first <= last && total.is_none_or(|total| last < total);
        is_sound.then_some(Self { first, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_or_refused() {
        let range = |first, total| Some(ContentRange { first, total });
        let cases = [
            ("bytes 5-9/10", range(5, Some(10))),
            ("bytes 5-9/*", range(5, None)),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes -9/10", None),
        ];
        for (text, want) in cases {
            assert_eq!(ContentRange::parse(text), want, "{text}");
        }
    }

    #[test]
    fn files_are_the_same_unless_something_says_otherwise() {
        let v = |etag: Option<&str>, md5: Option<&str>| Validators {
            etag: etag.map(str::to_owned),
            md5: md5.map(str::to_owned),
        };
        assert!(v(Some("\"a\""), None).agree(&v(None, Some("m"))));
        assert!(!v(Some("\"a\""), Some("m")).agree(&v(Some("\"b\""), Some("m"))));
        assert!(!v(None, Some("m")).agree(&v(None, Some("n"))));
        assert_eq!(v(Some("W/\"a\""), None).strong_etag(), None);
    }
}
