//! The commands about registries: `get`, `push`, `copy`, `tags`, `login`, `logout`.

mod args;
mod login;
mod place;

use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, Copied, CopyOptions, json_string};
use aurora_convert::registry::RegistryName;
use aurora_convert::{Ctx, Error};

use args::Copying;
pub(crate) use args::{Copy, Get, Login, Logout, Push, Registries, Tags};
pub(crate) use login::{login, logout};
pub(crate) use place::options;

use crate::convert::check_output;
use crate::exit::Exit;
use crate::output::{json_facts, safe, table};
use crate::session::{Session, Stop};
use crate::units::show_size;

pub(crate) fn get(args: &Get, session: &Session) -> Result<Exit, Stop> {
    let to = match &args.to {
        None => None,
        Some(ImageName::Stored(name)) => Some(name),
        Some(other) => {
            let text =
                format!("get brings an image into the local store; `imageadm copy` brings it to {other}");
            return Err(Error::usage(text).into());
        }
    };
    run(&args.copying, true, session, |options, ctx| ops::get(&args.name, to, options, ctx))
}

pub(crate) fn push(args: &Push, session: &Session) -> Result<Exit, Stop> {
    let dst = match &args.dst {
        Some(dst) => dst.clone(),
        None => own_name(&args.src)?,
    };
    run(&args.copying, true, session, |options, ctx| ops::push(&args.src, &dst, options, ctx))
}

/// An image of the store may be named by where it came from.
fn own_name(src: &ImageName) -> Result<RegistryName, Error> {
    // Without a host it would be Docker's own registry, which nobody may mean.
    let has_host = |text: &str, name: &RegistryName| text.starts_with(&format!("{}/", name.host));
    let named = match src {
        ImageName::Stored(name) => name.full().and_then(|text| {
            let name: RegistryName = text.parse().ok()?;
            has_host(&text, &name).then_some(name)
        }),
        _ => None,
    };
    named.ok_or_else(|| Error::usage(format!("where to? {src} has no name that a registry could have")))
}

pub(crate) fn copy(args: &Copy, session: &Session) -> Result<Exit, Stop> {
    check_output(&args.dst, args.copying.json)?;
    // A pipe holds the image, and nothing else.
    let shows = !args.dst.is_pipe();
    run(&args.copying, shows, session, |options, ctx| ops::copy(&args.src, &args.dst, options, ctx))
}

fn run(
    args: &Copying,
    shows: bool,
    session: &Session,
    work: impl FnOnce(&CopyOptions, &Ctx<'_>) -> Result<Copied, Error>,
) -> Result<Exit, Stop> {
    let options = CopyOptions { all: args.all, platform: args.platform.clone() };
    let mut ctx = session.ctx();
    ctx.options.registries.jobs = args.jobs;
    let copied = work(&options, &ctx)?;
    let mut out = session.done(&ctx.losses());
    if args.json {
        out.line(&document(&copied))?;
    } else if shows && !session.common.quiet {
        for line in table(&facts(&copied)) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn facts(copied: &Copied) -> Vec<(String, String)> {
    let moved = &copied.moved;
    let mut facts = copied.facts.clone();
    facts.push(("digest".to_owned(), copied.digest.clone()));
    facts.push(("type".to_owned(), copied.media_type.clone()));
    facts.push(("blobs copied".to_owned(), format!("{} ({})", moved.copied, show_size(moved.bytes))));
    if moved.mounted > 0 {
        facts.push(("blobs mounted".to_owned(), moved.mounted.to_string()));
    }
    facts.push(("there already".to_owned(), moved.there.to_string()));
    facts
}

fn document(copied: &Copied) -> String {
    let moved = &copied.moved;
    format!(
        "{{\"digest\":{},\"media_type\":{},\"facts\":{},\"copied\":{},\"bytes\":{},\"mounted\":{},\"there\":{},\
         \"documents\":{}}}",
        json_string(&copied.digest),
        json_string(&copied.media_type),
        json_facts(&copied.facts),
        moved.copied,
        moved.bytes,
        moved.mounted,
        moved.there,
        moved.documents
    )
}

pub(crate) fn tags(args: &Tags, session: &Session) -> Result<Exit, Stop> {
    let tags = ops::tags(&args.name, &session.ctx())?;
    let mut out = session.done(&[]);
    if args.json {
        let list: Vec<String> = tags.iter().map(|tag| json_string(tag)).collect();
        let name = json_string(&args.name.path());
        out.line(&format!("{{\"repository\":{name},\"tags\":[{}]}}", list.join(",")))?;
    } else {
        tags.iter().try_for_each(|tag| out.line(&safe(tag)))?;
    }
    out.finish()?;
    Ok(Exit::Done)
}
