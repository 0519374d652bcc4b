//! Errors as people read them: one line that says what to do next.

use std::{error::Error, io, time::Duration};

use anyhow::anyhow;
use tonic::{Code, Status};

use crate::probe;

/// Whether the reader of our output has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// The control plane cannot be reached.
pub(crate) fn unreachable(endpoint: &str, cause: &(dyn Error + 'static)) -> anyhow::Error {
    let cause = one_line(&root_cause(cause));
    // What rustls makes of bytes that are no TLS record.
    if cause.contains("InvalidContentType") {
        return anyhow!("{endpoint} does not speak TLS: begin --endpoint or BALANCER_ENDPOINT with http://");
    }
    if cause.contains("invalid peer certificate") {
        return anyhow!(
            "the certificate of {endpoint} is not trusted ({cause}): name the authority that signed it with --ca or BALANCER_CA"
        );
    }
    anyhow!(
        "cannot reach the control plane at {endpoint} ({cause}): is it running? set --endpoint or BALANCER_ENDPOINT"
    )
}

/// The connection broke, or what is at its other end does not speak gRPC. By TLS 1.3 a server refuses a certificate
/// only after the client has begun to speak.
fn lost(endpoint: &str, cause: &(dyn Error + 'static)) -> anyhow::Error {
    if !endpoint.starts_with("https:") && probe::wants_tls(endpoint) {
        return anyhow!("{endpoint} wants TLS: begin --endpoint or BALANCER_ENDPOINT with https://");
    }
    let cause = one_line(&root_cause(cause));
    let hint = if endpoint.starts_with("https:") { " does it want a certificate (--cert)?" } else { "" };
    anyhow!("lost the connection to {endpoint} ({cause}): is it a control plane's admin port, and still running?{hint}")
}

/// What a refused or failed call means for the person who made it.
pub(crate) fn explain(status: &Status, endpoint: &str, timeout: Duration, has_token: bool) -> anyhow::Error {
    let said = one_line(status.message());
    match status.code() {
        Code::Unauthenticated if has_token => {
            anyhow!("the control plane refuses this token: check --token or BALANCER_TOKEN")
        }
        Code::Unauthenticated => anyhow!("the control plane wants a token: set --token or BALANCER_TOKEN"),
        Code::DeadlineExceeded => too_slow(endpoint, timeout),
        // What tonic's client makes of a deadline that passed here.
        Code::Cancelled if said == "Timeout expired" => too_slow(endpoint, timeout),
        Code::Unimplemented => anyhow!(
            "{endpoint} does not know this call: is it a control plane's admin port, of this version ({})?",
            env!("CARGO_PKG_VERSION")
        ),
        Code::Unavailable => match status.source() {
            Some(source) => unreachable(endpoint, source),
            None => anyhow!("the control plane cannot do this now: {said}: try again later"),
        },
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition | Code::OutOfRange => {
            anyhow!("{said}")
        }
        code => match status.source() {
            Some(source) => lost(endpoint, source),
            None => anyhow!("{endpoint} answered {code:?}: {said}: is it a control plane's admin port?"),
        },
    }
}

/// No answer in time.
pub(crate) fn too_slow(endpoint: &str, timeout: Duration) -> anyhow::Error {
    let timeout = humantime::format_duration(timeout);
    anyhow!("no answer from {endpoint} within {timeout}: try again, or wait longer with --timeout")
}

/// The innermost cause; an operating system's error by its kind, as in "connection refused".
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    loop {
        if let Some(kind) = last.downcast_ref::<io::Error>().filter(|e| e.raw_os_error().is_some()).map(io::Error::kind)
        {
            return kind.to_string();
        }
        match last.source() {
            Some(source) => last = source,
            None => return last.to_string(),
        }
    }
}

/// Keeps a message from elsewhere on one line and free of terminal escapes.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &Status, has_token: bool) -> String {
        explain(status, "http://h:1", Duration::from_secs(10), has_token).to_string()
    }

    #[test]
    fn says_what_to_do_next() {
        for (status, has_token, expected) in [
            (Status::unauthenticated("x"), false, "the control plane wants a token: set --token or BALANCER_TOKEN"),
            (
                Status::unauthenticated("x"),
                true,
                "the control plane refuses this token: check --token or BALANCER_TOKEN",
            ),
            (Status::not_found("client \"a\" has no limit"), false, "client \"a\" has no limit"),
            (
                Status::unavailable("the database is gone"),
                false,
                "the control plane cannot do this now: the database is gone: try again later",
            ),
            (
                Status::deadline_exceeded(""),
                false,
                "no answer from http://h:1 within 10s: try again, or wait longer with --timeout",
            ),
        ] {
            assert_eq!(said(&status, has_token), expected);
        }
    }

    #[test]
    fn messages_stay_on_one_line() {
        assert_eq!(said(&Status::invalid_argument("a\nb\u{1b}[2J"), false), "a b [2J");
    }

    #[test]
    fn only_a_broken_pipe_is_one() {
        let broken = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert!(is_broken_pipe(&broken));
        assert!(!is_broken_pipe(&anyhow!("Broken pipe")));
    }
}
