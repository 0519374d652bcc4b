//! Files of limits: CSV with the header `client_id,capacity,rate_per_sec`, a JSON array of objects, or one JSON object
//! a line.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::view::limit::LimitRow;

pub(crate) mod csv;
pub(crate) mod json;
mod lines;
mod rules;

/// Form of a file of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Comma-separated, with the header `client_id,capacity,rate_per_sec`.
    Csv,
    /// An array of objects; on import also one object a line.
    Json,
}

/// A good line of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Line on which it begins, from 1.
    pub(crate) line: u64,
    pub(crate) limit: LimitRow,
}

/// A bad line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Line on which it begins, from 1.
    pub(crate) line: u64,
    /// What is wrong with it, in one sentence.
    pub(crate) what: String,
}

/// A file, read whole.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LimitFile {
    /// In the file's order; every client once.
    pub(crate) entries: Vec<Entry>,
    /// In the file's order.
    pub(crate) faults: Vec<Fault>,
}

impl FileFormat {
    /// The form that was asked for, else what the file's name ends with.
    pub(crate) fn choose(asked: Option<Self>, path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        match (asked, extension.as_deref()) {
            (Some(format), _) => Ok(format),
            (None, Some("csv")) => Ok(Self::Csv),
            (None, Some("json" | "ndjson" | "jsonl")) => Ok(Self::Json),
            _ => bail!("{} does not end with .csv or .json: say which it is with --format", path.display()),
        }
    }

    /// Reads a whole file. Bad lines are collected, not fatal.
    ///
    /// # Errors
    /// When the file cannot be taken apart into lines or objects at all.
    pub(crate) fn read(self, data: &[u8]) -> Result<LimitFile> {
        let mut file = match self {
            Self::Csv => csv::read(data)?,
            Self::Json => json::read(std::str::from_utf8(data).context("the file is not UTF-8 text")?)?,
        };
        file.refuse_duplicates();
        Ok(file)
    }
}

impl LimitFile {
    fn push(&mut self, line: u64, parsed: Result<LimitRow, String>) {
        match parsed {
            Ok(limit) => self.entries.push(Entry { line, limit }),
            Err(what) => self.faults.push(Fault { line, what }),
        }
    }

    /// Of several lines about one client the first stays; the others become faults.
    fn refuse_duplicates(&mut self) {
        let mut seen: HashMap<String, u64> = HashMap::with_capacity(self.entries.len());
        let faults = &mut self.faults;
        self.entries.retain(|Entry { line, limit }| match seen.get(&limit.client_id) {
            None => {
                seen.insert(limit.client_id.clone(), *line);
                true
            }
            Some(first) => {
                let what = format!("client_id: {:?} stands in line {first} already", limit.client_id);
                faults.push(Fault { line: *line, what });
                false
            }
        });
        faults.sort_by_key(|fault| fault.line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_is_asked_for_or_seen_from_the_name() {
        let choose = |asked, path| FileFormat::choose(asked, Path::new(path));
        assert_eq!(choose(None, "a.csv").unwrap(), FileFormat::Csv);
        assert_eq!(choose(None, "a.JSON").unwrap(), FileFormat::Json);
        assert_eq!(choose(Some(FileFormat::Json), "a.csv").unwrap(), FileFormat::Json);
        assert!(choose(None, "-").unwrap_err().to_string().contains("--format"));
    }

    #[test]
    fn a_client_that_stands_twice_is_named_with_both_lines() {
        let file = FileFormat::Csv.read(b"client_id,capacity,rate_per_sec\na,1,1\nb,1,1\na,2,2\n,0,0\n").unwrap();
        assert_eq!(file.entries.iter().map(|e| e.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(file.faults[0], Fault { line: 4, what: "client_id: \"a\" stands in line 2 already".into() });
        assert_eq!(file.faults[1].line, 5);
    }
}
