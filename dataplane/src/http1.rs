//! A strict scanner for HTTP/1 requests, so that nothing ambiguous gets past it.
//!
//! hyper parses requests and is lenient where RFC 9112 lets a recipient be. A proxy cannot afford that: what it takes
//! for one message its backend may take for two. So each head, chunk line and trailer is checked here, byte by byte,
//! before hyper sees it. The scanner keeps no copy and changes nothing; it answers how many bytes may pass.
//!
//! Pure: bytes in, verdict out.

mod chars;
mod chunked;
mod fault;
mod field;
mod head;
mod host;
mod scanner;

pub(crate) use chars::is_target;
pub use fault::Fault;
pub(crate) use head::is_expectation;
pub use head::{Framing, RequestHead, scan_head};
pub(crate) use host::{is_authority, names_same_place};
pub use scanner::{AboutServer, Scan, Scanner};
