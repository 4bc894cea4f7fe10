//! An image server on this machine that does what it is told, wrong things above all. Only `std`: tests of other
//! packages take this file by its path.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Write};
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

struct Image {
    manifest: String,
    published: String,
    file: Vec<u8>,
}

/// Those of the next requests, and that of every one after them.
type Faults = (VecDeque<Fault>, Option<Fault>);

#[derive(Default)]
struct State {
    images: Mutex<BTreeMap<String, Image>>,
    /// By the end of the path.
    faults: Mutex<BTreeMap<String, Faults>>,
    log: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// A server; gone when dropped.
pub struct FaultServer {
    address: SocketAddr,
    state: Arc<State>,
}

impl FaultServer {
    /// Starts one without images.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
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

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Gives it an image.
    pub fn add(&self, uuid: &str, manifest: String, file: Vec<u8>) {
        let published = manifest.split("\"published_at\"").nth(1).and_then(|rest| rest.split('"').nth(1));
        let image = Image { published: published.unwrap_or_default().to_owned(), manifest, file };
        self.state.images.lock().unwrap().insert(uuid.to_owned(), image);
    }

    /// What happens to the next requests whose path ends so.
    pub fn next(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        let mut all = self.state.faults.lock().unwrap();
        all.entry(path.to_owned()).or_default().0.extend(faults);
    }

    /// What happens to every request whose path ends so.
    pub fn always(&self, path: &str, fault: Fault) {
        self.state.faults.lock().unwrap().entry(path.to_owned()).or_default().1 = Some(fault);
    }

    /// The requests since the last time: path, query, range, and headers that matter.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.log.lock().unwrap())
    }
}

impl Default for FaultServer {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

struct Request {
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let target = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pair = |pair: &str| pair.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
    Ok(Request { path: path.to_owned(), query: query.split('&').filter_map(pair).collect(), headers })
}

fn serve(mut stream: TcpStream, state: &State) {
    // Nobody stays longer than a test takes.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let Ok(request) = read_request(&stream) else { return };
    let header = |name: &str| request.headers.get(name);
    let mut line = request.path.clone();
    for (name, value) in &request.query {
        line.push_str(&format!(" {name}={value}"));
    }
    for name in ["range", "if-range", "authorization"] {
        line.extend(header(name).map(|value| format!(" {name}: {value}")));
    }
    assert_eq!(header("accept-version").map(String::as_str), Some("~2"));
    assert!(header("user-agent").is_some_and(|agent| agent.starts_with("aurora/")));
    state.log.lock().unwrap().push(line);
    let fault = {
        let mut faults = state.faults.lock().unwrap();
        let found = faults.iter_mut().find(|(path, _)| request.path.ends_with(path.as_str()));
        found.and_then(|(_, (next, always))| next.pop_front().or_else(|| always.clone()))
    };
    // A client that has gone is none that could be told.
    let _ = answer(&mut stream, &request, state, fault.unwrap_or(Fault::None), &[]);
}

fn answer(
    stream: &mut TcpStream,
    request: &Request,
    state: &State,
    fault: Fault,
    more: &[(&str, &str)],
) -> io::Result<()> {
    let (status, mut body) = right_answer(request, state);
    let mut headers: Vec<(String, String)> =
        more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let mut put = |name: &str, value: String| headers.push((name.to_owned(), value));
    let asked: Option<usize> =
        request.headers.get("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let mut status = status;
    match (asked, &fault) {
        (None, _) | (_, Fault::NoRange | Fault::Body(_) | Fault::Headers(..)) => {}
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
        Fault::Headers(more, fault) => return answer(stream, request, state, *fault, more),
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

fn right_answer(request: &Request, state: &State) -> (u16, Vec<u8>) {
    let images = state.images.lock().unwrap();
    let missing = || (404, br#"{"code":"ResourceNotFound","message":"not found"}"#.to_vec());
    let parts: Vec<&str> =
        request.path.split('/').skip_while(|part| !matches!(*part, "images" | "ping" | "channels")).collect();
    match parts[..] {
        ["ping"] => (200, br#"{"ping":"pong","version":"4.0","imgapi":true}"#.to_vec()),
        ["channels"] => (
            200,
            br#"[{"name":"dev","description":"all"},{"name":"release","description":"good","default":true}]"#
                .to_vec(),
        ),
        ["images"] => {
            let mut sorted: Vec<&Image> = images.values().collect();
            sorted.sort_by_key(|image| &image.published);
            let marker = request.query.get("marker").and_then(|uuid| images.get(uuid));
            let limit = request.query.get("limit").and_then(|n| n.parse().ok()).unwrap_or(1000);
            let fits = |image: &&&Image| {
                // A part of the name is enough for `~PART`, the rest is for the client to see.
                let name = request.query.get("name").map(|name| name.trim_start_matches('~'));
                marker.is_none_or(|marker| image.published >= marker.published)
                    && name.is_none_or(|name| image.manifest.contains(name))
            };
            let rows: Vec<&str> =
                sorted.iter().filter(fits).take(limit).map(|i| i.manifest.as_str()).collect();
            (200, format!("[{}]", rows.join(",")).into_bytes())
        }
        ["images", uuid] => images.get(uuid).map_or_else(missing, |i| (200, i.manifest.clone().into_bytes())),
        ["images", uuid, "file"] => images.get(uuid).map_or_else(missing, |i| (200, i.file.clone())),
        _ => missing(),
    }
}
