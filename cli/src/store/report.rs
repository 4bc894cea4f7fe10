//! From arguments to operations, and from their results to lines or documents.

use aurora_convert::ops::store::{self, Checkup, Renamed, StoredImage, Usage};
use aurora_convert::ops::{Finding, json_string};
use serde::Serialize;

use super::args::{Dedup, Du, Fsck, Gc, List, Rm, Tag, Untag};
use super::table::columns;
use crate::errors;
use crate::exit::Exit;
use crate::output::{Output, safe};
use crate::session::{Session, Stop};
use crate::units::show_size;

/// Digits of a digest that people are shown: the store takes them for the whole.
const SHORT: usize = "sha256:".len() + 12;

pub(crate) fn list(args: &List, session: &Session) -> Result<Exit, Stop> {
    let images = store::list(&session.ctx())?;
    let mut out = session.done(&[]);
    if args.json {
        out.line(&format!("{{\"images\":{}}}", json(&images)))?;
    } else if !images.is_empty() {
        let rows: Vec<[String; 6]> = images.iter().map(row).collect();
        print(&mut out, columns(["NAME", "TAG", "DIGEST", "PLATFORM", "SIZE", "CREATED"], &[4], &rows))?;
    }
    if !args.json && !session.common.quiet {
        for image in &images {
            if let Some(problem) = &image.problem {
                errors::note(&format!("note: {}: {problem}", shown(image)));
            }
        }
    }
    finish(out)
}

fn row(image: &StoredImage) -> [String; 6] {
    let or_dash = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |t| safe(&t));
    let platforms = Some(image.platforms.join(",")).filter(|p| !p.is_empty());
    // To the second: the rest tells people nothing.
    let created =
        image.created.as_ref().map(|t| t.chars().take("2006-01-02T15:04:05".len()).collect::<String>());
    [
        or_dash(image.name.clone()),
        or_dash(image.tag.clone()),
        short(&image.digest),
        or_dash(platforms),
        show_size(image.size),
        or_dash(created.map(|t| t.replace('T', " "))),
    ]
}

