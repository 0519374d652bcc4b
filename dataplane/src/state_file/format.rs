//! The file's bytes: a header of magic, format version, checksum and length of the content; then the content, which is
//! a full step as it would come over the wire, each chunk preceded by its length.

use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use balancer_proto::v1 as wire;
use prost::Message;

use crate::{
    convert::{Refusal, encode_backends, encode_limit, encode_settings},
    snapshot::Snapshot,
    sync::{Seal, Staging, Step},
};

const MAGIC: [u8; 8] = *b"BALSNAP\n";
const VERSION: u32 = 1;
const HEADER_BYTES: u64 = 24;
/// Limits per chunk: bounds the memory that saving and loading need besides the snapshot itself.
const CHUNK: usize = 4096;

/// Why a saved snapshot is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a snapshot of Balancer")]
    Foreign,
    #[error("it has format version {0}, this program reads {VERSION}")]
    Version(u32),
    #[error("it is cut off or overlong: {found} bytes of content instead of {expected}")]
    Torn { expected: u64, found: u64 },
    #[error("its checksum is wrong")]
    Checksum,
    #[error("its content is not what its checksum promises: {0}")]
    Content(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Writes the whole file. `out` must be at its beginning.
pub(super) fn write(out: &mut (impl Write + Seek), snapshot: &Snapshot) -> io::Result<()> {
    out.write_all(&[0; HEADER_BYTES as usize])?;
    let mut content = Content { out, checksum: crc32fast::Hasher::new(), length: 0, buffer: Vec::new() };
    let limits: &mut dyn Iterator<Item = _> = &mut snapshot.limits.iter();
    let mut chunk = first_chunk(snapshot);
    loop {
        chunk.upserted_limits.extend(limits.take(CHUNK).map(|(id, limit)| encode_limit(id, limit)));
        chunk.last_chunk = chunk.upserted_limits.len() < CHUNK;
        content.chunk(&chunk)?;
        if chunk.last_chunk {
            break;
        }
        chunk = wire::Update { pool: None, settings: None, ..chunk };
        chunk.upserted_limits.clear();
    }
    let (checksum, length) = (content.checksum.finalize(), content.length);
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&header(checksum, length))
}

fn first_chunk(snapshot: &Snapshot) -> wire::Update {
    wire::Update {
        store_id: snapshot.store_id.clone(),
        full: true,
        revision: snapshot.revision,
        pool: Some(encode_backends(snapshot)),
        settings: Some(encode_settings(snapshot)),
        // Only the last chunk's counts; the same everywhere does no harm.
        fingerprint: snapshot.limits.fingerprint().value(),
        config_tag: snapshot.config_tag,
        ..Default::default()
    }
}

fn header(checksum: u32, length: u64) -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&checksum.to_le_bytes());
    header[16..].copy_from_slice(&length.to_le_bytes());
    header
}

struct Content<'a, W> {
    out: &'a mut W,
    checksum: crc32fast::Hasher,
    length: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Content<'_, W> {
    fn chunk(&mut self, chunk: &wire::Update) -> io::Result<()> {
        self.buffer.clear();
        let bytes = u32::try_from(chunk.encoded_len()).map_err(io::Error::other)?;
        self.buffer.extend_from_slice(&bytes.to_le_bytes());
        chunk.encode(&mut self.buffer).map_err(io::Error::other)?;
        self.checksum.update(&self.buffer);
        self.length += self.buffer.len() as u64;
        self.out.write_all(&self.buffer)
    }
}

/// A file with this content.
#[cfg(feature = "fuzzing")]
pub(super) fn file(content: &[u8]) -> Vec<u8> {
    let checksum = crc32fast::hash(content);
    [&header(checksum, content.len() as u64), content].concat()
}

/// Reads the file, checking all of it before any of it counts.
pub(super) fn read(mut file: impl Read + Seek) -> Result<Step, Unreadable> {
    let bytes = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut header = Vec::new();
    (&mut file).take(HEADER_BYTES).read_to_end(&mut header)?;
    let (checksum, length) = parse(&header)?;
    if bytes != HEADER_BYTES + length {
        return Err(Unreadable::Torn { expected: length, found: bytes.saturating_sub(HEADER_BYTES) });
    }
    if checksum != checksum_of(&mut file)? {
        return Err(Unreadable::Checksum);
    }
    file.seek(SeekFrom::Start(HEADER_BYTES))?;
    step(BufReader::with_capacity(1 << 18, file), length)
}

fn parse(header: &[u8]) -> Result<(u32, u64), Unreadable> {
    let (Some((magic, rest)), true) = (header.split_first_chunk(), header.len() as u64 == HEADER_BYTES) else {
        return Err(Unreadable::Foreign);
    };
    if *magic != MAGIC {
        return Err(Unreadable::Foreign);
    }
    let number = |at: usize| rest[at..].first_chunk().copied().map(u32::from_le_bytes).unwrap_or_default();
    match number(0) {
        VERSION => Ok((number(4), u64::from(number(8)) | u64::from(number(12)) << 32)),
        other => Err(Unreadable::Version(other)),
    }
}

fn checksum_of(file: &mut impl Read) -> io::Result<u32> {
    let (mut hasher, mut buffer) = (crc32fast::Hasher::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn step(mut content: impl Read, mut left: u64) -> Result<Step, Unreadable> {
    let mut staging: Option<Staging> = None;
    loop {
        let chunk = next_chunk(&mut content, &mut left)?;
        let seal = Seal::of(&chunk);
        let mut staged = match staging.take() {
            Some(staged) => staged,
            None => Staging::begin(&chunk, None)?,
        };
        staged.add(chunk)?;
        if let Some(seal) = seal {
            return Ok(staged.finish(seal)?);
        }
        staging = Some(staged);
    }
}

fn next_chunk(content: &mut impl Read, left: &mut u64) -> Result<wire::Update, Unreadable> {
    let mut length = [0; 4];
    content.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    *left = left.saturating_sub(4);
    if length > *left {
        return Err(Unreadable::Content("a chunk is longer than the file".into()));
    }
    *left -= length;
    let mut bytes = Vec::new();
    content.take(length).read_to_end(&mut bytes)?;
    wire::Update::decode(bytes.as_slice()).map_err(|error| Unreadable::Content(error.to_string()))
}
