//! `imageadm ls`.

use std::io;

use aurora_convert::ops::{self, LayerRow, ListRequest, Listing, civil, json_line, json_string, volume_line};
use aurora_convert::tree::{ListOptions, Row};

use crate::args::Ls;
use crate::exit::Exit;
use crate::output::{Output, safe};
use crate::session::{Session, Stop, selection};
use crate::units::show_size;

pub(crate) fn run(args: &Ls, session: &Session) -> Result<Exit, Stop> {
    let people = !args.json && !args.jsonl;
    let request = ListRequest {
        selection: selection(&args.selected),
        placement: args.placement.into(),
        layer: args.layer,
        // People are not shown digests: no need to make any.
        options: ListOptions { acl: args.acl, no_hash: args.no_hash || people },
    };
    let ctx = session.ctx();
    let listing = ops::list(&args.src, &request, &ctx)?;
    let mut out = session.done(&ctx.losses());
    if people {
        for line in human(&listing) {
            out.line(&line)?;
        }
    } else if args.jsonl {
        json_lines(&listing, |line| out.line(&line))?;
    } else {
        document(&listing, &args.src.to_string(), &mut out)?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// Each entry as one line of JSON.
fn json_lines(listing: &Listing, mut each: impl FnMut(String) -> io::Result<()>) -> io::Result<()> {
    match listing {
        Listing::Tree(rows) => rows.iter().try_for_each(|row| each(json_line(row))),
        Listing::Layer(rows) => rows.iter().try_for_each(|row| each(row.to_json())),
        Listing::Volume { size, sha256 } => each(volume_line(*size, sha256.as_deref())),
    }
}

fn document(listing: &Listing, name: &str, out: &mut Output) -> io::Result<()> {
    out.raw(format!("{{\"name\":{},\"entries\":[", json_string(name)).as_bytes())?;
    let mut separator = "";
    json_lines(listing, |line| {
        out.raw(separator.as_bytes())?;
        separator = ",";
        out.raw(line.as_bytes())
    })?;
    out.line("]}")
}

/// As `ls -l` has it, in columns.
fn human(listing: &Listing) -> Vec<String> {
    let rows: Vec<Line> = match listing {
        Listing::Volume { size, .. } => return vec![format!("disk of {size} bytes ({})", show_size(*size))],
        Listing::Tree(rows) => rows.iter().map(line).collect(),
        Listing::Layer(rows) => rows
            .iter()
            .map(|row| match row {
                LayerRow::Changed(row) => line(row),
                LayerRow::Removed(path) => {
                    let name = format!("{} (removed)", safe(path));
                    Line { columns: ["-".into(), "-".into(), "-".into(), "-".into()], name }
                }
            })
            .collect(),
    };
    let width = |i: usize| rows.iter().map(|row| row.columns[i].len()).max().unwrap_or(0);
    let [mode, owner, size, time] = [0, 1, 2, 3].map(width);
    let format = |row: &Line| {
        let [m, o, s, t] = &row.columns;
        format!("{m:mode$} {o:owner$} {s:>size$} {t:time$} {}", row.name)
    };
    rows.iter().map(format).collect()
}

struct Line {
    /// Mode, owner, size or device, time.
    columns: [String; 4],
    name: String,
}

fn line(row: &Row) -> Line {
    let size = match (&row.size, &row.rdev) {
        (Some(size), _) => size.to_string(),
        (None, Some(rdev)) => rdev.replace(':', ","),
        (None, None) => "-".to_owned(),
    };
    let mut name = safe(&row.path);
    if let Some(target) = &row.target {
        name.push_str(&format!(" -> {}", safe(target)));
    }
    if let Some(first) = row.hardlink.as_ref().filter(|first| **first != row.path) {
        name.push_str(&format!(" = {}", safe(first)));
    }
    let columns = [mode(row), format!("{}/{}", row.uid, row.gid), size, time(row.mtime_ns)];
    Line { columns, name }
}

fn mode(row: &Row) -> String {
    let bits = u32::from_str_radix(&row.mode, 8).unwrap_or(0);
    let kind = match row.kind {
        "dir" => 'd',
        "symlink" => 'l',
        "char" => 'c',
        "block" => 'b',
        "fifo" => 'p',
        "socket" => 's',
        _ => '-',
    };
    let mut out = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let three = bits >> shift & 7;
        out.push(if three & 4 != 0 { 'r' } else { '-' });
        out.push(if three & 2 != 0 { 'w' } else { '-' });
        out.push(match (bits & special != 0, three & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    // As GNU ls has it: there is more to the permissions than these bits.
    if row.xattrs.keys().any(|name| name.starts_with("system.posix_acl_")) {
        out.push('+');
    }
    out
}

/// UTC, to the second.
fn time(nanos: i128) -> String {
    let secs = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    let (year, month, day, hour, minute, second) = civil(secs);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, kind: &'static str, mode: &str) -> Row {
        Row {
            path: path.into(),
            kind,
            mode: mode.into(),
            uid: 0,
            gid: 0,
            mtime_ns: 0,
            size: None,
            sha256: None,
            target: None,
            xattrs: Default::default(),
            hardlink: None,
            rdev: None,
        }
    }

    #[test]
    fn columns_line_up() {
        let file = Row {
            size: Some(12345),
            uid: 1000,
            gid: 100,
            hardlink: Some("a".into()),
            mtime_ns: -1,
            ..row("b\u{1b}", "file", "04755")
        };
        let link = Row { target: Some("b c".into()), ..row("l", "symlink", "0777") };
        let device = Row { rdev: Some("8:1".into()), ..row("s", "block", "0660") };
        let tree = Listing::Tree(vec![row(".", "dir", "01776"), file, link, device]);
        assert_eq!(
            human(&tree),
            [
                "drwxrwxrwT 0/0          - 1970-01-01 00:00:00 .",
                "-rwsr-xr-x 1000/100 12345 1969-12-31 23:59:59 b\\u{1b} = a",
                "lrwxrwxrwx 0/0          - 1970-01-01 00:00:00 l -> b c",
                "brw-rw---- 0/0        8,1 1970-01-01 00:00:00 s",
            ]
        );
        let layer =
            Listing::Layer(vec![LayerRow::Removed("x".into()), LayerRow::Changed(row("y", "fifo", "00"))]);
        assert_eq!(
            human(&layer),
            ["-          -   - -                   x (removed)", "p--------- 0/0 - 1970-01-01 00:00:00 y"]
        );
    }

    #[test]
    fn the_first_of_a_group_shows_no_link() {
        let first = Row { hardlink: Some("a".into()), ..row("a", "file", "0644") };
        assert_eq!(line(&first).name, "a");
    }
}
