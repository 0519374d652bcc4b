//! `limits import`.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use balancer_proto::v1::{ImportLimitsRequest, ImportLimitsResponse};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tonic::Streaming;

use crate::{
    cli::GlobalArgs,
    client::Client,
    limit_file::{Entry, Fault, FileFormat},
    output::{Format, print_one},
    signals::interrupted,
};

/// Bad lines that are shown one by one.
const SHOWN_FAULTS: usize = 20;

/// What to import, and how.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// File to read, .csv (with the header client_id,capacity,rate_per_sec) or .json; `-` is stdin.
    file: PathBuf,
    /// Form of the file, if its name does not say.
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Import the good lines even if others are bad.
    #[arg(long)]
    skip_invalid: bool,
    /// Begin at this line, as an interrupted import says.
    #[arg(long, default_value_t = 1, value_name = "LINE")]
    from_line: u64,
    /// Limits per transaction, 1 to 5000.
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=5000))]
    batch_size: u16,
}

/// Checks the whole file, then sends it.
pub(crate) async fn run(args: &ImportArgs, global: &GlobalArgs, format: Format) -> Result<()> {
    let (entries, skipped) = read(args)?;
    let entries = entries.into_iter().filter(|entry| entry.line >= args.from_line).collect();
    let mut import = Import::new(entries, args.batch_size.into());
    let client = Client::connect(global).await?;
    import.send(&client).await?;
    let object = json!({"stored": import.stored, "skipped": skipped, "revision": import.revision});
    print_one(format, &object, || match skipped {
        0 => format!("{} limits stored", import.stored),
        _ => format!("{} limits stored, {skipped} bad lines skipped", import.stored),
    })
}

/// The file's good lines, and how many bad ones are left out.
fn read(args: &ImportArgs) -> Result<(Vec<Entry>, usize)> {
    let format = FileFormat::choose(args.format, &args.file)?;
    let file = format.read(&contents(&args.file)?).with_context(|| format!("{}", args.file.display()))?;
    for Fault { line, what } in file.faults.iter().take(SHOWN_FAULTS) {
        eprintln!("line {line}: {what}");
    }
    match file.faults.len() {
        0..=SHOWN_FAULTS => {}
        bad => eprintln!("... and {} more", bad - SHOWN_FAULTS),
    }
    match file.faults.len() {
        bad if bad > 0 && !args.skip_invalid => bail!(
            "{} of {} limits are bad, nothing was imported: correct the file, or leave them out with --skip-invalid",
            bad,
            bad + file.entries.len()
        ),
        skipped => Ok((file.entries, skipped)),
    }
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut data = Vec::new();
        io::stdin().lock().read_to_end(&mut data).context("cannot read stdin")?;
        return Ok(data);
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// An import under way.
struct Import {
    /// What is sent, in this order. Shared with the stream that sends it.
    entries: Arc<[Entry]>,
    batch_size: usize,
    /// Entries that are acknowledged: a prefix of `entries`.
    acknowledged: usize,
    stored: u64,
    revision: u64,
}

impl Import {
    fn new(entries: Vec<Entry>, batch_size: usize) -> Self {
        Self { entries: entries.into(), batch_size, acknowledged: 0, stored: 0, revision: 0 }
    }

    async fn send(&mut self, client: &Client) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let bar = progress_bar(self.entries.len() as u64);
        let result = tokio::select! {
            sent = self.send_all(client, &bar) => sent,
            asked = interrupted() => asked.map_err(Into::into).and_then(|()| Err(anyhow!("interrupted"))),
        };
        bar.finish_and_clear();
        result.map_err(|error| anyhow!("{error}: {}", self.how_to_resume()))
    }

    async fn send_all(&mut self, client: &Client, bar: &ProgressBar) -> Result<()> {
        // Made one by one as the control plane takes them: HTTP/2 flow control keeps it from being flooded.
        let (entries, size) = (self.entries.clone(), self.batch_size);
        let starts = (0..entries.len()).step_by(size);
        let batches = starts.map(move |start| request(&entries[start..entries.len().min(start + size)]));
        let mut service = client.limits();
        let call = service.import_limits(tokio_stream::iter(batches));
        let mut answers = client.within(Duration::ZERO, call).await?.into_inner();
        while self.acknowledged < self.entries.len() {
            let answer = next(client, &mut answers).await?;
            self.acknowledged = (self.acknowledged + self.batch_size).min(self.entries.len());
            self.stored += answer.stored;
            self.revision = answer.revision;
            bar.set_position(self.acknowledged as u64);
        }
        Ok(())
    }

    /// How much is stored and how to go on.
    fn how_to_resume(&self) -> String {
        let all = self.entries.len();
        match self.entries.get(self.acknowledged) {
            Some(next) if self.acknowledged > 0 => format!(
                "{} of {all} limits stored (through line {}); run again with --from-line {}",
                self.acknowledged,
                self.entries[self.acknowledged - 1].line,
                next.line
            ),
            _ => format!("none of {all} limits stored; run again"),
        }
    }
}

async fn next(client: &Client, answers: &mut Streaming<ImportLimitsResponse>) -> Result<ImportLimitsResponse> {
    let answer = client.within(Duration::ZERO, answers.message()).await?;
    answer.context("the control plane ended the import early")
}

fn request(entries: &[Entry]) -> ImportLimitsRequest {
    ImportLimitsRequest { limits: entries.iter().map(|entry| (&entry.limit).into()).collect() }
}

/// On stderr; not shown where that is no terminal.
fn progress_bar(len: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} limits, {per_sec}, {eta} left");
    match style {
        Ok(style) => ProgressBar::new(len).with_style(style),
        Err(_) => ProgressBar::new(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::limit::LimitRow;

    fn entry(line: u64) -> Entry {
        Entry { line, limit: LimitRow { client_id: format!("c{line}"), capacity: 1.0, rate_per_sec: 0.0 } }
    }

    #[test]
    fn says_how_to_resume() {
        let mut import = Import::new(vec![entry(2), entry(3), entry(7)], 2);
        assert_eq!(import.how_to_resume(), "none of 3 limits stored; run again");
        import.acknowledged = 2;
        assert_eq!(import.how_to_resume(), "2 of 3 limits stored (through line 3); run again with --from-line 7");
    }
}
