//! The wire between Balancer's planes and its CLI: generated types of package `balancer.v1`, and the one computation
//! that is part of the wire itself, the [`fingerprint`].

pub mod fingerprint;

/// Package `balancer.v1`. The `.proto` files carry the documentation.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, rustdoc::all)]
pub mod v1 {
    tonic::include_proto!("balancer.v1");
}

/// Encoded `google.protobuf.FileDescriptorSet` of the package, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
