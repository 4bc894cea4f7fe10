//! `imageadm convert`.

use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, ConvertOptions, Converted, LossInfo, json_string};
use aurora_convert::{Ctx, Error};

use crate::args::{Convert, Strict};
use crate::exit::Exit;
use crate::output::{is_terminal, json_facts, table};
use crate::session::{Session, Stop, selection};

pub(crate) fn run(args: &Convert, session: &Session) -> Result<Exit, Stop> {
    check_output(&args.dst, args.json)?;
    let options = ConvertOptions {
        selection: selection(&args.selected),
        layers: args.layers.map_or_else(|| ops::default_layers(&args.dst), Into::into),
        compression: args.compress,
        placement: args.placement.into(),
        target: args.target.map(Into::into),
        strict: args.losses.are_errors(),
        smartos: args.smartos.clone().into(),
    };
    let ctx = session.ctx();
    let converted = ops::convert(&args.src, &args.dst, &options, &ctx);
    let report = Report { src: &args.src, dst: &args.dst, strict: args.losses.strict, json: args.json };
    report.tell(converted, &ctx, session)
}

/// What is said of a conversion that has come to its end.
pub(crate) struct Report<'a> {
    pub(crate) src: &'a ImageName,
    pub(crate) dst: &'a ImageName,
    pub(crate) strict: Option<Strict>,
    pub(crate) json: bool,
}

impl Report<'_> {
    pub(crate) fn tell(
        &self,
        converted: Result<Converted, Error>,
        ctx: &Ctx<'_>,
        session: &Session,
    ) -> Result<Exit, Stop> {
        let converted = match converted {
            Ok(converted) => converted,
            Err(e) => {
                // What was lost up to there may explain the failure, under --strict it is the failure.
                let _ = session.done(&ctx.losses());
                return Err(e.into());
            }
        };
        let mut out = session.done(&converted.losses);
        if self.json {
            out.line(&self.document(&converted, session.watch.counts()))?;
        } else if !self.dst.is_pipe() && !session.common.quiet {
            for line in table(&converted.outcome.facts) {
                out.line(&line)?;
            }
        }
        out.finish()?;
        let lossy = self.strict == Some(Strict::Report) && converted.is_lossy();
        converted.read.leave();
        Ok(if lossy { Exit::Lossy } else { Exit::Done })
    }

    fn document(&self, converted: &Converted, counts: [u64; 4]) -> String {
        let losses: Vec<LossInfo> = converted.losses.iter().map(LossInfo::from).collect();
        let [read, decoded, written, entries] = counts;
        format!(
            "{{\"source\":{},\"destination\":{},\"facts\":{},\"losses\":{},\"bytes_read\":{read},\
             \"bytes_decoded\":{decoded},\"bytes_written\":{written},\"entries\":{entries}}}",
            json_string(&self.src.to_string()),
            json_string(&self.dst.to_string()),
            json_facts(&converted.outcome.facts),
            serde_json::to_string(&losses).expect("losses are plain data"),
        )
    }
}

/// Standard output takes an image or a document, and a terminal takes no image.
pub(crate) fn check_output(dst: &ImageName, json: bool) -> Result<(), Error> {
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
