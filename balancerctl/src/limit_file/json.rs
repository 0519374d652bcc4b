//! Limits as JSON: an array of objects, or one object a line.

use std::io::Write;

use anyhow::{Context, Result};
use serde_json::{Map, Value, value::RawValue};

use super::{LimitFile, lines::Lines, rules};
use crate::view::limit::LimitRow;

/// Reads a file: an array if it begins with `[`, else one object a line.
pub(crate) fn read(text: &str) -> Result<LimitFile> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('[') { read_array(text) } else { Ok(read_lines(text)) }
}

fn read_array(text: &str) -> Result<LimitFile> {
    let items: Vec<&RawValue> = serde_json::from_str(text).context("the file is not a JSON array")?;
    let (mut file, mut lines) = (LimitFile::default(), Lines::new(text.as_bytes()));
    for item in items {
        // An item is a part of the text, so the distance is its offset.
        let offset = item.get().as_ptr() as usize - text.as_ptr() as usize;
        file.push(lines.of(offset), parse(item.get()));
    }
    Ok(file)
}

fn read_lines(text: &str) -> LimitFile {
    let mut file = LimitFile::default();
    for (line, number) in text.lines().zip(1..) {
        if !line.trim().is_empty() {
            file.push(number, parse(line));
        }
    }
    file
}

fn parse(text: &str) -> Result<LimitRow, String> {
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|e| format!("expected a JSON object: {e}"))?;
    if let Some(key) = object.keys().find(|key| !["client_id", "capacity", "rate_per_sec"].contains(&key.as_str())) {
        return Err(format!("{key:?}: expected only client_id, capacity and rate_per_sec"));
    }
    let client_id = match object.get("client_id") {
        Some(Value::String(client_id)) => client_id,
        other => return Err(wrong("client_id", "a string", other)),
    };
    rules::limit(client_id, &number(&object, "capacity")?, &number(&object, "rate_per_sec")?)
}

fn number(object: &Map<String, Value>, field: &str) -> Result<String, String> {
    match object.get(field) {
        Some(Value::Number(number)) => Ok(number.to_string()),
        other => Err(wrong(field, "a number", other)),
    }
}

fn wrong(field: &str, expected: &str, found: Option<&Value>) -> String {
    let found = match found {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a string",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    };
    format!("{field}: expected {expected}, got {found}")
}

/// Writes an array with one object a line.
pub(crate) struct Writer<W> {
    out: W,
    written: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    pub(crate) fn write(&mut self, limit: &LimitRow) -> Result<()> {
        self.out.write_all(if self.written == 0 { b"[\n" } else { b",\n" })?;
        self.written += 1;
        Ok(serde_json::to_writer(&mut self.out, limit)?)
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.out.write_all(if self.written == 0 { b"[]\n" } else { b"\n]\n" })?;
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limit_file::Fault;

    /// Any valid limit.
    pub(in crate::limit_file) fn any_limit() -> impl Strategy<Value = LimitRow> {
        let client_id = "[^\\p{Cc}\\p{Cf}]{1,60}".prop_filter("at most 256 bytes", |id| id.len() <= 256);
        let numbers = (1.0..1e300_f64, prop_oneof![Just(0.0), 0.0..1e9_f64, (0..100_u32).prop_map(f64::from)]);
        (client_id, numbers).prop_map(|(client_id, (capacity, rate_per_sec))| LimitRow {
            client_id,
            capacity,
            rate_per_sec,
        })
    }

    #[test]
    fn arrays_and_lines_hold_the_same() {
        let array = "[\n {\"client_id\":\"a\",\"capacity\":10,\"rate_per_sec\":1},\n\n {\"client_id\":\"b\",\n\"capacity\":2.5,\"rate_per_sec\":0}]";
        let lines = "{\"client_id\":\"a\",\"capacity\":10,\"rate_per_sec\":1}\n\n\n{\"client_id\":\"b\",\"capacity\":2.5,\"rate_per_sec\":0}\n";
        let (array, lines) = (read(array).unwrap(), read(lines).unwrap());
        assert_eq!(array.entries.iter().map(|e| e.line).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(lines.entries.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 4]);
        let limits = |file: LimitFile| file.entries.into_iter().map(|e| e.limit).collect::<Vec<_>>();
        assert_eq!(limits(array), limits(lines));
    }

    #[test]
    fn bad_items_are_collected() {
        let file =
            read("{\"client_id\":1,\"capacity\":1,\"rate_per_sec\":1}\n{\"client_id\":\"a\",\"capacity\":\"1\"}\nx\n")
                .unwrap();
        assert_eq!(file.faults[0], Fault { line: 1, what: "client_id: expected a string, got a number".into() });
        assert_eq!(file.faults[1], Fault { line: 2, what: "capacity: expected a number, got a string".into() });
        assert!(file.faults[2].what.starts_with("expected a JSON object"));
        let file = read("[{\"client_id\":\"a\",\"capacity\":1,\"rate\":1}]").unwrap();
        assert!(file.faults[0].what.starts_with("\"rate\": expected only"));
    }

    #[test]
    fn a_torn_array_is_fatal() {
        let error = format!("{:#}", read("[{\"client_id\":\"a\"").unwrap_err());
        assert!(error.starts_with("the file is not a JSON array: ") && error.contains("line 1"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(limits in prop::collection::vec(any_limit(), 0..20)) {
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out);
            limits.iter().try_for_each(|limit| writer.write(limit)).unwrap();
            writer.finish().unwrap();
            let file = read(std::str::from_utf8(&out).unwrap()).unwrap();
            prop_assert_eq!(&file.faults, &[]);
            prop_assert_eq!(file.entries.into_iter().map(|e| e.limit).collect::<Vec<_>>(), limits);
        }
    }
}
