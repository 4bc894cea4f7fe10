//! A server on this machine that does what it is told, wrong things above all. Only `std`: tests of other packages take
//! this file by its path.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to one request instead of the right answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The right answer; for the place of it among others.
    None,
    /// The body ends after so many bytes.
    Cut(usize),
    /// The connection ends before any answer.
    Close,
    /// Another status, with headers and a body.
    Status(u16, &'static [(&'static str, &'static str)], &'static str),
    /// A range is not heeded.
    NoRange,
    /// A range of another place is sent.
    OtherRange,
    /// These headers in addition.
    Headers(&'static [(&'static str, &'static str)], Box<Fault>),
    /// A few bytes at a time.
    Drip,
    /// The body and its end come never.
    Stall,
    /// Another body.
    Body(Vec<u8>),
    /// The right body, announced with another length.
    Length(u64),
    /// The right body without a length, and these bytes behind it.
    Longer(Vec<u8>),
    /// A body without end.
    Endless,
    /// Go there.
    Redirect(String),
}

/// A request, read to its end.
pub struct Request {
    /// As in the first line.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Unescaped.
    pub query: BTreeMap<String, String>,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What was sent along.
    pub body: Vec<u8>,
}

/// The right answer.
#[derive(Default)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// With a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// And a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

impl Request {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Those of the next requests, and that of every one after them.
type Faults = (VecDeque<Fault>, Option<Fault>);
type Answers = dyn Fn(&Request) -> Reply + Send + Sync;

struct State {
    answers: Box<Answers>,
    /// By `[METHOD ]` and the end of the path.
    faults: Mutex<BTreeMap<String, Faults>>,
    log: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// A server; gone when dropped.
pub struct HttpServer {
    address: SocketAddr,
    state: Arc<State>,
}

impl HttpServer {
    /// Starts one that answers so when nothing is to go wrong.
    pub fn new(answers: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State {
            answers: Box::new(answers),
            faults: Mutex::default(),
            log: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&shared);
                if let Ok(stream) = stream {
                    // A client that goes away is a part of many tests.
                    thread::spawn(move || serve(stream, &shared));
                }
            }
        });
        Self { address, state }
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What happens to the next requests whose path ends so; `METHOD PATH` means those of one method.
    pub fn next(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        let mut all = self.state.faults.lock().unwrap();
        all.entry(path.to_owned()).or_default().0.extend(faults);
    }

    /// What happens to every such request.
    pub fn always(&self, path: &str, fault: Fault) {
        self.state.faults.lock().unwrap().entry(path.to_owned()).or_default().1 = Some(fault);
    }

    /// The requests since the last time: method and path, query, range, and headers that matter.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.log.lock().unwrap())
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split(' ');
    let method = words.next().filter(|word| !word.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?.to_owned();
    let target = words.next().unwrap_or("/").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text: &String| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pair = |pair: &str| pair.split_once('=').map(|(n, v)| (n.to_owned(), unescaped(v)));
    let query = query.split('&').filter_map(pair).collect();
    Ok(Request { method, path: path.to_owned(), query, headers, body })
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digits =
            (byte == b'%').then(|| tail.get(..2)).flatten().and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = &tail[2..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn serve(mut stream: TcpStream, state: &State) {
    // Nobody stays longer than a test takes.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let Ok(request) = read_request(&stream) else {
        // No HTTP, as of who would rather speak TLS.
        let _ = plain(&mut stream, 400, &[], b"");
        return;
    };
    let mut line = format!("{} {}", request.method, request.path);
    for (name, value) in &request.query {
        line.push_str(&format!(" {name}={value}"));
    }
    for name in ["range", "if-range", "authorization", "content-range"] {
        line.extend(request.header(name).map(|value| format!(" {name}: {value}")));
    }
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("aurora/")));
    state.log.lock().unwrap().push(line);
    let fault = {
        let mut faults = state.faults.lock().unwrap();
        let fits = |wanted: &str| match wanted.split_once(' ') {
            Some((method, path)) => method == request.method && request.path.ends_with(path),
            None => request.path.ends_with(wanted),
        };
        let found = faults.iter_mut().find(|(wanted, _)| fits(wanted));
        found.and_then(|(_, (next, always))| next.pop_front().or_else(|| always.clone()))
    };
    let fault = fault.unwrap_or(Fault::None);
    let is_done = !matches!(fault, Fault::Close | Fault::Status(..) | Fault::Redirect(_));
    let reply = if is_done { (state.answers)(&request) } else { Reply::default() };
    // A client that has gone is none that could be told.
    let _ = answer(&mut stream, &request, reply, fault);
}

fn answer(stream: &mut TcpStream, request: &Request, reply: Reply, fault: Fault) -> io::Result<()> {
    let Reply { status, mut headers, mut body } = reply;
    if let Fault::Headers(more, fault) = fault {
        headers.retain(|(name, _)| !more.iter().any(|(n, _)| n == name));
        headers.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        return answer(stream, request, Reply { status, headers, body }, *fault);
    }
    let is_head = request.method == "HEAD";
    let mut put = |name: &str, value: String| headers.push((name.to_owned(), value));
    let asked: Option<usize> =
        request.headers.get("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let mut status = status;
    match (asked, &fault) {
        (None, _) | (_, Fault::NoRange | Fault::Body(_)) => {}
        (Some(_), Fault::OtherRange) => {
            put("Content-Range", format!("bytes 0-{}/{}", body.len() - 1, body.len()));
            status = 206;
        }
        (Some(from), _) if status == 200 && from < body.len() => {
            put("Content-Range", format!("bytes {from}-{}/{}", body.len() - 1, body.len()));
            body.drain(..from);
            status = 206;
        }
        (Some(_), _) if status == 200 => return plain(stream, 416, &[], b""),
        _ => {}
    }
    let mut sent = body.len();
    let mut length = Some(body.len() as u64);
    match fault {
        Fault::None | Fault::NoRange | Fault::OtherRange | Fault::Drip => {}
        Fault::Cut(n) => sent = n.min(body.len()),
        Fault::Close => return Ok(()),
        Fault::Status(status, headers, text) => return plain(stream, status, headers, text.as_bytes()),
        Fault::Headers(..) => unreachable!("taken apart above"),
        Fault::Stall => sent = 0,
        Fault::Body(ref other) => {
            (sent, length) = (other.len(), Some(other.len() as u64));
            body = other.clone();
        }
        Fault::Length(other) => length = Some(other),
        Fault::Longer(ref tail) => {
            body.extend_from_slice(tail);
            (sent, length) = (body.len(), None);
        }
        Fault::Endless => length = None,
        Fault::Redirect(to) => return plain(stream, 302, &[("Location", &to)], b""),
    }
    write!(stream, "HTTP/1.1 {status} Status\r\nConnection: close\r\n")?;
    for (name, value) in &headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    match length {
        Some(length) => write!(stream, "Content-Length: {length}\r\n\r\n")?,
        None => write!(stream, "\r\n")?,
    }
    match fault {
        _ if is_head => Ok(()),
        Fault::Endless => loop {
            stream.write_all(&[b' '; 65536])?;
        },
        Fault::Stall => {
            stream.flush()?;
            // Until the client goes away.
            io::copy(stream, &mut io::sink()).map(drop)
        }
        Fault::Drip => body[..sent].chunks(sent.div_ceil(50).max(1)).try_for_each(|piece| {
            stream.write_all(piece)?;
            stream.flush()?;
            thread::sleep(Duration::from_millis(1));
            Ok(())
        }),
        _ => stream.write_all(&body[..sent]),
    }
}

fn plain(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {}\r\n", body.len())?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(body)
}
