//! The wire between Balancer's planes and its CLI: generated types of package `balancer.v1`, and what is computed the same
//! way on both sides of it: the [`fingerprint`] of all limits, and the [`lease_key`] of a client.

pub mod fingerprint;
pub mod lease_key;

/// Package `balancer.v1`. The `.proto` files carry the documentation.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, rustdoc::all)]
pub mod v1 {
    tonic::include_proto!("balancer.v1");
}

/// Encoded `google.protobuf.FileDescriptorSet` of the package, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
