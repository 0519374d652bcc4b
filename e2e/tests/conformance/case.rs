//! One line of a table: bytes in, and what may come of them.

use anyhow::Result;
use e2e::raw::{Head, Raw};

use crate::{bench::Bench, recorder::Record};

/// What a client sends on a connection of its own, and what must follow.
pub(crate) struct Case {
    name: String,
    bytes: Vec<u8>,
    answers: Vec<Allowed>,
    after: After,
    wire: Wire,
    checks: Vec<Check>,
}

/// One answer: the statuses it may have, and whether it is to HEAD.
struct Allowed {
    statuses: Vec<u16>,
    is_to_head: bool,
}

/// The client's connection after the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It takes another request.
    Open,
    /// It is closed, without another byte.
    Closed,
}

/// What is on the backend's wire. Always: whole, valid requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// Not one byte.
    Nothing,
    /// No whole request.
    NothingWhole,
    /// This many requests.
    Requests(usize),
}

/// A statement about the first request at the backend, or the first answer at the client.
enum Check {
    Line(String),
    Sees(String, Vec<String>),
    Body(Vec<u8>),
    Trailers(Vec<(String, String)>),
    Answer(String, Vec<String>),
    AnswerBody(Vec<u8>),
}

/// A request that is refused: one answer with one of `statuses`, then the connection is closed; the backend sees
/// nothing.
pub(crate) fn refused(name: impl Into<String>, bytes: impl AsRef<[u8]>, statuses: &[u16]) -> Case {
    Case {
        name: name.into(),
        bytes: bytes.as_ref().to_vec(),
        answers: vec![Allowed { statuses: statuses.to_vec(), is_to_head: false }],
        after: After::Closed,
        wire: Wire::Nothing,
        checks: Vec::new(),
    }
}

