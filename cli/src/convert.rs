//! `imageadm convert`.

use aurora_convert::Error;
use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, ConvertOptions, Converted, LossInfo, json_string};

use crate::args::{Convert, Strict};
use crate::exit::Exit;
use crate::output::{is_terminal, json_facts, table};
use crate::session::{Session, Stop, selection};

pub(crate) fn run(args: &Convert, session: &Session) -> Result<Exit, Stop> {
    check_output(&args.dst, args.json)?;
    let options = ConvertOptions {
        selection: selection(&args.selected),
        layers: args.layers.into(),
        compression: args.compress,
        placement: args.placement.into(),
        target: args.target.map(Into::into),
        strict: args.strict == Some(Strict::Fail),
        smartos: args.smartos.clone().into(),
    };
    let ctx = session.ctx();
    let converted = match ops::convert(&args.src, &args.dst, &options, &ctx) {
        Ok(converted) => converted,
        Err(e) => {
            // What was lost up to there may explain the failure, under --strict it is the failure.
            let _ = session.done(&ctx.losses());
            return Err(e.into());
        }
    };
    let mut out = session.done(&converted.losses);
    if args.json {
        out.line(&document(args, &converted, session.watch.counts()))?;
    } else if !args.dst.is_pipe() && !session.common.quiet {
        for line in table(&converted.outcome.facts) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    let lossy = args.strict == Some(Strict::Report) && converted.is_lossy();
    Ok(if lossy { Exit::Lossy } else { Exit::Done })
}

/// Standard output takes an image or a document, and a terminal takes no image.
fn check_output(dst: &ImageName, json: bool) -> Result<(), Error> {
    if !dst.is_pipe() {
        return Ok(());
    }
    if json {
        return Err(Error::usage("the image and the document of --json can't both go to standard output"));
    }
    if is_terminal() {
        return Err(Error::usage("an image would go to the terminal; pipe it to a program or to a file"));
    }
    Ok(())
}

fn document(args: &Convert, converted: &Converted, counts: [u64; 4]) -> String {
    let losses: Vec<LossInfo> = converted.losses.iter().map(LossInfo::from).collect();
    let [read, decoded, written, entries] = counts;
    format!(
        "{{\"source\":{},\"destination\":{},\"facts\":{},\"losses\":{},\"bytes_read\":{read},\
         \"bytes_decoded\":{decoded},\"bytes_written\":{written},\"entries\":{entries}}}",
        json_string(&args.src.to_string()),
        json_string(&args.dst.to_string()),
        json_facts(&converted.outcome.facts),
        serde_json::to_string(&losses).expect("losses are plain data"),
    )
}
