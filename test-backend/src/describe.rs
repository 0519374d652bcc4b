//! A request, described as JSON.

use http::{Version, request::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

/// Longest body that is shown as text; of a longer one only the length is told.
const SHOWN_BODY_BYTES: usize = 64 * 1024;

/// Reads `body` to its end, keeping a bounded part, and describes the request.
pub(crate) async fn describe(backend: &str, head: &Parts, body: Incoming) -> hyper::Result<Value> {
    let (body_bytes, text) = measure(body).await?;
    let headers: Vec<_> = head
        .headers
        .iter()
        .map(|(name, value)| [name.as_str().into(), String::from_utf8_lossy(value.as_bytes())])
        .collect();
    let mut description = json!({
        "backend": backend,
        "method": head.method.as_str(),
        "target": target(head),
        "version": format!("{:?}", head.version),
        "headers": headers,
        "body_bytes": body_bytes,
    });
    if head.version == Version::HTTP_2 {
        // What is a field of the head in HTTP/1.
        description["authority"] = head.uri.authority().map(ToString::to_string).into();
        description["scheme"] = head.uri.scheme_str().into();
    }
    if let Some(text) = text {
        description["body"] = text.into();
    }
    Ok(description)
}

/// The target as it came. HTTP/2 has it in parts, of which one is what HTTP/1 sends.
fn target(head: &Parts) -> String {
    match head.uri.path_and_query() {
        Some(path) if head.version == Version::HTTP_2 => path.to_string(),
        _ => head.uri.to_string(),
    }
}

/// The body's length, and its text where it is short UTF-8.
async fn measure(mut body: Incoming) -> hyper::Result<(u64, Option<String>)> {
    let mut len = 0;
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            len += data.len() as u64;
            let room = SHOWN_BODY_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    let whole = len == kept.len() as u64;
    Ok((len, if whole { String::from_utf8(kept).ok() } else { None }))
}
