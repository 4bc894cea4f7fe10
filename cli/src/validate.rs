//! `imageadm validate`.

use aurora_convert::ops::{self, Fault, json_string};

use crate::args::Validate;
use crate::exit::Exit;
use crate::output::safe;
use crate::session::{Session, Stop};

pub(crate) fn run(args: &Validate, session: &Session) -> Result<Exit, Stop> {
    let faults = ops::validate_manifest(&args.manifest(), args.profile)?;
    let mut out = session.done(&[]);
    if args.json {
        let faults: Vec<String> = faults.iter().map(document).collect();
        out.line(&format!("[{}]", faults.join(",")))?;
    } else {
        for fault in &faults {
            out.line(&safe(&fault.to_string()))?;
        }
        if faults.is_empty() && !session.common.quiet {
            out.line(&format!("valid for the {} profile", args.profile))?;
        }
    }
    out.finish()?;
    Ok(if faults.is_empty() { Exit::Done } else { Exit::Failed })
}

fn document(fault: &Fault) -> String {
    let message = fault.message.as_ref().map(|m| format!(",\"message\":{}", json_string(m)));
    format!(
        "{{\"field\":{},\"code\":{}{}}}",
        json_string(&fault.field),
        json_string(fault.code.name()),
        message.unwrap_or_default()
    )
}
