//! `imageadm verify`.

use aurora_convert::ops::{self, Finding, Verified, json_string};

use crate::args::Verify;
use crate::errors;
use crate::exit::Exit;
use crate::output::safe;
use crate::session::{Session, Stop, selection};
use crate::units::{counted, show_size};

pub(crate) fn run(args: &Verify, session: &Session) -> Result<Exit, Stop> {
    let ctx = session.ctx();
    let found = ops::verify(&args.src, &selection(&args.selected), &ctx)?;
    let mut out = session.done(&[]);
    if !session.common.quiet && !args.json {
        found.notes.iter().for_each(|note| errors::note(&format!("note: {note}")));
    }
    if args.json {
        out.line(&document(&args.src.to_string(), &found))?;
    } else {
        for finding in &found.findings {
            out.line(&safe(&text(finding)))?;
        }
        if !session.common.quiet {
            out.line(&summary(&found))?;
        }
    }
    out.finish()?;
    Ok(if found.findings.is_empty() { Exit::Done } else { Exit::Failed })
}

fn text(finding: &Finding) -> String {
    if finding.place.is_empty() {
        finding.message.clone()
    } else {
        format!("{}: {}", finding.place, finding.message)
    }
}

fn summary(found: &Verified) -> String {
    let files = match found.files {
        0 => String::new(),
        n => counted(n, "file", "files") + ", ",
    };
    let looked = format!("{}, {files}{}", counted(found.layers, "layer", "layers"), show_size(found.bytes));
    match found.findings.len() {
        0 => format!("no faults: {looked}"),
        n => format!("{}: {looked}", counted(n, "fault", "faults")),
    }
}

fn document(name: &str, found: &Verified) -> String {
    let finding = |f: &Finding| {
        format!("{{\"place\":{},\"message\":{}}}", json_string(&f.place), json_string(&f.message))
    };
    let findings: Vec<String> = found.findings.iter().map(finding).collect();
    format!(
        "{{\"name\":{},\"ok\":{},\"layers\":{},\"files\":{},\"bytes\":{},\"findings\":[{}],\"notes\":[{}]}}",
        json_string(name),
        found.findings.is_empty(),
        found.layers,
        found.files,
        found.bytes,
        findings.join(","),
        found.notes.iter().map(|note| json_string(note)).collect::<Vec<_>>().join(",")
    )
}
