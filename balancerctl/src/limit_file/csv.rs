//! Limits as CSV (RFC 4180).

use std::io::Write;

use anyhow::{Context, Result, bail};
use csv::{ByteRecord, ReaderBuilder, WriterBuilder};

use super::{LimitFile, lines::Lines, rules};
use crate::view::limit::LimitRow;

/// The header, and the fields in the order they are written.
const FIELDS: [&str; 3] = ["client_id", "capacity", "rate_per_sec"];

/// Reads a file; the columns may stand in any order.
pub(crate) fn read(data: &[u8]) -> Result<LimitFile> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(data);
    let columns = columns(reader.byte_headers().context("the header cannot be read")?)?;
    let (mut file, mut record, mut lines) = (LimitFile::default(), ByteRecord::new(), Lines::new(data));
    while reader.read_byte_record(&mut record)? {
        // The crate's own line number is that of the line break before the record.
        let offset = record.position().map_or(0, csv::Position::byte);
        let line = lines.of_text_after(usize::try_from(offset)?);
        file.push(line, parse(&record, columns));
    }
    Ok(file)
}

/// Where each of [`FIELDS`] stands.
fn columns(header: &ByteRecord) -> Result<[usize; 3]> {
    let mut columns = [usize::MAX; 3];
    for (i, title) in header.iter().enumerate() {
        match FIELDS.iter().position(|field| field.as_bytes() == title.trim_ascii()) {
            Some(field) if columns[field] == usize::MAX => columns[field] = i,
            _ => bail!(header_fault(header)),
        }
    }
    if columns.contains(&usize::MAX) { bail!(header_fault(header)) } else { Ok(columns) }
}

fn header_fault(header: &ByteRecord) -> String {
    let found: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
    format!("line 1: expected the header {}, got {:?}", FIELDS.join(","), found.join(","))
}

fn parse(record: &ByteRecord, columns: [usize; 3]) -> Result<LimitRow, String> {
    if record.len() != FIELDS.len() {
        return Err(format!("expected {} fields, got {}", FIELDS.len(), record.len()));
    }
    let [client_id, capacity, rate_per_sec] = columns.map(|i| std::str::from_utf8(&record[i]));
    let fault = |_| "expected UTF-8 text".to_owned();
    let (capacity, rate_per_sec) = (capacity.map_err(fault)?, rate_per_sec.map_err(fault)?);
    rules::limit(client_id.map_err(fault)?, capacity.trim(), rate_per_sec.trim())
}

/// Writes a file, limit by limit.
pub(crate) struct Writer<W: Write>(csv::Writer<W>);

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub(crate) fn new(out: W) -> Result<Self> {
        let mut writer = WriterBuilder::new().from_writer(out);
        writer.write_record(FIELDS)?;
        Ok(Self(writer))
    }

    pub(crate) fn write(&mut self, limit: &LimitRow) -> Result<()> {
        let fields = [&limit.client_id, &limit.capacity.to_string(), &limit.rate_per_sec.to_string()];
        Ok(self.0.write_record(fields)?)
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limit_file::Fault;

    fn lines(text: &str) -> Vec<u64> {
        read(text.as_bytes()).unwrap().entries.iter().map(|e| e.line).collect()
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts() {
        assert_eq!(lines("client_id,capacity,rate_per_sec\na,1,1\nb,1,1"), [2, 3]);
        assert_eq!(lines("client_id,capacity,rate_per_sec\r\na,1,1\r\nb,1,1\r\n"), [2, 3]);
        assert_eq!(lines("client_id,capacity,rate_per_sec\n\n\na,1,1\n\nb,1,1\n"), [4, 6]);
    }

    #[test]
    fn columns_may_be_mixed_and_a_bom_is_skipped() {
        let file = read("\u{feff}capacity, rate_per_sec,client_id\n3,0.5,\"a,b\"\n".as_bytes()).unwrap();
        assert_eq!(file.entries[0].limit, LimitRow { client_id: "a,b".into(), capacity: 3.0, rate_per_sec: 0.5 });
    }

    #[test]
    fn a_wrong_header_is_fatal() {
        for header in
            ["", "a,1,1", "client_id,capacity", "client_id,capacity,capacity", "client_id,capacity,rate_per_sec,x"]
        {
            let error = read(header.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("line 1: expected the header client_id,capacity,rate_per_sec, got"), "{error}");
        }
    }

    #[test]
    fn bad_lines_are_collected() {
        let file = read(b"client_id,capacity,rate_per_sec\na,1\nb,1,1\n\xff,1,1\nc,x,1\n").unwrap();
        assert_eq!(file.entries.len(), 1);
        assert_eq!(file.faults[0], Fault { line: 2, what: "expected 3 fields, got 2".into() });
        assert_eq!(file.faults[1], Fault { line: 4, what: "expected UTF-8 text".into() });
        assert_eq!(file.faults[2].line, 5);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(limits in prop::collection::vec(super::super::json::tests::any_limit(), 0..20)) {
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out).unwrap();
            limits.iter().try_for_each(|limit| writer.write(limit)).unwrap();
            writer.finish().unwrap();
            let file = read(&out).unwrap();
            prop_assert_eq!(&file.faults, &[]);
            prop_assert_eq!(file.entries.into_iter().map(|e| e.limit).collect::<Vec<_>>(), limits);
        }
    }
}
