//! `imageadm diff`.

use aurora_convert::ops::{self, Cell, Comparison, DiffOptions, Difference, json_string};
use aurora_convert::tree::ListOptions;

use crate::args::Diff;
use crate::exit::Exit;
use crate::output::safe;
use crate::session::{Session, Stop, selection};
use crate::units::counted;

pub(crate) fn run(args: &Diff, session: &Session) -> Result<Exit, Stop> {
    let options = DiffOptions {
        selection: selection(&args.selected),
        placement: args.placement.into(),
        list: ListOptions { acl: args.acl, no_hash: args.no_hash },
        ignore: args.ignore.clone(),
    };
    let ctx = session.ctx();
    let found = ops::diff(&args.a, &args.b, &options, &ctx)?;
    let mut out = session.done(&ctx.losses());
    if args.json {
        out.line(&document(&found))?;
    } else {
        for difference in &found.differences {
            out.line(&if args.jsonl { json(difference) } else { safe(&text(difference)) })?;
        }
        if !args.jsonl {
            out.line(&summary(&found))?;
        }
    }
    out.finish()?;
    Ok(if found.differences.is_empty() { Exit::Done } else { Exit::Failed })
}

fn value(cell: &Option<Cell>) -> String {
    cell.as_ref().map_or_else(|| "null".to_owned(), Cell::to_json)
}

fn text(difference: &Difference) -> String {
    match difference {
        Difference::OnlyA { path, kind } => format!("only in A: {path} ({kind})"),
        Difference::OnlyB { path, kind } => format!("only in B: {path} ({kind})"),
        Difference::Field { path, field, a, b } => {
            format!("{path}: {field}: {} -> {}", value(a), value(b))
        }
    }
}

fn json(difference: &Difference) -> String {
    match difference {
        Difference::OnlyA { path, kind } => {
            format!("{{\"path\":{},\"only\":\"a\",\"type\":{}}}", json_string(path), json_string(kind))
        }
        Difference::OnlyB { path, kind } => {
            format!("{{\"path\":{},\"only\":\"b\",\"type\":{}}}", json_string(path), json_string(kind))
        }
        Difference::Field { path, field, a, b } => format!(
            "{{\"path\":{},\"field\":\"{field}\",\"a\":{},\"b\":{}}}",
            json_string(path),
            value(a),
            value(b)
        ),
    }
}

fn summary(found: &Comparison) -> String {
    let counts: Vec<String> = found.counts().iter().map(|(what, n)| format!("{what} {n}")).collect();
    let which = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    format!(
        "{} in A, {} in B, {}{which}",
        counted(found.entries_a, "entry", "entries"),
        found.entries_b,
        counted(found.differences.len(), "difference", "differences")
    )
}

fn document(found: &Comparison) -> String {
    let differences: Vec<String> = found.differences.iter().map(json).collect();
    format!(
        "{{\"entries_a\":{},\"entries_b\":{},\"equal\":{},\"differences\":[{}]}}",
        found.entries_a,
        found.entries_b,
        found.differences.is_empty(),
        differences.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_read_as_those_of_the_oracle() {
        let found = Comparison {
            entries_a: 3,
            entries_b: 2,
            differences: vec![
                Difference::OnlyA { path: "a".into(), kind: "file".into() },
                Difference::Field {
                    path: "b".into(),
                    field: "mode",
                    a: Some(Cell::Text("0644".into())),
                    b: None,
                },
                Difference::Field {
                    path: "b".into(),
                    field: "size",
                    a: Some(Cell::Number(1)),
                    b: Some(Cell::Number(2)),
                },
            ],
        };
        let lines: Vec<String> = found.differences.iter().map(text).collect();
        assert_eq!(lines, ["only in A: a (file)", "b: mode: \"0644\" -> null", "b: size: 1 -> 2"]);
        assert_eq!(summary(&found), "3 entries in A, 2 in B, 3 differences: mode 1, only in A 1, size 1");
        assert_eq!(
            document(&found),
            r#"{"entries_a":3,"entries_b":2,"equal":false,"differences":[{"path":"a","only":"a","type":"file"},{"path":"b","field":"mode","a":"0644","b":null},{"path":"b","field":"size","a":1,"b":2}]}"#
        );
        assert_eq!(summary(&Comparison::default()), "0 entries in A, 0 in B, 0 differences");
    }
}
