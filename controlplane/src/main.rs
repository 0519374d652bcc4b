//! controlplane

fn main() {}
