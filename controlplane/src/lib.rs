//! controlplane

pub mod domain;
pub mod store;
