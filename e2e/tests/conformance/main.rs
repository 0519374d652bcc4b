//! Conformance to RFC 9110, 9112 and 9113, and what hostile clients and backends can do: bytes in, bytes out, against
//! the real planes. Tables of cases; each says what a client sends, how it is answered, whether its connection lives,
//! and what a backend gets to see of it.

mod bench;
mod case;
mod frames;
mod recorder;
mod tls;
mod wire;

mod answers;
mod broken_backends;
mod draining;
mod framing;
mod heads;
mod hosts;
mod http2;
mod http2_checks;
mod http2_floods;
mod http2_rules;
mod http2_slow;
mod http2_websocket;
mod memory;
mod mutations;
mod repeats;
mod request_lines;
mod sequences;
mod timeouts;
mod tunnels;
