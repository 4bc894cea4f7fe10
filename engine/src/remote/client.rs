//! Requests: sent, tried again, answered by documents.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, SendBody};

use super::retry::{may_pass, retry_after};
use super::{Pace, RateLimit, RemoteError, RetryPolicy, SystemPace, Trust, Url};

/// What tunes a client.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// How it introduces itself.
    pub user_agent: String,
    /// Longest time to find and reach a server.
    pub connect: Duration,
    /// Longest time that nothing at all arrives. There is no limit for the whole: files are large and lines slow.
    pub idle: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// What waiting means.
    pub pace: Arc<dyn Pace>,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are obeyed.
    pub use_proxy: bool,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// How fast files may come and go; every client that has it together.
    pub limit: Option<Arc<RateLimit>>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("aurora/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            retry: RetryPolicy::default(),
            pace: Arc::new(SystemPace),
            use_proxy: true,
            trust: Trust::System,
            limit: None,
        }
    }
}

/// Sends requests. Can be used from several threads; connections are kept and shared.
pub struct Client {
    agent: Agent,
    pub(super) options: ClientOptions,
}

/// An answer that was read to its end.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A request that failed once.
#[derive(Debug)]
pub struct Failure {
    pub(super) error: RemoteError,
    /// Whether it may go well the next time.
    pub(super) is_passing: bool,
    /// When the server wants to be asked again.
    pub(super) asked: Option<Duration>,
}

/// Redirects that are followed.
const MAX_REDIRECTS: u32 = 10;
/// Bytes of the body of an answer that is an error.
const MAX_ERROR: u64 = 64 << 10;
/// Characters of it in messages.
const MAX_MESSAGE: usize = 200;

