//! `imageadm sources`, and which servers a command asks.

use std::path::PathBuf;

use aurora_convert::Error;
use aurora_convert::imgapi::{Source, Sources, Url};
use aurora_convert::ops::{self, json_string};

use super::args::{Servers, SourcesArgs};
use crate::errors;
use crate::exit::Exit;
use crate::output::safe;
use crate::session::{Session, Stop};

/// The file in which sources are kept.
fn file(given: Option<&PathBuf>) -> Result<PathBuf, Error> {
    let folder = |name, below: &str| {
        let value = std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        value.map(|path| path.join(below))
    };
    let found = given.cloned().or_else(|| {
        let config = folder("XDG_CONFIG_HOME", "").or_else(|| folder("HOME", ".config"));
        config.map(|config| config.join("aurora/sources.json"))
    });
    found
        .ok_or_else(|| Error::usage("there is no HOME to keep sources in; name the file with --sources FILE"))
}

/// The servers that are asked, in their order.
pub(super) fn urls(servers: &Servers) -> Result<Vec<Url>, Error> {
    let urls: Vec<Url> = match (&servers.given[..], &servers.file) {
        // Without a home there is no file, and the default will do.
        ([], None) => {
            file(None).map_or_else(|_| Ok(Sources::default()), |path| Sources::load(&path)).map(asked)?
        }
        ([], Some(path)) => asked(Sources::load(path)?),
        (given, _) => given.to_vec(),
    };
    if urls.is_empty() {
        return Err(Error::usage("there is no image server to ask; `imageadm sources -a URL` adds one"));
    }
    let in_channel = |url: &Url| match &servers.channel {
        Some(channel) => url.without("channel").join(&[], &[("channel", channel)]),
        None => url.clone(),
    };
    Ok(urls.iter().map(in_channel).collect())
}

fn asked(sources: Sources) -> Vec<Url> {
    let (servers, others): (Vec<&Source>, Vec<&Source>) = sources.list().iter().partition(|s| s.is_imgapi());
    for other in others {
        errors::note(&format!("note: {} is left out: a source of type {}", other.url, other.kind));
    }
    servers.into_iter().map(|source| source.url.clone()).collect()
}

/// `imageadm sources`.
pub(crate) fn sources(args: &SourcesArgs, session: &Session) -> Result<Exit, Stop> {
    let path = file(args.file.as_ref())?;
    let mut sources = Sources::load(&path)?;
    if args.add.is_empty() && args.delete.is_empty() {
        return list(args, &sources, session);
    }
    let mut said = Vec::new();
    let mut is_changed = false;
    for url in &args.delete {
        let was_there = sources.remove(url);
        is_changed |= was_there;
        said.push(if was_there { format!("removed {url}") } else { format!("no such source: {url}") });
    }
    for url in &args.add {
        if !args.no_check {
            ops::ping(url, &session.ctx())?;
        }
        let is_new = sources.add(Source::imgapi(url.clone()));
        is_changed |= is_new;
        said.push(if is_new { format!("added {url}") } else { format!("already a source: {url}") });
    }
    if is_changed {
        sources.save(&path)?;
    }
    let mut out = session.done(&[]);
    if args.json {
        out.line(&document(&sources))?;
    } else if !session.common.quiet {
        said.iter().try_for_each(|line| out.line(&safe(line)))?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn list(args: &SourcesArgs, sources: &Sources, session: &Session) -> Result<Exit, Stop> {
    let mut exit = Exit::Done;
    if args.check {
        for source in sources.list().iter().filter(|source| source.is_imgapi()) {
            if let Err(e) = ops::ping(&source.url, &session.ctx()) {
                errors::message("error", &e.to_string(), e.hint());
                exit = Exit::from(&e);
            }
        }
    }
    let mut out = session.done(&[]);
    if args.json {
        out.line(&document(sources))?;
    } else {
        sources.list().iter().try_for_each(|source| out.line(&safe(&source.url.to_string())))?;
    }
    out.finish()?;
    Ok(exit)
}

/// As imgadm has it. Users and passwords are left out: they are in the file for who may read it.
fn document(sources: &Sources) -> String {
    let element = |source: &Source| {
        format!("{{\"url\":{},\"type\":{}}}", json_string(&source.url.to_string()), json_string(&source.kind))
    };
    format!("[{}]", sources.list().iter().map(element).collect::<Vec<_>>().join(","))
}
