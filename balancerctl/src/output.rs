//! Answers on stdout: a table for people, JSON or YAML for programs.

use std::io::{self, Write};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::table::{Row, Widths, write_rows};

/// Form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for people.
    Table,
    /// JSON, for programs.
    Json,
    /// YAML.
    Yaml,
}

/// Prints one object; `sentence` is its form for people.
pub(crate) fn print_one(format: Format, object: &impl Serialize, sentence: impl FnOnce() -> String) -> Result<()> {
    let text = match format {
        Format::Table => sentence(),
        Format::Json => serde_json::to_string_pretty(object)?,
        Format::Yaml => serde_saphyr::to_string(object)?,
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}

/// Prints a list page by page, in memory that does not grow with it.
pub(crate) struct ListPrinter<W> {
    format: Format,
    out: W,
    widths: Widths,
    printed: u64,
}

impl<W: Write> ListPrinter<W> {
    pub(crate) fn new(format: Format, out: W) -> Self {
        Self { format, out, widths: Widths::default(), printed: 0 }
    }

    /// Prints some more rows.
    pub(crate) fn print<R: Row + Serialize>(&mut self, rows: &[R]) -> Result<()> {
        match self.format {
            Format::Table => write_rows(&mut self.out, &mut self.widths, rows, self.printed == 0)?,
            Format::Json => rows.iter().zip(self.printed..).try_for_each(|(row, i)| self.print_json(row, i))?,
            Format::Yaml if rows.is_empty() => {}
            Format::Yaml => write!(self.out, "{}", serde_saphyr::to_string(&rows)?)?,
        }
        self.printed += rows.len() as u64;
        Ok(())
    }

    fn print_json(&mut self, row: &impl Serialize, index: u64) -> Result<()> {
        self.out.write_all(if index == 0 { b"[\n  " } else { b",\n  " })?;
        Ok(serde_json::to_writer(&mut self.out, row)?)
    }

    /// Ends the list.
    pub(crate) fn finish(mut self) -> Result<()> {
        match (self.format, self.printed) {
            (Format::Table, _) => {}
            (Format::Json | Format::Yaml, 0) => writeln!(self.out, "[]")?,
            (Format::Json, _) => writeln!(self.out, "\n]")?,
            (Format::Yaml, _) => {}
        }
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::limit::LimitRow;

    fn printed(format: Format, pages: &[&[LimitRow]]) -> String {
        let mut out = Vec::new();
        let mut printer = ListPrinter::new(format, &mut out);
        for page in pages {
            printer.print(page).unwrap();
        }
        printer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn row(client_id: &str, capacity: f64, rate_per_sec: f64) -> LimitRow {
        LimitRow { client_id: client_id.into(), capacity, rate_per_sec }
    }

    #[test]
    fn lists_in_every_form() {
        let pages: [&[LimitRow]; 2] = [&[row("alice", 10.0, 0.5)], &[row("b", 1.0, 0.0)]];
        assert_eq!(
            printed(Format::Table, &pages),
            "CLIENT  CAPACITY  RATE/S\nalice   10        0.5\nb       1         0\n"
        );
        let json: serde_json::Value = serde_json::from_str(&printed(Format::Json, &pages)).unwrap();
        let expected = r#"[{"client_id":"alice","capacity":10,"rate_per_sec":0.5},{"client_id":"b","capacity":1,"rate_per_sec":0}]"#;
        assert_eq!(json, serde_json::from_str::<serde_json::Value>(expected).unwrap());
        let yaml = "- client_id: alice\n  capacity: 10\n  rate_per_sec: 0.5\n- client_id: b\n  capacity: 1\n  rate_per_sec: 0\n";
        assert_eq!(printed(Format::Yaml, &pages), yaml);
    }

    #[test]
    fn empty_lists_are_lists() {
        assert_eq!(printed(Format::Json, &[]), "[]\n");
        assert_eq!(printed(Format::Yaml, &[&[]]), "[]\n");
        assert_eq!(printed(Format::Table, &[&[]]), "CLIENT  CAPACITY  RATE/S\n");
    }

    #[test]
    fn yaml_quotes_what_is_not_a_string_by_itself() {
        let yaml = printed(Format::Yaml, &[&[row("1.5", 1.0, 0.0), row("yes", 1.0, 0.0), row("a: b #c", 1.0, 0.0)]]);
        let back: Vec<std::collections::HashMap<String, serde_json::Value>> = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(back[0]["client_id"], "1.5", "{yaml}");
        assert_eq!(back[1]["client_id"], "yes", "{yaml}");
        assert_eq!(back[2]["client_id"], "a: b #c", "{yaml}");
    }
}
