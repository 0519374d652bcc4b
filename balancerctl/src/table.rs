//! Aligned columns for people.

use std::io::{self, Write};

use crate::fault::one_line;

/// Something that is one line of a table.
pub(crate) trait Row {
    /// Column titles.
    const TITLES: &'static [&'static str];

    /// One cell per title.
    fn cells(&self) -> Vec<String>;
}

/// Column widths in characters: as wide as the widest cell so far.
#[derive(Debug, Default)]
pub(crate) struct Widths(Vec<usize>);

impl Widths {
    fn fit<'a>(&mut self, cells: impl Iterator<Item = &'a str>) {
        for (i, cell) in cells.enumerate() {
            let width = cell.chars().count();
            match self.0.get_mut(i) {
                Some(widest) => *widest = width.max(*widest),
                None => self.0.push(width),
            }
        }
    }

    fn write<'a>(&self, out: &mut impl Write, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let mut line = String::new();
        for (cell, width) in cells.zip(&self.0) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// Writes `rows`, with titles if `titled`. Widths carry over from page to page, so that a long list stays aligned.
pub(crate) fn write_rows<R: Row>(
    out: &mut impl Write,
    widths: &mut Widths,
    rows: &[R],
    titled: bool,
) -> io::Result<()> {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.cells().iter().map(|cell| one_line(cell)).collect()).collect();
    if titled {
        widths.fit(R::TITLES.iter().copied());
    }
    for row in &cells {
        widths.fit(row.iter().map(String::as_str));
    }
    if titled {
        widths.write(out, R::TITLES.iter().copied())?;
    }
    cells.iter().try_for_each(|row| widths.write(out, row.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(&'static str, &'static str);

    impl Row for Pair {
        const TITLES: &'static [&'static str] = &["KEY", "VALUE"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.into(), self.1.into()]
        }
    }

    #[test]
    fn columns_are_aligned_over_pages() {
        let (mut out, mut widths) = (Vec::new(), Widths::default());
        write_rows(&mut out, &mut widths, &[Pair("élan", "1"), Pair("b\u{1b}", "")], true).unwrap();
        write_rows(&mut out, &mut widths, &[Pair("c", "3")], false).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "KEY   VALUE\nélan  1\nb\nc     3\n");
    }
}
