//! Requests of any kind, and answers as they come: for services whose statuses and headers mean something.

use std::io::{self, Read};

use ureq::http::HeaderMap;

use super::client::Failure;
use super::retry::may_pass;
use super::{Client, RemoteError, Url};
use crate::body::Body;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Fetch.
    Get,
    /// Ask for headers alone.
    Head,
    /// Begin something.
    Post,
    /// Put a whole thing.
    Put,
    /// Add to a thing.
    Patch,
    /// Take away.
    Delete,
}

/// What is sent along.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// Bytes at hand.
    Bytes(&'a [u8]),
    /// Bytes of a body: from where, and how many.
    Part(&'a Body, u64, u64),
}

/// A request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What.
    pub method: Method,
    /// Of what.
    pub url: &'a Url,
    /// Headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Sent along.
    pub payload: Payload<'a>,
    /// Longest body of an answer.
    pub max: u64,
}

/// An answer that was read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub bytes: Vec<u8>,
    headers: HeaderMap,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// All values of a header that may stand there several times.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }
}

impl Client {
    /// Sends a request that may be sent again without harm. Only answers that may pass are tried again (408, 429, 5xx);
    /// all others are the caller's to read. Nothing is followed anywhere.
    pub fn exchange(&self, request: &Request<'_>, stop: &dyn Fn() -> bool) -> Result<Answer, RemoteError> {
        self.repeat(stop, |_| self.exchange_once(request, &|_| {}))
    }

    /// Sends a request once; `count` hears of every byte sent.
    pub fn exchange_once(&self, request: &Request<'_>, count: &dyn Fn(u64)) -> Result<Answer, Failure> {
        let method = match request.method {
            Method::Get => ureq::http::Method::GET,
            Method::Head => ureq::http::Method::HEAD,
            Method::Post => ureq::http::Method::POST,
            Method::Put => ureq::http::Method::PUT,
            Method::Patch => ureq::http::Method::PATCH,
            Method::Delete => ureq::http::Method::DELETE,
        };
        let takes_body = matches!(request.method, Method::Post | Method::Put | Method::Patch);
        let mut headers = request.headers.to_vec();
        let length = match request.payload {
            Payload::None => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Part(_, _, length) => length,
        };
        let text = length.to_string();
        if takes_body {
            headers.push(("content-length", &text));
        }
        let send = |body: Option<&mut dyn Read>| self.send_once(method.clone(), request.url, &headers, body);
        let mut response = match request.payload {
            Payload::None if !takes_body => send(None)?,
            Payload::None => send(Some(&mut io::empty()))?,
            Payload::Bytes(mut bytes) => send(Some(&mut bytes))?,
            Payload::Part(body, at, left) => {
                let moved = |n| {
                    count(n);
                    // Whoever stops shuts the client down, and with it this request.
                    self.pay(n, &|| false);
                };
                send(Some(&mut Part { body, at, left, count: &moved }))?
            }
        };
        let status = response.status().as_u16();
        if may_pass(status) {
            return Err(self.refused(request.url, response));
        }
        let headers = response.headers().clone();
        let mut bytes = Vec::new();
        if request.method != Method::Head {
            let reader = response.body_mut().with_config().limit(u64::MAX).reader();
            let read = reader.take(request.max.saturating_add(1)).read_to_end(&mut bytes);
            read.map_err(|e| Failure::broken(request.url, &e))?;
        }
        if bytes.len() as u64 > request.max {
            let url = request.url.to_string();
            return Err(Failure::last(RemoteError::TooLarge { url, limit: request.max }));
        }
        Ok(Answer { status, bytes, headers })
    }
}

impl Failure {
    /// The error of something that may.
    pub fn passing(error: RemoteError) -> Self {
        Self { error, is_passing: true, asked: None }
    }

    /// Why.
    pub fn into_error(self) -> RemoteError {
        self.error
    }
}

/// Reads a part of a body, and counts.
struct Part<'a> {
    body: &'a Body,
    at: u64,
    left: u64,
    count: &'a dyn Fn(u64),
}

impl Read for Part<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.left.min(buf.len() as u64) as usize;
        self.body.read_exact_at(&mut buf[..n], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        (self.count)(n as u64);
        Ok(n)
    }
}