fn shown(image: &StoredImage) -> String {
    match (&image.name, &image.tag) {
        (Some(name), Some(tag)) => format!("{name}:{tag}"),
        (Some(name), None) => name.clone(),
        (None, _) => image.digest.clone(),
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(SHORT).collect()
}

pub(crate) fn tag(args: &Tag, session: &Session) -> Result<Exit, Stop> {
    let done = store::tag(&args.src, &args.dst, &session.ctx())?;
    renamed(&[done], args.json, session)
}

pub(crate) fn untag(args: &Untag, session: &Session) -> Result<Exit, Stop> {
    let done = store::untag(&args.names, &session.ctx())?;
    renamed(&done, args.json, session)
}

pub(crate) fn rm(args: &Rm, session: &Session) -> Result<Exit, Stop> {
    let done = store::remove(&args.names, &session.ctx())?;
    renamed(&done, args.json, session)
}

fn renamed(done: &[Renamed], as_json: bool, session: &Session) -> Result<Exit, Stop> {
    let mut out = session.done(&[]);
    if as_json {
        out.line(&format!("{{\"names\":{}}}", json(&done)))?;
    } else if !session.common.quiet {
        for Renamed { name, digest, was } in done {
            let was = was.as_ref().map(|was| format!(" (was {})", short(was))).unwrap_or_default();
            out.line(&safe(&format!("{name} {}{was}", short(digest))))?;
        }
    }
    finish(out)
}

pub(crate) fn gc(args: &Gc, session: &Session) -> Result<Exit, Stop> {
    let done = store::gc(args.dry_run, &session.ctx())?;
    let mut out = session.done(&[]);
    if args.json {
        out.line(&json(&done))?;
    } else {
        if args.dry_run || session.common.verbose {
            print(&mut out, done.blobs.iter().cloned())?;
        }
        if !session.common.quiet {
            let word = if args.dry_run { "would be removed" } else { "removed" };
            let (count, size) = (done.blobs.len(), show_size(done.bytes));
            out.line(&format!("{word}: {count} blobs, {size}; {} stay", done.kept))?;
        }
    }
    finish(out)
}

pub(crate) fn dedup(args: &Dedup, session: &Session) -> Result<Exit, Stop> {
    let work = if args.undo { store::undo_dedup } else { store::dedup };
    let done = work(&args.names, &session.ctx())?;
    let mut out = session.done(&[]);
    if args.json {
        out.line(&json(&done))?;
        return finish(out);
    }
    if session.common.verbose {
        for (word, list) in [("thin", &done.thin), ("made again", &done.fat)] {
            print(&mut out, list.iter().map(|digest| format!("{word} {digest}")))?;
        }
        for blob in &done.kept {
            out.line(&format!("kept {}: {}", blob.digest, blob.reason))?;
        }
    }
    if !session.common.quiet {
        let (before, after) = (show_size(done.before), show_size(done.after));
        let counts = match args.undo {
            true => format!("{} blobs made again", done.fat.len()),
            false => format!("{} blobs became thin, {} are kept", done.thin.len(), done.kept.len()),
        };
        out.line(&format!("{counts}: {before} before, {after} now"))?;
    }
    finish(out)
}

pub(crate) fn fsck(args: &Fsck, session: &Session) -> Result<Exit, Stop> {
    let found = store::fsck(args.repair, &session.ctx())?;
    let mut out = session.done(&[]);
    if args.json {
        out.line(&checkup(&found))?;
    } else {
        for Finding { place, message } in &found.findings {
            let line = if place.is_empty() { message.clone() } else { format!("{place}: {message}") };
            out.line(&safe(&line))?;
        }
        for line in &found.repaired {
            out.line(&safe(&format!("repaired: {line}")))?;
        }
        if !session.common.quiet {
            let faults = match found.findings.len() {
                0 => "no faults".to_owned(),
                1 => "1 fault".to_owned(),
                n => format!("{n} faults"),
            };
            let size = show_size(found.bytes);
            out.line(&format!("{faults}: {} images, {} blobs, {size}", found.images, found.blobs))?;
        }
    }
    out.finish()?;
    Ok(if found.findings.is_empty() { Exit::Done } else { Exit::Failed })
}

fn checkup(found: &Checkup) -> String {
    let finding = |f: &Finding| {
        format!("{{\"place\":{},\"message\":{}}}", json_string(&f.place), json_string(&f.message))
    };
    format!(
        "{{\"ok\":{},\"images\":{},\"blobs\":{},\"bytes\":{},\"findings\":[{}],\"repaired\":{}}}",
        found.findings.is_empty(),
        found.images,
        found.blobs,
        found.bytes,
        found.findings.iter().map(finding).collect::<Vec<_>>().join(","),
        json(&found.repaired)
    )
}

pub(crate) fn du(args: &Du, session: &Session) -> Result<Exit, Stop> {
    let usage = store::du(&session.ctx())?;
    let mut out = session.done(&[]);
    if args.json {
        out.line(&json(&usage))?;
    } else {
        print(&mut out, room(&usage))?;
    }
    finish(out)
}

fn room(usage: &Usage) -> Vec<String> {
    let row = |image: &store::ImageUsage| {
        let names: Vec<String> = image.names.iter().map(|name| safe(name)).collect();
        let unpacked = image.unpacked.map_or_else(|| "-".to_owned(), show_size);
        [names.join(", "), show_size(image.size), show_size(image.shared), show_size(image.unique), unpacked]
    };
    let rows: Vec<[String; 5]> = usage.images.iter().map(row).collect();
    let mut lines = if rows.is_empty() {
        Vec::new()
    } else {
        columns(["IMAGE", "SIZE", "SHARED", "UNIQUE", "UNPACKED"], &[1, 2, 3, 4], &rows)
    };
    let (distinct, sum) = (show_size(usage.distinct), show_size(usage.sum));
    lines.push(format!("{distinct} in all, {sum} if nothing were shared"));
    if usage.thin > 0 {
        let (stored, thin) = (show_size(usage.stored), show_size(usage.thin));
        lines.push(format!("{stored} on disk, as {thin} of it are thin"));
    }
    if usage.lent > 0 {
        let lent = show_size(usage.lent);
        lines.push(format!("{lent} that no image needs but to make thin blobs of; dedup gives them up"));
    }
    if usage.garbage > 0 {
        lines.push(format!("{} that no image needs; gc frees it", show_size(usage.garbage)));
    }
    lines
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("results are plain data")
}

fn print(out: &mut Output, lines: impl IntoIterator<Item = String>) -> std::io::Result<()> {
    lines.into_iter().try_for_each(|line| out.line(&line))
}

fn finish(out: Output) -> Result<Exit, Stop> {
    out.finish()?;
    Ok(Exit::Done)
}
