//! `limits export`.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use tempfile::NamedTempFile;

use super::pages::Pages;
use crate::{
    client::Client,
    limit_file::{FileFormat, csv, json},
    view::limit::LimitRow,
};

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// File to write, .csv or .json; `-` is stdout. An existing file is replaced once all is written.
    file: PathBuf,
    /// Form of the file, if its name does not say.
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Only clients that start with this.
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
}

/// Writes all limits.
pub(crate) async fn run(args: &ExportArgs, client: &Client) -> Result<()> {
    let format = FileFormat::choose(args.format, &args.file)?;
    let pages = Pages::new(client, args.prefix.clone());
    if args.file.as_os_str() == "-" {
        write_all(pages, format, &mut BufWriter::new(io::stdout())).await?;
        return Ok(());
    }
    let written = write_file(pages, format, &args.file).await?;
    eprintln!("exported {written} limits to {}", args.file.display());
    Ok(())
}

/// Writes a new file beside `path` and renames it, so that nobody sees half of it.
async fn write_file(pages: Pages<'_>, format: FileFormat, path: &Path) -> Result<u64> {
    let cannot = || format!("cannot write {}", path.display());
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        // A pipe or a device is written to, not replaced.
        let mut out = BufWriter::new(fs::File::create(path).with_context(cannot)?);
        return write_all(pages, format, &mut out).await.with_context(cannot);
    }
    // Behind a symbolic link, its target is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(folder).with_context(cannot)?;
    let written = write_all(pages, format, &mut BufWriter::new(&file)).await?;
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(&target).with_context(cannot)?;
    Ok(written)
}

async fn write_all(mut pages: Pages<'_>, format: FileFormat, out: &mut impl Write) -> Result<u64> {
    let (mut writer, mut written) = (FileWriter::new(format, out)?, 0);
    while let Some(page) = pages.next(u64::MAX).await? {
        page.iter().try_for_each(|limit| writer.write(limit))?;
        written += page.len() as u64;
    }
    writer.finish()?;
    Ok(written)
}

/// A file of limits in either form.
enum FileWriter<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Json(json::Writer<W>),
}

impl<W: Write> FileWriter<W> {
    fn new(format: FileFormat, out: W) -> Result<Self> {
        Ok(match format {
            FileFormat::Csv => Self::Csv(Box::new(csv::Writer::new(out)?)),
            FileFormat::Json => Self::Json(json::Writer::new(out)),
        })
    }

    fn write(&mut self, limit: &LimitRow) -> Result<()> {
        match self {
            Self::Csv(writer) => writer.write(limit),
            Self::Json(writer) => writer.write(limit),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Csv(writer) => writer.finish(),
            Self::Json(writer) => writer.finish(),
        }
    }
}