/// A request that is forwarded and answered 200; the connection stays.
pub(crate) fn passed(name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Case {
    Case { after: After::Open, wire: Wire::Requests(1), ..refused(name, bytes, &[200]) }
}

impl Case {
    /// The answers, in order, each with its status.
    pub(crate) fn answers(mut self, statuses: &[u16]) -> Self {
        self.answers = statuses.iter().map(|s| Allowed { statuses: vec![*s], is_to_head: false }).collect();
        self
    }

    /// The answer with this index is to HEAD.
    pub(crate) fn answers_head(mut self, index: usize) -> Self {
        self.answers[index].is_to_head = true;
        self
    }

    /// The connection is closed after the last answer.
    pub(crate) fn closed(mut self) -> Self {
        self.after = After::Closed;
        self
    }

    /// This many whole requests reach the backend.
    pub(crate) fn reaching(mut self, requests: usize) -> Self {
        self.wire = Wire::Requests(requests);
        self
    }

    /// Part of a request may reach the backend, no whole one.
    pub(crate) fn cut(mut self) -> Self {
        self.wire = Wire::NothingWhole;
        self
    }

    /// The request line at the backend.
    pub(crate) fn line(self, line: impl Into<String>) -> Self {
        self.check(Check::Line(line.into()))
    }

    /// The values of a field at the backend; none: it is not there.
    pub(crate) fn sees(self, name: &str, values: &[&str]) -> Self {
        self.check(Check::Sees(name.into(), owned(values)))
    }

    /// The body at the backend.
    pub(crate) fn body(self, body: impl AsRef<[u8]>) -> Self {
        self.check(Check::Body(body.as_ref().to_vec()))
    }

    /// The trailers at the backend.
    pub(crate) fn trailers(self, trailers: &[(&str, &str)]) -> Self {
        let trailers = trailers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        self.check(Check::Trailers(trailers))
    }

    /// The values of a field of the first answer; none: it is not there.
    pub(crate) fn says(self, name: &str, values: &[&str]) -> Self {
        self.check(Check::Answer(name.into(), owned(values)))
    }

    /// The body of the first answer.
    pub(crate) fn says_body(self, body: impl AsRef<[u8]>) -> Self {
        self.check(Check::AnswerBody(body.as_ref().to_vec()))
    }

    fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Sends it and compares; the complaint if anything is not as it must be.
    pub(crate) async fn complaint(&self, bench: &Bench) -> Option<String> {
        let result = match self.play(bench).await {
            Ok(first) => self.judge(bench, first).await,
            Err(error) => Err(error),
        };
        let error = result.err()?;
        // What this case left behind must not be held against the next.
        let _ = bench.recorder.take().await;
        let bytes = String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(300)]).into_owned();
        Some(format!("{}: {error:#}\n      sent {bytes:?}", self.name))
    }

    /// The first answer.
    async fn play(&self, bench: &Bench) -> Result<Option<(Head, Vec<u8>)>> {
        let mut raw = bench.connect().await?;
        raw.send(&self.bytes).await?;
        let mut first = None;
        for (index, allowed) in self.answers.iter().enumerate() {
            let head = final_head(&mut raw).await?;
            let status = head.status();
            let framed = !(allowed.is_to_head || matches!(status, 204 | 304));
            let body = if framed { raw.body(&head).await? } else { Vec::new() };
            let said = String::from_utf8_lossy(&body).into_owned();
            anyhow::ensure!(allowed.statuses.contains(&status), "answer {index} is {status}: {said:?}");
            first = first.or(Some((head, body)));
        }
        match self.after {
            After::Closed => bench.closed(&mut raw).await?,
            After::Open => bench.open(&mut raw).await?,
        }
        Ok(first)
    }

    async fn judge(&self, bench: &Bench, first: Option<(Head, Vec<u8>)>) -> Result<()> {
        let record = bench.recorder.take().await?;
        let probes = usize::from(self.after == After::Open);
        let (whole, cut) = (record.seen.len(), record.cut.len());
        anyhow::ensure!(record.violations.is_empty(), "on the backend's wire: {:?}", record.violations);
        let as_allowed = match self.wire {
            Wire::Nothing => whole == probes && cut == 0,
            Wire::NothingWhole => whole == probes,
            Wire::Requests(count) => whole == probes + count && cut == 0,
        };
        anyhow::ensure!(as_allowed, "the backend saw {record:?} instead of {:?}", self.wire);
        self.checks.iter().try_for_each(|check| check.hold(&record, first.as_ref()))
    }
}

impl Check {
    fn hold(&self, record: &Record, first: Option<&(Head, Vec<u8>)>) -> Result<()> {
        let seen = || record.seen.first().ok_or_else(|| anyhow::anyhow!("no request"));
        let answer = || first.ok_or_else(|| anyhow::anyhow!("no answer"));
        let holds = match self {
            Self::Line(line) => seen()?.line == *line,
            Self::Sees(name, values) => seen()?.all(name) == *values,
            Self::Body(body) => seen()?.body == *body,
            Self::Trailers(trailers) => seen()?.trailers == *trailers,
            Self::Answer(name, values) => answer()?.0.all(name) == *values,
            Self::AnswerBody(body) => answer()?.1 == *body,
        };
        anyhow::ensure!(holds, "{} is not so: {record:?} {first:?}", self.text());
        Ok(())
    }

    fn text(&self) -> String {
        match self {
            Self::Line(line) => format!("line {line:?}"),
            Self::Sees(name, values) => format!("backend sees {name}: {values:?}"),
            Self::Body(body) => format!("body {:?}", String::from_utf8_lossy(body)),
            Self::Trailers(trailers) => format!("trailers {trailers:?}"),
            Self::Answer(name, values) => format!("answer says {name}: {values:?}"),
            Self::AnswerBody(body) => format!("answer's body {:?}", String::from_utf8_lossy(body)),
        }
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// The next head that is not 1xx (101 is final).
pub(crate) async fn final_head(raw: &mut Raw) -> Result<Head> {
    loop {
        let head = raw.head().await?;
        if !(100..200).contains(&head.status()) || head.status() == 101 {
            return Ok(head);
        }
    }
}