impl Client {
    /// Makes a client; nothing is sent.
    pub fn new(options: ClientOptions) -> Result<Self, RemoteError> {
        let mut config = Agent::config_builder()
            .user_agent(&options.user_agent)
            .http_status_as_error(false)
            // Followed here, as only then is it known what may go along.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(options.connect))
            .timeout_connect(Some(options.connect))
            .timeout_per_read(Some(options.idle))
            .timeout_per_write(Some(options.idle))
            .tls_config(options.trust.config()?);
        if !options.use_proxy {
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().into(), options })
    }

    /// Breaks all requests off, those of other threads too. The client is of no use afterwards.
    pub fn shutdown(&self) {
        self.agent.clone().shutdown();
    }

    /// Fetches a document of at most `max` bytes. What fails for a reason that may pass is tried again, until `stop`
    /// says to stop.
    pub fn get(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        max: u64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Document, RemoteError> {
        self.repeat(stop, |_| self.try_get(url, headers, max))
    }

    /// Tries until it goes well, or fails for good, or `stop` says to stop. The attempt is told how many have failed.
    pub fn repeat<T>(
        &self,
        stop: &dyn Fn() -> bool,
        mut attempt: impl FnMut(u32) -> Result<T, Failure>,
    ) -> Result<T, RemoteError> {
        let mut failed = 0;
        loop {
            match attempt(failed) {
                Ok(done) => return Ok(done),
                Err(failure) => {
                    failed += 1;
                    self.pause(failure, failed, stop)?;
                }
            }
        }
    }

    fn try_get(&self, url: &Url, headers: &[(&str, &str)], max: u64) -> Result<Document, Failure> {
        let mut response = self.send(url, headers)?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(url, response));
        }
        let mut bytes = Vec::new();
        let body = response.body_mut().with_config().limit(u64::MAX).reader();
        let read = body.take(max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|e| Failure::broken(url, &e))?;
        if bytes.len() as u64 > max {
            let url = url.to_string();
            return Err(Failure::last(RemoteError::TooLarge { url, limit: max }));
        }
        Ok(Document { bytes })
    }

    /// One request, and those that it is sent on to; any other answer will do. What proves who asks is for the server
    /// that was asked, and goes to no other.
    pub(super) fn send(&self, url: &Url, headers: &[(&str, &str)]) -> Result<Response<Body>, Failure> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let is_theirs = at.is_same_server(url);
            let allowed: Vec<_> = headers.iter().copied().filter(|h| is_theirs || !is_secret(h.0)).collect();
            let response = self.send_once(ureq::http::Method::GET, &at, &allowed, None)?;
            match redirected(&at, &response)? {
                Some(next) => at = next,
                None => return Ok(response),
            }
        }
        Err(Failure::last(RemoteError::Redirects { url: url.to_string(), limit: MAX_REDIRECTS }))
    }

    /// One request.
    pub(super) fn send_once(
        &self,
        method: ureq::http::Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: Option<&mut dyn Read>,
    ) -> Result<Response<Body>, Failure> {
        let mut request = ureq::http::Request::builder().method(method).uri(url.request());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(value) = url.authorization() {
            request = request.header("authorization", value);
        }
        let sent = match body {
            Some(mut body) => {
                request.body(SendBody::from_reader(&mut body)).map(|request| self.agent.run(request))
            }
            None => request.body(SendBody::none()).map(|request| self.agent.run(request)),
        };
        let failed = |e: ureq::http::Error| {
            Failure::last(RemoteError::Transport { url: url.to_string(), reason: e.to_string() })
        };
        sent.map_err(failed)?.map_err(|e| Failure::of(url, &e))
    }

    /// An answer that is not what was asked for.
    pub(super) fn refused(&self, url: &Url, mut response: Response<Body>) -> Failure {
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after").and_then(|v| v.to_str().ok());
        let asked = header.and_then(|value| retry_after(value, self.options.pace.now()));
        let mut body = Vec::new();
        // It explains the error; without it there is still the number.
        let reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let _ = reader.take(MAX_ERROR).read_to_end(&mut body);
        let message = message(&body);
        let error = RemoteError::Status { url: url.to_string(), status, message, body };
        Failure { error, is_passing: may_pass(status), asked }
    }

    /// Bytes of a file have moved: waits where that was too fast.
    pub(super) fn pay(&self, bytes: u64, stop: &dyn Fn() -> bool) {
        if let Some(limit) = &self.options.limit {
            limit.pay(bytes, &*self.options.pace, stop);
        }
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        self.options.pace.now()
    }

    /// Waits after the `failed`-th failure in a row, counted from 1, or gives up.
    pub fn pause(&self, failure: Failure, failed: u32, stop: &dyn Fn() -> bool) -> Result<(), RemoteError> {
        if stop() {
            return Err(RemoteError::Stopped);
        }
        let retry = &self.options.retry;
        let Some(wait) = retry.wait_after(failed).filter(|_| failure.is_passing) else {
            return Err(failure.error);
        };
        let asked = failure.asked.unwrap_or_default();
        if asked > retry.most_asked {
            let url = failure.error.url();
            return Err(RemoteError::Busy { url, seconds: asked.as_secs() });
        }
        self.options.pace.wait(wait.max(asked), stop);
        if stop() { Err(RemoteError::Stopped) } else { Ok(()) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Failure {
    /// One that will not pass.
    pub(super) fn last(error: RemoteError) -> Self {
        Self { error, is_passing: false, asked: None }
    }

    /// An answer that broke off.
    pub(super) fn broken(url: &Url, e: &std::io::Error) -> Self {
        let error = RemoteError::Transport { url: url.to_string(), reason: e.to_string() };
        Self { error, is_passing: true, asked: None }
    }

    fn of(url: &Url, e: &ureq::Error) -> Self {
        let error = match e {
            ureq::Error::Io(e) if is_certificate(e) => {
                RemoteError::Certificate { url: url.to_string(), reason: e.to_string() }
            }
            _ => RemoteError::Transport { url: url.to_string(), reason: reason(e) },
        };
        let is_passing = match e {
            ureq::Error::Io(e) => !is_certificate(e),
            ureq::Error::Timeout(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Protocol(_) => true,
            _ => false,
        };
        Self { error, is_passing, asked: None }
    }
}

/// Where an answer sends on to. Who began encrypted is not sent elsewhere in the clear.
fn redirected(at: &Url, response: &Response<Body>) -> Result<Option<Url>, Failure> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let broken = |reason: &str| {
        Failure::last(RemoteError::Transport { url: at.to_string(), reason: reason.to_owned() })
    };
    let location = response.headers().get("location").and_then(|v| v.to_str().ok());
    let location = location.ok_or_else(|| broken("redirected to nowhere"))?;
    let next = at.resolve(location).map_err(|_| broken("redirected to what is no http or https URL"))?;
    if at.is_https() && !next.is_https() {
        return Err(broken("redirected from https to http"));
    }
    Ok(Some(next))
}

/// Headers that prove who asks.
fn is_secret(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization"].iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Whether a connection failed because the server's certificate is not believed, or it speaks no TLS at all.
fn is_certificate(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput)
}

fn reason(e: &ureq::Error) -> String {
    match e {
        ureq::Error::Io(e) => e.to_string(),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::Timeout(what) => format!("nothing came in time: {what}"),
        other => other.to_string(),
    }
}

impl RemoteError {
    /// What was asked for, where that is known.
    fn url(&self) -> String {
        match self {
            Self::Transport { url, .. } | Self::Status { url, .. } => url.clone(),
            _ => String::new(),
        }
    }
}

/// The first line of an answer, if it is text for people: services with documents of their own read `body`.
fn message(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.starts_with(['<', '{']) { String::new() } else { line.chars().take(MAX_MESSAGE).collect() }
}
