//! balancer

fn main() {}
