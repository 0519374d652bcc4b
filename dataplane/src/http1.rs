//! HTTP/1 messages (RFC 9112), read strictly, so that nothing ambiguous gets past.
//!
//! A proxy cannot afford to be lenient: what it takes for one message its neighbour may take for two. So each head,
//! chunk line and trailer is checked here, byte by byte, once; what was found on the way (where each field is, which of
//! those that matter it is, where the body ends) is kept beside the bytes, so that nobody parses them again.
//!
//! Pure: bytes in, verdict out.

mod body;
mod chars;
mod chunked;
mod date;
mod fault;
mod field;
mod head;
mod host;
mod name;
mod options;
#[cfg(any(test, feature = "fuzzing"))]
pub mod replay;
mod request;
mod response;

#[cfg(test)]
mod tests;

pub use body::{Body, Form, Taken};
pub(crate) use chars::is_target;
pub(crate) use chunked::{ANY_TRAILER, may_trail};
pub(crate) use date::HttpDate;
pub use fault::Fault;
pub(crate) use field::put_field;
pub use field::{Field, Fields};
pub(crate) use head::is_expectation;
pub use head::{Framing, RequestHead, scan_head};
pub(crate) use host::{is_authority, names_same_place};
pub use name::Name;
pub use options::Options;
pub use request::Head;
pub use response::{Garbage, MAX_RESPONSE_HEAD_BYTES, ResponseFraming, ResponseHead, scan_response};
