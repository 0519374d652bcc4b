//! balancerctl

fn main() {}
