//! Columns for people.

/// Rows below a head, all columns but the last as wide as they must be; those of `right` end at the same place.
pub(crate) fn columns<const N: usize>(head: [&str; N], right: &[usize], rows: &[[String; N]]) -> Vec<String> {
    let all = || std::iter::once(head.map(str::to_owned)).chain(rows.iter().cloned());
    let width = |i: usize| all().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: [String; N]| {
        let mut out = String::new();
        for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = match right.contains(&i) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            };
            out.push_str(&cell);
            out.push_str("  ");
        }
        out.trim_end().to_owned()
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows =
            [["a".to_owned(), "10".to_owned(), "x".to_owned()], ["bcd".into(), "9".into(), String::new()]];
        assert_eq!(columns(["N", "SIZE", "Y"], &[1], &rows), ["N    SIZE  Y", "a      10  x", "bcd     9"]);
    }
}
