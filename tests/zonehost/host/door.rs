//! How a zone's keeper is spoken to: a socket, as zoneadmd has a door. A line is a request.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::failure::{Failure, Result};
use super::processes::until;
use super::state::Place;

/// Where it is.
pub(crate) fn path(place: &Place, zone: &str) -> Result<PathBuf> {
    Ok(place.of_zone(zone)?.join("door"))
}

/// Connects to a zone's keeper, if there is one.
pub(crate) fn connect(place: &Place, zone: &str) -> Option<UnixStream> {
    UnixStream::connect(path(place, zone).ok()?).ok()
}

/// Connects to a zone's keeper, which is started if there is none.
pub(crate) fn open(place: &Place, zone: &str) -> Result<UnixStream> {
    if let Some(stream) = connect(place, zone) {
        return Ok(stream);
    }
    let own = std::env::current_exe().map_err(|e| Failure::linux("own path", &e))?;
    Command::new(own)
        .args(["keep", zone])
        .env_clear()
        .env("ZONEHOST_STATE", place.path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| Failure::linux("zonehost keep", &e))?;
    let mut stream = None;
    until(|| {
        stream = connect(place, zone);
        stream.is_some()
    });
    stream.ok_or_else(|| Failure::error("could not start zoneadmd"))
}

/// Asks, and waits for the answer. It is the answer's text, or a failure with it.
pub(crate) fn ask(mut stream: UnixStream, request: &str) -> Result<String> {
    let mut answer = String::new();
    writeln!(stream, "{request}")
        .and_then(|()| BufReader::new(stream).read_line(&mut answer))
        .map_err(|e| Failure::error(format!("unable to communicate with zoneadmd: {e}")))?;
    match answer.trim_end_matches('\n').split_once(' ') {
        Some(("ok", text)) => Ok(text.to_owned()),
        Some(("error", text)) => Err(Failure::error(text)),
        _ => Err(Failure::error("unable to communicate with zoneadmd")),
    }
}

/// The line of a request, and no more of what comes.
pub(crate) fn request(stream: &mut UnixStream) -> io::Result<String> {
    use std::io::Read;
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
        if line.len() > 4096 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Removes it.
pub(crate) fn remove(place: &Place, zone: &str) {
    if let Ok(path) = path(place, zone) {
        let _ = fs::remove_file(path);
    }
}
