//! `zfs list` and `zfs get`.

use super::commands::{USAGE, options};
use super::dataset::{descendants, missing, mounted_at, value};
use crate::host::failure::{Failure, Result};
use crate::host::options::Options;
use crate::host::state::Host;

/// The datasets that a command is about.
fn chosen(host: &Host, options: &Options<'_>, names: &[String], kinds: &str) -> Result<Vec<String>> {
    let fits = |name: &String| {
        let kind = if name.contains('@') { "snapshot" } else { "filesystem" };
        kinds.split(',').any(|one| one == kind || one == "all")
    };
    let deep = options.has('r') || options.has('d');
    let mut found = Vec::new();
    for name in names {
        let name = mounted_at(host, name).unwrap_or_else(|| name.clone());
        if !host.datasets.contains_key(&name) {
            return Err(missing(&name));
        }
        if deep {
            found.extend(descendants(host, &name).into_iter().filter(fits));
        }
        found.extend(Some(name).filter(|name| !deep || fits(name)));
    }
    if names.is_empty() {
        found.extend(host.datasets.keys().filter(|name| fits(name)).cloned());
    }
    found.sort();
    Ok(found)
}

/// `zfs list [-r|-d N] [-Hp] [-o FIELDS] [-t TYPES] [NAME]…`
pub(super) fn list(host: &Host, args: &[String]) -> Result<String> {
    let options = options(args, "rd:Hpo:t:s:S:")?;
    let fields: Vec<_> = options.get('o').unwrap_or("name,used,avail,refer,mountpoint").split(',').collect();
    let names = chosen(host, &options, options.operands, options.get('t').unwrap_or("filesystem"))?;
    let rows = names.iter().map(|name| fields.iter().map(|field| value(host, name, field).0).collect());
    Ok(table(&options, &fields, rows.collect()))
}

/// `zfs get [-r|-d N] [-Hp] [-o FIELDS] PROPERTIES NAME…`
pub(super) fn get(host: &Host, args: &[String]) -> Result<String> {
    let options = options(args, "rd:Hpo:t:s:")?;
    let Some((wanted, names)) = options.operands.split_first() else { return Err(Failure::usage(USAGE)) };
    let fields: Vec<_> = options.get('o').unwrap_or("name,property,value,source").split(',').collect();
    let mut rows = Vec::new();
    for name in chosen(host, &options, names, options.get('t').unwrap_or("all"))? {
        for property in properties(host, &name, wanted) {
            let (text, source) = value(host, &name, property);
            let cell = |field: &&str| {
                Ok(match *field {
                    "name" => name.clone(),
                    "property" => property.to_owned(),
                    "value" => text.clone(),
                    "source" => source.clone(),
                    other => return Err(Failure::usage(format!("invalid column name '{other}'\n{USAGE}"))),
                })
            };
            rows.push(fields.iter().map(cell).collect::<Result<Vec<_>>>()?);
        }
    }
    Ok(table(&options, &fields, rows))
}

/// Those that are asked for. All are those that everything has, and what is set besides.
fn properties<'a>(host: &'a Host, name: &str, wanted: &'a str) -> Vec<&'a str> {
    if wanted != "all" {
        return wanted.split(',').collect();
    }
    let mut all = vec!["type", "origin", "mounted", "mountpoint", "canmount", "readonly"];
    let set = host.datasets.get(name).into_iter().flat_map(|dataset| dataset.properties.keys());
    let more: Vec<_> = set.map(String::as_str).filter(|property| !all.contains(property)).collect();
    all.extend(more);
    all
}

/// `-H`: "do not print headers and separate fields by a single tab instead of arbitrary white space".
fn table(options: &Options<'_>, fields: &[&str], rows: Vec<Vec<String>>) -> String {
    if options.has('H') {
        return rows.iter().map(|row| row.join("\t") + "\n").collect();
    }
    let head = fields.iter().map(|field| field.to_uppercase()).collect();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |at: usize| all.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..fields.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}
