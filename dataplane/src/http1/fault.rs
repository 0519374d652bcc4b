//! What is wrong with a request.

/// Why a request is refused. Each has its status code and a sentence for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request line is not `method SP target SP HTTP/1.x`.
    RequestLine,
    /// Three words, none of which is a target or a version of HTTP: another protocol, where an answer means nothing.
    Protocol,
    /// The target has a byte or a form that no target has, or not the one its method takes.
    Target,
    /// An HTTP version other than 1.0 and 1.1.
    Version,
    /// The request line is too long.
    TargetTooLong,
    /// The head has too many bytes or fields.
    HeadTooLarge,
    /// A line does not end with CR LF, or holds a CR or LF elsewhere.
    LineEnd,
    /// A field is not `name: value` of allowed bytes.
    Field,
    /// Host is missing, given twice, no host, or not the target's.
    Host,
    /// Content-Length is given twice, no number, or stands beside Transfer-Encoding.
    ContentLength,
    /// Transfer-Encoding in HTTP/1.0, or given twice.
    TransferEncoding,
    /// Transfer-Encoding other than `chunked`.
    Coding,
    /// A chunked body that is not one.
    Chunk,
    /// Expect other than `100-continue`.
    Expectation,
    /// CONNECT or TRACE, which this proxy does not do.
    Method,
    /// The request did not arrive in time.
    Slow,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::RequestLine,
        Self::Protocol,
        Self::Target,
        Self::Version,
        Self::TargetTooLong,
        Self::HeadTooLarge,
        Self::LineEnd,
        Self::Field,
        Self::Host,
        Self::ContentLength,
        Self::TransferEncoding,
        Self::Coding,
        Self::Chunk,
        Self::Expectation,
        Self::Method,
        Self::Slow,
    ];
}
