//! Request bodies: bounded, JSON, and with errors that name the field.

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use super::Problem;
use crate::domain::Invalid;

/// Longest body that is accepted.
const MAX_BYTES: usize = 1024 * 1024;
/// What curl and its like call a body unless told otherwise.
const FORM: &str = "application/x-www-form-urlencoded";
/// Longest body that is read to its end all the same: a client that still sends would not see the answer.
const MAX_DRAINED_BYTES: usize = 16 * 1024 * 1024;

/// A JSON object.
#[derive(Debug)]
pub(super) struct Object(Map<String, Value>);

/// Reads a body that must be a JSON object.
pub(super) async fn object(headers: &HeaderMap, body: Body) -> Result<Object, Problem> {
    require_json(headers)?;
    parse(&read(body).await?)
}

/// As [`object`]; `None` if there is no body. Tools that are told of a body but not of its type say it is a form: that
/// is how legacy clients send JSON with GET and DELETE, so an object is read whatever it is called.
pub(super) async fn optional_object(headers: &HeaderMap, body: Body) -> Result<Option<Object>, Problem> {
    let bytes = read(body).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let mislabelled = content_type(headers).as_deref() == Some(FORM) && bytes.trim_ascii_start().starts_with(b"{");
    if !mislabelled {
        require_json(headers)?;
    }
    parse(&bytes).map(Some)
}

impl Object {
    /// A member that must be text.
    pub(super) fn text(&self, field: &'static str) -> Result<&str, Invalid> {
        match self.member(field, "text")? {
            Value::String(text) => Ok(text),
            other => Err(wrong_type(field, "text", other)),
        }
    }

    /// A member that must be a number.
    pub(super) fn number(&self, field: &'static str) -> Result<f64, Invalid> {
        match self.member(field, "a number")? {
            Value::Number(number) => number.as_f64().ok_or_else(|| wrong_type(field, "a number", &Value::Null)),
            other => Err(wrong_type(field, "a number", other)),
        }
    }

    fn member(&self, field: &'static str, what: &str) -> Result<&Value, Invalid> {
        let missing = || Invalid { field, expected: format!("expected {what}, but it is missing") };
        self.0.get(field).ok_or_else(missing)
    }
}

fn wrong_type(field: &'static str, what: &str, got: &Value) -> Invalid {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Invalid { field, expected: format!("expected {what}, got {got}") }
}

fn parse(bytes: &[u8]) -> Result<Object, Problem> {
    if bytes.is_empty() {
        return Err(Problem::bad_request("expected a JSON object in the body, which is empty"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Ok(Object(members)),
        Ok(_) => Err(Problem::bad_request("expected a JSON object in the body, got another kind of value")),
        Err(error) => Err(match unreadable_number(bytes, &error) {
            Some(field) => Invalid { field, expected: format!("expected a finite number: {error}") }.into(),
            None => Problem::bad_request(format!("the body is not valid JSON: {error}")),
        }),
    }
}

/// The number that the parser stopped at: JSON has no NaN and no Infinity, and 1e400 is beyond a double.
fn unreadable_number(bytes: &[u8], error: &serde_json::Error) -> Option<&'static str> {
    let lines: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(error.line() - 1).map(<[u8]>::len).sum();
    let read = String::from_utf8_lossy(bytes.get(..lines + error.column())?);
    let value_of = |field: &'static str| {
        let (before, value) = read.rsplit_once(&format!("\"{field}\""))?;
        let value = value.trim_start().strip_prefix(':')?;
        (!value.contains([',', '"', '{', '[', '}'])).then_some((before.len(), field))
    };
    ["capacity", "rate_per_sec"].into_iter().filter_map(value_of).max().map(|(_, field)| field)
}

/// Legacy clients send no content type at all; one that is sent must be JSON.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(kind) = content_type(headers) else { return Ok(()) };
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("expected Content-Type application/json, got {kind:?}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// The content type without its parameters, in lower case.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

async fn read(mut body: Body) -> Result<Bytes, Problem> {
    let (mut kept, mut total) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_request(format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        total += data.len();
        if total > MAX_DRAINED_BYTES {
            break;
        }
        if total <= MAX_BYTES {
            kept.extend_from_slice(&data);
        }
    }
    if total > MAX_BYTES {
        let detail = format!("the body is longer than {MAX_BYTES} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(kept.freeze())
}
